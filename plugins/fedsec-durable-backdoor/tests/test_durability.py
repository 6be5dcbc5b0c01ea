"""How far attackers stand out, and which curve durability goes by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fedsec_core.errors import FedsecError
from fedsec_core.updates import Rows, Verdict
from fedsec_durable_backdoor.plugin.evaluate import Durability
from fedsec_durable_backdoor.runtime.durability import outlying

ROWS = Rows(torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0], [2.0, 0.0]]))
"""Lengths 5, 1, 2, 2; the last three add up to (3, 2)."""


def test_norm_and_cosine_by_hand() -> None:
    found = outlying(ROWS.gram, [0])
    assert found["norm_ratio"] == pytest.approx(5 / 2)
    assert found["cosine"] == pytest.approx((9 + 8) / (5 * 13**0.5))
    # Two attackers, (3, 4) and (1, 0), against the sum (2, 2).
    found = outlying(ROWS.gram, [0, 1])
    assert found["norm_ratio"] == pytest.approx(3 / 2)
    assert found["cosine"] == pytest.approx((14 / 5 + 2) / 8**0.5 / 2)


@pytest.mark.parametrize(
    ("rows", "own"),
    [
        ([[1.0, 0.0]], [0]),
        ([[1.0, 0.0], [2.0, 0.0]], []),
        ([[float("inf"), 0.0], [1.0, 0.0]], [0]),
        ([[1.0, 0.0], [0.0, 0.0]], [0]),
    ],
)
def test_what_cannot_be_compared_is_undefined(rows: list[list[float]], own: list[int]) -> None:
    assert outlying(Rows(torch.tensor(rows)).gram, own) == {"norm_ratio": None, "cosine": None}


def view(number: int, *active: int) -> Any:
    return SimpleNamespace(number=number, truth=SimpleNamespace(active=active))


def observed(evaluator: Any, flags: list[bool] | None) -> None:
    verdict = None if flags is None else Verdict(np.ones(4), np.array(flags), np.zeros(4))
    evaluator.observe_round(round=SimpleNamespace(clients=(2, 4, 5, 7), rows=ROWS, verdict=verdict))


def test_stealth_is_told_of_rounds_under_attack_only() -> None:
    evaluator: Any = Durability().build()
    observed(evaluator, [True, False, True, False])
    assert evaluator.evaluate_model(view=view(1)).metrics == {
        "norm_ratio": None,
        "cosine": None,
        "detected": None,
    }
    assert evaluator.evaluate_model(view=view(2, 2)).metrics["detected"] == 1.0
    assert evaluator.evaluate_model(view=view(2, 2, 4)).metrics["detected"] == 0.5
    observed(evaluator, None)
    assert evaluator.evaluate_model(view=view(3, 2)).metrics["detected"] == 0.0
    quiet: Any = Durability(stealth=False).build()
    assert quiet.evaluate_model(view=view(2, 2)).metrics == {}


def run(*names: str) -> Any:
    history = tuple(dict.fromkeys(names, 0.9 - 0.2 * number) for number in range(4))
    return SimpleNamespace(history=history, numbers=(0, 1, 2, 3))


def test_the_curve_is_that_of_the_only_attack_with_an_asr() -> None:
    evaluator: Any = Durability(after=(0, 2)).build()
    evaluator.evaluate_model(view=view(1, 2))
    again: Any = Durability(after=(0, 2)).build()
    again.restore(evaluator.state())
    found = again.evaluate_run(run=run("badnets.asr", "krum.badnets.asr", "badnets.asr_all"))
    assert found.metrics == {
        "departure": 1,
        "asr_after_0": pytest.approx(0.7),
        "asr_after_2": pytest.approx(0.3),
        "lifespan": 2,
        "area": pytest.approx(0.5),
    }
    assert found.tables["curve"].columns["rounds after departure"] == [0, 1, 2]


def test_where_there_are_several_it_must_be_told() -> None:
    evaluator: Any = Durability().build()
    evaluator.evaluate_model(view=view(1, 2))
    expected = "^durability goes by one attack that has an asr: name it in attack; there are: corner, marker$"
    with pytest.raises(FedsecError, match=expected):
        evaluator.evaluate_run(run=run("corner.asr", "marker.asr"))
    named: Any = Durability(attack="marker").build()
    named.evaluate_model(view=view(1, 2))
    assert named.evaluate_run(run=run("corner.asr", "marker.asr")).metrics["departure"] == 1


def test_where_nobody_attacked_nothing_is_defined() -> None:
    evaluator: Any = Durability(after=(10,)).build()
    evaluator.evaluate_model(view=view(1))
    assert evaluator.evaluate_run(run=run("badnets.asr")).metrics == {
        "departure": None,
        "asr_after_10": None,
        "lifespan": None,
        "area": None,
    }

"""How far attackers stand out, and which curve durability goes by."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import fedsec_core
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


HELD = {"badnets": (2, 4), "corner": (5,), "marker": (2,)}
"""Who attacks."""


def view(number: int, *active: int) -> Any:
    return SimpleNamespace(number=number, truth=SimpleNamespace(active=active, malicious=HELD))


def observed(evaluator: Any, flags: list[bool] | None, number: int = 1) -> None:
    verdict = None if flags is None else Verdict(np.ones(4), np.array(flags), np.zeros(4))
    round = SimpleNamespace(number=number, clients=(2, 4, 5, 7), rows=ROWS, verdict=verdict)
    evaluator.observe_round(round=round)


def built(**asked: Any) -> Any:
    """Return an evaluator that has seen the built model."""
    evaluator: Any = Durability(**asked).build()
    evaluator.evaluate_model(view=view(0))
    return evaluator


def test_stealth_is_told_of_rounds_under_attack_only() -> None:
    evaluator = built()
    observed(evaluator, [True, False, True, False])
    assert evaluator.evaluate_model(view=view(1)).metrics == {
        "norm_ratio": None,
        "cosine": None,
        "detected": None,
    }
    assert evaluator.evaluate_model(view=view(2, 2)).metrics["detected"] == 1.0
    assert evaluator.evaluate_model(view=view(2, 2, 4)).metrics["detected"] == 0.5
    observed(evaluator, [False] * 4, 3)
    assert evaluator.evaluate_model(view=view(3, 2)).metrics["detected"] == 0.0
    # where nobody looks, nobody is missed
    observed(evaluator, None, 4)
    assert evaluator.evaluate_model(view=view(4, 2)).metrics["detected"] is None
    assert built(stealth=False).evaluate_model(view=view(2, 2)).metrics == {}


def test_with_a_name_all_of_it_is_of_that_attack() -> None:
    evaluator = built(attack="marker", after=(1,))
    for number, active in enumerate([(2, 5), (5,), (5,)], 1):
        observed(evaluator, [True, False, False, False], number)
        metrics = evaluator.evaluate_model(view=view(number, *active)).metrics
        assert metrics["detected"] == (1.0 if 2 in active else None)
    found = evaluator.evaluate_run(run=run("marker.asr", "corner.asr")).metrics
    assert (found["departure"], found["asr_after_1"]) == (1, pytest.approx(0.5))


def test_a_name_that_is_none_is_refused_before_the_first_round() -> None:
    expected = "^durability: no attack is called 'market'; did you mean 'marker'"
    with pytest.raises(FedsecError, match=expected):
        built(attack="market")


def test_it_is_not_to_be_left_out_of_a_round(tmp_path: Path) -> None:
    made = {
        "scenario": {"name": "gaps", "rounds": 3, "seed": 3},
        "data": {"use": "phantom", "train": 60, "val": 0, "test": 10},
        "model": {"use": "small-cnn", "channels": [2, 2], "hidden": 4},
        "partition": {"use": "iid", "clients": 3},
        "train": {"use": "sgd", "steps": 1, "batch": 8},
        "attack": [{"use": "badnets", "clients": {"count": 1}}],
        "aggregate": {"use": "mean"},
        "evaluate": [{"use": "durability", "every": 2}],
    }
    with pytest.raises(FedsecError, match="durability follows every round: evaluate it with every = 1"):
        fedsec_core.run(made, out=tmp_path, workers=1, report=False)


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

"""The figures of the page on durable backdoors, of lines made by hand."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

RESULTS = Path(__file__).parent.parent / "docs" / "results"
DEPARTURE = 2
ROUNDS = DEPARTURE + 50


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules, which are in no package, and gone again afterwards."""
    monkeypatch.syspath_prepend(str(RESULTS))
    monkeypatch.syspath_prepend(str(RESULTS / "durable"))
    yield {name: importlib.import_module(name) for name in ("reading", "page", "tables")}
    for name, each in [*sys.modules.items()]:
        if (getattr(each, "__file__", None) or "").startswith(str(RESULTS)):
            del sys.modules[name]


def line(seed: int, late: float | None, *, accuracy: float = 0.9, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return a line of an attack that ends after two rounds; success is `late` fifty rounds later."""
    asr: list[float | None] = [1.0] * ROUNDS + [late]
    return {
        "seed": seed,
        "status": "done" if rounds == ROUNDS else "diverged",
        "malicious": [3],
        "attacked": [1, 2],
        "series": {
            "asr": asr[: rounds + 1],
            "accuracy": ([accuracy] * ROUNDS + [accuracy - 0.1])[: rounds + 1],
            "norm_ratio": [None, 2.0, 4.0],
            "detected": [None, None, None],
        },
        "end": {
            "durability.departure": DEPARTURE,
            "durability.asr_after_0": 1.0,
            "durability.asr_after_50": late if rounds == ROUNDS else None,
            "durability.lifespan": None,
            "durability.area": 0.5,
        },
    }


def test_differences_are_of_the_same_seeds_with_students_interval(modules: dict[str, ModuleType]) -> None:
    reading = modules["reading"]
    group, other = (
        [line(seed, value) for seed, value in values.items()]
        for values in ({1: 0.9, 2: 0.7, 3: 0.8, 4: 0.2}, {2: 0.4, 1: 0.5, 3: 0.6})
    )
    # 0.4, 0.3 and 0.2: 0.3 with deviation 0.1, and 4.303 x 0.1 / sqrt(3)
    assert reading.difference(group, other) == "+0.300 [+0.052, +0.548], 3 seeds"
    # the last ten rounds hold nine ones and the last value
    assert reading.difference(group, other, reading.settled) == "+0.030 [+0.005, +0.055], 3 seeds"
    assert reading.difference(group[:1], other) == "-"


def test_accuracy_is_compared_in_the_same_round_of_the_same_seed(modules: dict[str, ModuleType]) -> None:
    gaps = modules["reading"].gaps
    clean = [line(1, 0.0, accuracy=0.95), line(2, 0.0, accuracy=0.8)]
    group = [line(2, 0.5), line(1, 0.5), line(7, 0.5)]
    assert gaps(group, clean, 0) == pytest.approx([10.0, -5.0])
    assert gaps(group, clean, 50) == pytest.approx([10.0, -5.0])
    # one that ended early is not compared at another round
    assert gaps([line(1, None, rounds=20)], clean, 50) == [None]
    assert gaps([line(1, None, rounds=20)], clean, 10) == pytest.approx([-5.0])


def test_what_is_not_known_is_a_dash_and_a_life_that_was_not_watched_to_its_end_says_so(
    modules: dict[str, ModuleType],
) -> None:
    reading, tables = modules["reading"], modules["tables"]
    assert reading.attacked_mean(line(1, 0.5), "norm_ratio") == 3.0
    assert reading.attacked_mean(line(1, 0.5), "detected") is None
    assert tables.spread([0.5, None], 2) == "-"
    assert reading.lifespans([line(1, 0.5), line(2, None, rounds=20)]) == "> 50, > 18"
    least, mean, greatest = reading.curve([line(1, 0.5), line(2, None, rounds=20)], "asr")
    assert (len(mean), least[-1], mean[-1], greatest[-1]) == (ROUNDS + 1, 0.5, 0.5, 0.5)


def test_the_page_has_a_row_for_each_variant_also_where_one_diverged(
    modules: dict[str, ModuleType], tmp_path: Path
) -> None:
    lines = {
        "main": [line(1, 0.9), line(2, None, rounds=20)],
        "plain": [line(1, 0.5), line(2, 0.5)],
        "clean": [line(1, 0.0, accuracy=0.95), line(2, 0.0, accuracy=0.95)],
    }
    first, second, *_ = modules["page"]._attacks(tmp_path, "blood", lines)
    rows = [row.split(" | ") for row in first.splitlines()[2:]]
    assert [row[0] for row in rows] == [
        "| durable: generator, step 1, mask",
        "| plain poisoning",
        "| nobody attacks",
    ]
    assert rows[0][1] == "2 (seed 2 diverged)"
    assert rows[1][5] == "0.500 ± 0.000"
    assert rows[1][8:10] == ["-5.0 ± 0.0", "-5.0 ± 0.0"]
    assert second.splitlines()[2] == "| durable: generator, step 1, mask, less plain poisoning | - | - |"
    assert (tmp_path / "blood.svg").exists()

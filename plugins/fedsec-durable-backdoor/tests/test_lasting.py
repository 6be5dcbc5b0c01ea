"""Curves of attack success, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsec_durable_backdoor.lasting import after_departure, area, figures, lifespan

CURVE = {0: 0.1, 1: 0.9, 2: 1.0, 3: 0.8, 5: 0.4, 6: None, 7: 0.6}


def test_the_rounds_after_departure_are_counted_from_it() -> None:
    assert after_departure(CURVE, 2) == {0: 1.0, 1: 0.8, 3: 0.4, 5: 0.6}


def test_a_lifespan_ends_with_the_first_round_below_the_level() -> None:
    assert lifespan({0: 1.0, 1: 0.8, 3: 0.4, 5: 0.6}, 0.5) == 3
    assert lifespan({0: 0.4, 1: 0.8}, 0.5) == 0
    assert lifespan({0: 0.5, 9: 0.5}, 0.5) is None
    assert lifespan({}, 0.5) is None


def test_the_area_is_the_mean_under_the_trapezoids() -> None:
    # (1.0 + 0.8) / 2 + 2 x 0.6 + 2 x 0.5 over 5 rounds.
    assert area({0: 1.0, 1: 0.8, 3: 0.4, 5: 0.6}) == pytest.approx(3.1 / 5)
    assert area({0: 0.7}) == 0.7
    assert area({}) is None


def test_all_figures_by_their_names() -> None:
    assert figures(CURVE, 2, (0, 3, 4), 0.5) == {
        "asr_after_0": 1.0,
        "asr_after_3": 0.4,
        "asr_after_4": None,
        "lifespan": 3,
        "area": pytest.approx(0.62),
    }


@given(st.dictionaries(st.integers(0, 60), st.floats(0, 1), min_size=1))
def test_the_area_lies_between_the_least_and_the_greatest_success(curve: dict[int, float]) -> None:
    found = area(after_departure(curve, 0))
    assert found is not None
    assert min(curve.values()) - 1e-12 <= found <= max(curve.values()) + 1e-12

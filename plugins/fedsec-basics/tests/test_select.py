"""The selection of the clients of a round."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsec_basics.plugin.select import All, Uniform
from fedsec_core.streams import Stream
from fedsec_core.views import Candidate


def cohort(component: All | Uniform, ids: list[int], seed: int = 1) -> list[int]:
    candidates = [Candidate(id=number, examples=10, last_selected=None) for number in ids]
    return component.build().select_clients(candidates, Stream(seed))


ids = st.lists(st.integers(0, 60), unique=True, max_size=30)
ids_and_one = ids.filter(bool).flatmap(lambda some: st.tuples(st.just(some), st.sampled_from(some)))
seeds = st.integers(0, 2**31)
dropouts = st.sampled_from([0.0, 0.3, 0.9])


@given(ids)
def test_all_takes_every_candidate(ids: list[int]) -> None:
    assert cohort(All(), ids) == sorted(ids)


@given(ids, st.floats(0.01, 1), dropouts, seeds)
def test_a_cohort_is_ascending_and_made_of_candidates(
    ids: list[int], fraction: float, dropout: float, seed: int
) -> None:
    drawn = cohort(Uniform(fraction=fraction, dropout=dropout), ids, seed)
    assert drawn == sorted(set(drawn) & set(ids))


@pytest.mark.parametrize(
    ("fraction", "clients", "size"),
    [
        (0.25, 10, 3),  # 2.5 is rounded up
        (0.24, 10, 2),
        (0.01, 10, 1),  # at least one
        (1.0, 7, 7),
        (0.29, 50, 15),  # 14.5, which floats take for 14.499999999999998
        (0.15, 10, 2),
    ],
)
def test_a_fraction_is_rounded_half_up(fraction: float, clients: int, size: int) -> None:
    component = Uniform(fraction=fraction)
    assert len(cohort(component, list(range(clients)))) == size
    assert component.cohort_size(clients) == size


def test_a_count_is_the_size_of_the_cohort() -> None:
    assert len(cohort(Uniform(count=4), list(range(9)))) == 4
    assert Uniform(count=4).cohort_size(9) == 4


def test_a_count_beyond_the_candidates_takes_them_all() -> None:
    assert cohort(Uniform(count=4), [5, 1]) == [1, 5]
    assert Uniform(count=4).cohort_size(2) == 2


def test_nobody_is_selected_from_nobody() -> None:
    assert cohort(Uniform(fraction=0.5), []) == []


@pytest.mark.parametrize("given", [{}, {"fraction": 0.5, "count": 3}])
def test_exactly_one_of_fraction_and_count_must_be_given(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"^give either fraction or count$"):
        Uniform(**given)


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.01])
def test_a_fraction_outside_of_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        Uniform(fraction=fraction)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_a_dropout_outside_of_its_range_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        All(dropout=dropout)


def test_the_cohort_size_is_unknown_with_dropout() -> None:
    assert All().cohort_size(10) == 10
    assert All(dropout=0.1).cohort_size(10) is None
    assert Uniform(fraction=0.5, dropout=0.1).cohort_size(10) is None


def test_everyone_is_drawn_equally_often() -> None:
    # 3 of 10 in 2000 rounds: 600 expected each, standard deviation sqrt(2000 * 0.3 * 0.7) = 20.5.
    rounds = [cohort(Uniform(count=3), list(range(10)), seed) for seed in range(2000)]
    times = np.bincount(np.concatenate(rounds), minlength=10)
    assert np.abs(times - 600).max() < 5 * 20.5


def test_clients_drop_out_with_the_given_probability() -> None:
    # 10 clients in 500 rounds, each gone with probability 0.3: 3500 stay, sd sqrt(5000 * 0.21) = 32.4.
    rounds = [cohort(All(dropout=0.3), list(range(10)), seed) for seed in range(500)]
    assert abs(sum(map(len, rounds)) - 3500) < 5 * 32.4


def test_clients_drop_out_independently_of_each_other() -> None:
    # Both of two stay with probability 0.25; over 1000 rounds sd is sqrt(1000 * 0.25 * 0.75) = 13.7.
    rounds = [cohort(All(dropout=0.5), [0, 1], seed) for seed in range(1000)]
    assert abs(sum(len(drawn) == 2 for drawn in rounds) - 250) < 5 * 13.7


def test_those_who_are_drawn_drop_out_like_everyone() -> None:
    # 2 of 10 in 500 rounds, each gone with probability 0.5: 500 stay, sd sqrt(1000 * 0.25) = 15.8.
    component = Uniform(count=2, dropout=0.5)
    rounds = [cohort(component, list(range(10)), seed) for seed in range(500)]
    assert abs(sum(map(len, rounds)) - 500) < 5 * 15.8


def test_a_cohort_may_be_empty() -> None:
    assert [] in [cohort(Uniform(count=1, dropout=0.5), [0, 1, 2], seed) for seed in range(20)]


@given(ids_and_one, dropouts, seeds)
def test_the_presence_of_one_client_does_not_change_who_else_drops_out(
    case: tuple[list[int], int], dropout: float, seed: int
) -> None:
    ids, gone = case
    component = All(dropout=dropout)
    without = [number for number in ids if number != gone]
    everyone = cohort(component, ids, seed)
    assert cohort(component, without, seed) == [number for number in everyone if number != gone]


@given(ids_and_one, st.integers(1, 10), seeds)
def test_the_absence_of_one_client_changes_one_place_of_the_draw_at_most(
    case: tuple[list[int], int], count: int, seed: int
) -> None:
    ids, gone = case
    without = [number for number in ids if number != gone]
    before, after = (set(cohort(Uniform(count=count), there, seed)) for there in (ids, without))
    assert before - after <= {gone}
    assert len(after - before) <= 1


@given(ids, st.randoms(use_true_random=False), dropouts, seeds)
def test_the_order_of_candidates_does_not_matter(
    ids: list[int], order: Random, dropout: float, seed: int
) -> None:
    shuffled = order.sample(ids, len(ids))
    component = Uniform(fraction=0.4, dropout=dropout)
    assert cohort(component, ids, seed) == cohort(component, shuffled, seed)


def test_dropout_comes_on_top_of_the_same_draw() -> None:
    everyone = list(range(30))
    for seed in range(20):
        drawn = cohort(Uniform(count=10), everyone, seed)
        assert set(cohort(Uniform(count=10, dropout=0.5), everyone, seed)) < set(drawn)


def test_different_rounds_draw_different_cohorts() -> None:
    everyone = list(range(30))
    assert len({tuple(cohort(Uniform(count=5), everyone, seed)) for seed in range(10)}) == 10

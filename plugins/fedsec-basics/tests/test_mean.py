"""`mean`: the weighted mean of the rows."""

from __future__ import annotations

from random import Random
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsec_basics.plugin.aggregate import Mean
from fedsec_core.updates import Rows
from fedsec_core.vocabulary import Capability


def aggregate(matrix: list[list[float]], weights: list[float]) -> torch.Tensor:
    runtime: Any = Mean().build()
    rows, weight = Rows(torch.tensor(matrix)), torch.tensor(weights, dtype=torch.float64)
    step: torch.Tensor = runtime.aggregate_updates(rows, weight)
    return step


def test_rows_count_by_their_weight() -> None:
    # (1*1 + 3*5) / 4 = 4 and (1*2 + 3*(-2)) / 4 = -1
    step = aggregate([[1.0, 2.0], [5.0, -2.0]], [1.0, 3.0])
    assert step.tolist() == [4.0, -1.0]
    assert step.dtype == torch.float64


def test_a_single_row_is_the_step() -> None:
    assert aggregate([[0.5, -0.25]], [7.0]).tolist() == [0.5, -0.25]


finite = st.floats(-1e3, 1e3, width=32)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(finite, min_size=3, max_size=3), st.floats(0.1, 100)), min_size=1, max_size=8
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_clients_does_not_matter(
    clients: list[tuple[list[float], float]], order: Random
) -> None:
    shuffled = order.sample(clients, len(clients))
    step, other = (aggregate([row for row, _ in some], [w for _, w in some]) for some in (clients, shuffled))
    torch.testing.assert_close(step, other, rtol=1e-6, atol=1e-6)


@settings(deadline=None)
@given(st.lists(finite, min_size=1, max_size=4), st.lists(st.floats(0.1, 100), min_size=1, max_size=6))
def test_equal_rows_are_their_own_mean(row: list[float], weights: list[float]) -> None:
    step = aggregate([row] * len(weights), weights)
    torch.testing.assert_close(step.float(), torch.tensor(row), rtol=1e-6, atol=1e-6)


def test_a_row_with_nan_makes_the_step_nan_there() -> None:
    step = aggregate([[1.0, float("nan")], [3.0, 1.0]], [1.0, 1.0])
    assert step[0] == 2.0
    assert step[1].isnan()


def test_rows_and_weights_are_left_as_they_are() -> None:
    matrix, weights = torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 2.0], dtype=torch.float64)
    runtime: Any = Mean().build()
    runtime.aggregate_updates(Rows(matrix), weights)
    assert matrix.tolist() == [[1.0], [2.0]]
    assert weights.tolist() == [1.0, 2.0]


def test_it_is_a_weighted_sum() -> None:
    assert Mean().provides == {Capability.LINEAR}

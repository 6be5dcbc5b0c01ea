"""The matrix of rows: distances that are right where float32 is not, whatever an attacker sends."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedsec_core.server_path import merge_buffers
from fedsec_core.updates import BLOCK, Rows, weighted_mean

seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, n: int, d: int, scale: float = 1.0) -> torch.Tensor:
    made = np.random.default_rng(seed).normal(size=(n, d)) * scale
    return torch.from_numpy(made).float()


def directly(matrix: torch.Tensor) -> torch.Tensor:
    wide = matrix.double()
    return (wide[:, None] - wide[None]).square().sum(dim=2)


@given(seeds, st.integers(1, 8), st.integers(1, 40))
def test_squared_distances_are_those_of_the_definition(seed: int, n: int, d: int) -> None:
    matrix = drawn(seed, n, d)
    torch.testing.assert_close(Rows(matrix).squared_distances, directly(matrix), rtol=1e-9, atol=1e-12)


@given(seeds)
def test_small_distances_between_long_rows_survive(seed: int) -> None:
    matrix = drawn(seed, 1, 30, 1000.0) + drawn(seed + 1, 5, 30, 1e-2)
    torch.testing.assert_close(Rows(matrix).squared_distances, directly(matrix), rtol=1e-9, atol=0)


@pytest.mark.parametrize("size", [1e6, 1e12, 1e18])
@given(seed=seeds)
def test_huge_rows_do_not_blur_the_distances_of_the_others(size: float, seed: int) -> None:
    matrix = torch.cat([drawn(seed, 6, 20), drawn(seed + 1, 2, 20, size)])
    torch.testing.assert_close(Rows(matrix).squared_distances, directly(matrix), rtol=1e-9, atol=0)


def test_equal_rows_are_at_distance_zero() -> None:
    row = drawn(3, 1, 50, 100.0)
    matrix = torch.cat([row, row, drawn(4, 3, 50)])
    assert Rows(matrix).squared_distances[0, 1] == 0


def test_rows_that_are_not_finite_are_infinitely_far_and_long() -> None:
    matrix = torch.tensor([[0.0, 0.0], [3.0, 4.0], [math.nan, 0.0], [math.inf, 1.0]])
    rows = Rows(matrix)
    assert rows.finite.tolist() == [True, True, False, False]
    assert rows.norms.tolist() == [0.0, 5.0, math.inf, math.inf]
    assert rows.squared_distances[0].tolist() == [0.0, 25.0, math.inf, math.inf]
    assert rows.squared_distances[2].tolist() == [math.inf, math.inf, 0.0, math.inf]


def test_products_over_several_blocks_add_up() -> None:
    matrix = torch.ones(2, BLOCK + 3)
    assert Rows(matrix).gram.tolist() == [[BLOCK + 3.0] * 2] * 2
    assert Rows(matrix).norms[0] == math.sqrt(BLOCK + 3)


@given(seeds, st.integers(1, 6))
def test_the_weighted_mean_of_a_matrix_has_the_bits_of_a_running_sum(seed: int, n: int) -> None:
    matrix = drawn(seed, n, 17)
    weights = torch.arange(1, n + 1, dtype=torch.float64)
    total = torch.zeros(17, dtype=torch.float64)
    for row, weight in zip(matrix, weights.tolist(), strict=True):
        total.add_(row.double(), alpha=weight)
    assert torch.equal(weighted_mean(matrix, weights), total / weights.sum())


def test_buffers_are_averaged_by_weight_under_a_linear_rule() -> None:
    buffers = torch.tensor([[1.0], [3.0]])
    merged = merge_buffers(buffers, torch.tensor([1.0, 3.0], dtype=torch.float64), linear=True)
    assert merged is not None
    assert merged.tolist() == [2.5]


def test_one_false_buffer_does_not_move_the_median_far() -> None:
    buffers = torch.tensor([[1.0], [2.0], [3.0], [1e9]])
    merged = merge_buffers(buffers, torch.ones(4, dtype=torch.float64), linear=False)
    assert merged is not None
    assert merged.tolist() == [2.5]


def test_buffers_that_are_not_finite_are_left_out() -> None:
    buffers = torch.tensor([[1.0, 1.0], [math.nan, 5.0], [3.0, 3.0]])
    merged = merge_buffers(buffers, torch.ones(3, dtype=torch.float64), linear=True)
    assert merged is not None
    assert merged.tolist() == [2.0, 2.0]
    assert merge_buffers(buffers[1:2], torch.ones(1), linear=True) is None

"""The matrix of rows: distances that are right where float32 is not, whatever an attacker sends."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedsec_core.errors import FedsecError
from fedsec_core.kernels import BLOCK, STRIP, TILE, VALUES, WHOLE, coordinatewise
from fedsec_core.server_path import merge_buffers
from fedsec_core.updates import Rows, RunningMean, StreamedRows, weighted_mean

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


@pytest.mark.parametrize("n", [1, 2, 7, 33])
@pytest.mark.parametrize("d", [1, 1000, BLOCK, 2 * BLOCK + 9])
def test_sums_over_blocks_have_the_bits_of_the_plain_expression(n: int, d: int) -> None:
    matrix = drawn(n, n, d)
    gram = torch.zeros(n, n, dtype=torch.float64)
    squares = torch.zeros(n, dtype=torch.float64)
    for start in range(0, d, BLOCK):
        block = matrix[:, start : start + BLOCK].double()
        gram += block @ block.T
        squares += block.square().sum(dim=1)
    assert torch.equal(Rows(matrix).gram, gram)
    assert torch.equal(Rows(matrix).norms, squares.sqrt())


@given(seeds, st.integers(1, 6))
def test_the_weighted_mean_of_a_matrix_has_the_bits_of_a_running_sum(seed: int, n: int) -> None:
    matrix = drawn(seed, n, 17)
    weights = torch.arange(1, n + 1, dtype=torch.float64)
    total = torch.zeros(17, dtype=torch.float64)
    for row, weight in zip(matrix, weights.tolist(), strict=True):
        total.add_(row.double(), alpha=weight)
    assert torch.equal(weighted_mean(matrix, weights), total / weights.sum())


def by_definition(matrix: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(matrix.shape[1], dtype=torch.float64)
    for row, weight in zip(matrix, weights.tolist(), strict=True):
        total.add_(row.double(), alpha=weight)
    return total / math.fsum(weights.tolist())


@pytest.mark.parametrize("d", [STRIP - 1, STRIP, STRIP + 5, 2 * STRIP + 17])
def test_a_weighted_mean_of_long_rows_has_the_bits_of_one_sum_per_row(d: int) -> None:
    matrix, weights = drawn(d, 3, d), torch.tensor([3.0, 0.1, 7.0], dtype=torch.float64)
    assert torch.equal(weighted_mean(matrix, weights), by_definition(matrix, weights))


@given(seeds, st.integers(1, 6), st.sampled_from([1, 5, 40, STRIP + 3]))
def test_a_running_mean_has_the_bits_of_the_mean_of_the_matrix(seed: int, n: int, d: int) -> None:
    matrix = drawn(seed, n, d)
    weights = torch.from_numpy(np.random.default_rng(seed).uniform(0.1, 50, n))
    running = RunningMean(d)
    for row, weight in zip(matrix, weights.tolist(), strict=True):
        running.add(row, weight)
    assert torch.equal(running.mean(), weighted_mean(matrix, weights))


def test_a_mean_wants_a_weight_per_row() -> None:
    with pytest.raises(ValueError, match="shorter"):
        weighted_mean(torch.ones(3, 2), torch.ones(2))


def test_a_running_mean_goes_on_after_it_was_asked() -> None:
    running = RunningMean(1)
    running.add(torch.tensor([2.0]), 1.0)
    assert running.mean().tolist() == [2.0]
    running.add(torch.tensor([5.0]), 2.0)
    assert running.mean().tolist() == [4.0]


@given(seeds, st.integers(2, 8), st.integers(1, 40))
def test_rows_taken_are_those_of_a_copy(seed: int, n: int, d: int) -> None:
    matrix = drawn(seed, n, d)
    matrix[0, -1] = math.nan
    places = torch.from_numpy(np.random.default_rng(seed).permutation(n)[: (n + 1) // 2])
    weights = torch.arange(1, len(places) + 1, dtype=torch.float64)
    taken, copied = Rows(matrix, tuple(range(10, 10 + n))).take(places), Rows(matrix[places])
    assert len(taken) == len(places) and taken.d == d
    assert taken.ids == tuple(10 + place for place in places.tolist())
    for name in ("finite", "norms", "gram", "squared_distances", "matrix"):
        torch.testing.assert_close(
            getattr(taken, name), getattr(copied, name), rtol=0, atol=0, equal_nan=True, msg=name
        )
    torch.testing.assert_close(
        weighted_mean(taken, weights), weighted_mean(copied, weights), rtol=0, atol=0, equal_nan=True
    )


def test_rows_can_be_taken_of_rows_taken() -> None:
    rows = Rows(torch.arange(5.0)[:, None], (1, 3, 5, 7, 9)).take(torch.tensor([0, 2, 4]))
    twice = rows.take(torch.tensor([1, 2]))
    assert twice.ids == (5, 9)
    assert twice.matrix.tolist() == [[2.0], [4.0]]
    assert twice.norms.tolist() == [2.0, 4.0]
    assert [block.tolist() for block in twice.blocks()] == [[[2.0], [4.0]]]


def test_rows_taken_of_mixed_rows_have_no_clients() -> None:
    assert Rows(torch.ones(3, 1)).take(torch.tensor([0, 2])).ids is None


def test_rows_taken_are_no_copy() -> None:
    matrix = torch.zeros(3, 4)
    taken = Rows(matrix).take(torch.tensor([2, 0]))
    assert taken.piece(0).data_ptr() == matrix[2].data_ptr()
    assert taken.piece(1, 1, 3).data_ptr() == matrix[0, 1:].data_ptr()


@given(seeds, st.integers(1, 5), st.integers(1, 30), st.integers(1, 40))
def test_blocks_cover_all_columns_in_order(seed: int, n: int, d: int, width: int) -> None:
    matrix = drawn(seed, n, d)
    places = torch.arange(n - 1, -1, -1)
    for rows in (Rows(matrix), Rows(matrix).take(places)):
        blocks = [block.clone() for block in rows.blocks(width)]
        assert all(block.shape[1] == width for block in blocks[:-1])
        assert torch.equal(torch.cat(blocks, dim=1), rows.matrix)


def test_a_matrix_may_be_mapped_from_a_file(tmp_path: Path) -> None:
    held = drawn(5, 4, BLOCK + 7)
    held.numpy().tofile(tmp_path / "rows")
    mapped = torch.from_numpy(np.memmap(tmp_path / "rows", np.float32, "r+", shape=(4, BLOCK + 7)))
    ones = torch.ones(4, dtype=torch.float64)
    assert torch.equal(Rows(mapped).squared_distances, Rows(held).squared_distances)
    assert torch.equal(Rows(mapped).finite, Rows(held).finite)
    assert torch.equal(weighted_mean(Rows(mapped), ones), weighted_mean(held, ones))


@pytest.mark.parametrize("n", [WHOLE, WHOLE + 1, 2 * TILE + 3, WHOLE + TILE])
def test_distances_of_many_rows_are_those_of_the_definition(n: int) -> None:
    matrix = drawn(n, n, 3)
    matrix[7] = matrix[n - 1]
    rows = Rows(matrix)
    torch.testing.assert_close(rows.squared_distances, directly(matrix), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(rows.gram, matrix.double() @ matrix.double().T, rtol=1e-12, atol=1e-12)
    assert rows.squared_distances[7, n - 1] == 0


def test_all_rows_of_many_colluders_who_send_one_row_are_at_distance_zero() -> None:
    matrix = torch.cat([drawn(1, 1, 50, 100.0).repeat(20, 1), drawn(2, 30, 50)])
    matrix = matrix[torch.from_numpy(np.random.default_rng(3).permutation(50))]
    torch.testing.assert_close(Rows(matrix).squared_distances, directly(matrix), rtol=1e-9, atol=0)


def test_a_row_whose_sum_overflows_float32_is_finite() -> None:
    rows = Rows(torch.full((1, 40), 3e38))
    assert rows.finite.tolist() == [True]
    assert rows.norms.tolist() == pytest.approx([math.sqrt(40) * float(rows.matrix[0, 0])])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [0, 31, 32, 1000, BLOCK + 6])
def test_one_value_that_is_not_finite_is_found_anywhere(bad: float, at: int) -> None:
    matrix = torch.zeros(2, BLOCK + 7)
    matrix[1, at] = bad
    assert Rows(matrix).finite.tolist() == [True, False]
    assert Rows(matrix).norms.tolist() == [0, math.inf]


def test_a_rule_by_coordinate_is_given_lines_of_the_values_of_one_coordinate() -> None:
    matrix = torch.tensor([[3.0, 10.0], [1.0, math.nan], [2.0, -math.inf]])
    rows, lines = Rows(matrix), []
    coordinatewise(rows, lambda block: lines.append(block.clone()) or block[:, 0])
    coordinatewise(rows, lambda block: lines.append(block.clone()) or block[:, 0], ordered=True)
    unordered, ordered = lines
    torch.testing.assert_close(unordered, matrix.T, equal_nan=True)
    assert ordered.is_contiguous()
    torch.testing.assert_close(
        ordered, torch.tensor([[1.0, 2.0, 3.0], [-math.inf, 10.0, math.nan]]), equal_nan=True
    )


@given(seeds, st.integers(1, 9), st.sampled_from([1, 17, VALUES // 4, VALUES + 5]))
def test_a_rule_by_coordinate_sees_every_coordinate_once(seed: int, n: int, d: int) -> None:
    matrix = drawn(seed, n, d)
    widest = coordinatewise(Rows(matrix), lambda block: block.double().amax(dim=1))
    assert torch.equal(widest, matrix.amax(dim=0).double())
    places = torch.arange(0, n, 2)
    least = coordinatewise(Rows(matrix).take(places), lambda block: block[:, 0], ordered=True)
    assert torch.equal(least, matrix[places].amin(dim=0).double())


def test_a_rule_by_coordinate_may_write_into_its_block() -> None:
    matrix = drawn(3, 4, 10)
    before = matrix.clone()
    coordinatewise(Rows(matrix), lambda block: block.zero_()[:, 0], ordered=True)
    assert torch.equal(matrix, before)


READERS: dict[str, Callable[[Rows], object]] = {
    "matrix": lambda rows: rows.matrix,
    "piece": lambda rows: rows.piece(0),
    "blocks": lambda rows: next(rows.blocks()),
    "finite": lambda rows: rows.finite,
    "norms": lambda rows: rows.norms,
    "gram": lambda rows: rows.gram,
    "squared_distances": lambda rows: rows.squared_distances,
    "take": lambda rows: rows.take(torch.tensor([0])),
    "coordinatewise": lambda rows: coordinatewise(rows, lambda block: block[:, 0]),
    "other weights": lambda rows: weighted_mean(rows, torch.ones(2, dtype=torch.float64)),
    "fewer weights": lambda rows: weighted_mean(rows, torch.ones(1, dtype=torch.float64)),
}


def streamed() -> StreamedRows:
    running = RunningMean(2)
    running.add(torch.tensor([1.0, 2.0]), 1.0)
    running.add(torch.tensor([3.0, 4.0]), 3.0)
    return StreamedRows(running, torch.tensor([1.0, 3.0]), (4, 6))


def test_rows_that_were_summed_know_their_number_their_clients_and_their_mean() -> None:
    rows = streamed()
    assert (len(rows), rows.d, rows.ids) == (2, 2, (4, 6))
    assert weighted_mean(rows, torch.tensor([1.0, 3.0])).tolist() == [2.5, 3.5]


@pytest.mark.parametrize("reader", READERS)
def test_rows_that_were_summed_cannot_be_read_one_by_one(reader: str) -> None:
    with pytest.raises(FedsecError) as refused:
        READERS[reader](streamed())
    assert str(refused.value) == (
        "the rows of this round were summed as they arrived: "
        "a component that reads single rows declares the need of individual_updates"
    )


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

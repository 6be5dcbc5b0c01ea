"""What components that merge rows promise."""

from __future__ import annotations

import math

import torch
from attrs import evolve
from torch import Tensor

from fedsec_core.errors import TooFewRows
from fedsec_core.rounds import Round
from fedsec_core.testing.bench import Bench, permuted, with_rows
from fedsec_core.testing.marks import near, same_bits
from fedsec_core.testing.promises import promise, require
from fedsec_core.updates import Rows, RunningMean, StreamedRows
from fedsec_core.vocabulary import Capability

COHORT = 12
"""The largest cohort whose size is tried."""


def merged(bench: Bench, round: Round) -> Tensor:
    """Return the step [d] float64 that a fresh component makes of the rows of `round`, by its examples."""
    weights = torch.tensor(round.examples, dtype=torch.float64)
    return bench.server().aggregate_updates(round.rows, weights, round)


@promise("aggregate_updates")
def check_ignores_the_order_of_clients(bench: Bench) -> None:
    """Which client sent which row makes no difference, to 1e-6."""
    round = bench.received()[0]
    n = len(round.clients)
    for order in (range(n - 1, -1, -1), [*range(1, n), 0]):
        step, other = merged(bench, round), merged(bench, permuted(round, list(order)))
        require(near(step, other), f"the step changes with the order of clients, by {_gap(step, other):g}")


@promise("aggregate_updates")
def check_returns_the_row_when_all_rows_are_equal(bench: Bench) -> None:
    """There is nothing to merge where all clients agree."""
    round = bench.received()[0]
    row = round.rows.matrix[0]
    agreed = with_rows(round, row.repeat(len(round.clients), 1))
    agreed = evolve(agreed, extra=(round.extra[0],) * len(round.clients))
    step = merged(bench, agreed)
    require(near(step, row), f"of equal rows it makes another step, off by {_gap(step, row):g}")


@promise("aggregate_updates")
def check_works_on_rows_that_are_summed_as_they_arrive(bench: Bench) -> None:
    """A rule that provides `linear` gives the same step, to the bit, where rows were not kept.

    It takes `fedsec_core.updates.weighted_mean(rows, weights)` and reads no single row, or declares
    the need of `individual_updates`.
    """
    component = bench.component
    if Capability.LINEAR not in component.provides or Capability.INDIVIDUAL_UPDATES in component.needs:
        return
    round = bench.received()[0]
    weights = torch.tensor(round.examples, dtype=torch.float64)
    running = RunningMean(round.layout.d)
    for row, weight in zip(round.rows.matrix, weights.tolist(), strict=True):
        running.add(row, weight)
    streamed = evolve(round, rows=StreamedRows(running, weights, round.clients))
    require(same_bits(merged(bench, round), merged(bench, streamed)), "summed rows give another step")


@promise("aggregate_updates")
def check_is_a_weighted_sum_if_it_says_so(bench: Bench) -> None:
    """A rule that provides `linear` makes of the sum of two rounds the sum of their steps.

    The core relies on it: buffers are merged by their mean, and rows need not be kept.
    """
    if Capability.LINEAR not in bench.component.provides:
        return
    first, *_, last = bench.received()
    together = with_rows(first, 2 * first.rows.matrix - last.rows.matrix)
    expected = 2 * merged(bench, first) - merged(bench, with_rows(first, last.rows.matrix))
    found = merged(bench, together)
    require(near(found, expected), "it provides linear, but is no weighted sum of the rows")


@promise("aggregate_updates")
def check_merges_every_cohort_that_it_does_not_refuse(bench: Bench) -> None:
    """`refuse_cohort` tells before a run which cohorts are too small, down to a single row."""
    round = bench.received()[0]
    for n in range(1, COHORT + 1):
        if bench.component.refuse_cohort(n) is not None:
            continue
        rows = torch.randn(n, round.layout.d, generator=torch.Generator().manual_seed(n))
        try:
            step = merged(bench, _cohort_of(round, rows))
        except TooFewRows as error:
            require(False, f"refuse_cohort({n}) is None, but {n} finite rows are too few: {error}")
        require(bool(step.isfinite().all()), f"of {n} finite rows it makes a step that is not finite")


def _cohort_of(round: Round, matrix: Tensor) -> Round:
    """Return `round` with n rows, of more clients than there were where that is needed."""
    n, ids = len(matrix), tuple(range(len(matrix)))
    places = [i % len(round.clients) for i in ids]
    many = permuted(evolve(round, rows=Rows(round.rows.matrix)), places)
    return with_rows(evolve(many, clients=ids), matrix[:n])


@promise("aggregate_updates")
def check_survives_rows_that_are_not_finite(bench: Bench) -> None:
    """One client that sends NaN or Inf does no harm, or is too much for the rule (TooFewRows).

    Under a rule that provides `linear` the step is then not finite either: the run diverges. Where all
    rows are broken any step will do, but no other exception.
    """
    round = bench.received()[0]
    linear = Capability.LINEAR in bench.component.provides
    for bad in (math.nan, math.inf, -math.inf):
        for places in ([0], [len(round.clients) - 1], slice(None)):
            rows = round.rows.matrix.clone()
            rows[places, 0] = bad
            try:
                step = merged(bench, with_rows(round, rows))
            except TooFewRows:
                continue
            if not linear and not isinstance(places, slice):
                require(bool(step.isfinite().all()), f"one row that holds {bad} makes the step not finite")


def _gap(first: Tensor, second: Tensor) -> float:
    return float((first.double() - second.double()).abs().max())

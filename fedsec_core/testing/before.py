"""What components in front of the aggregator promise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fedsec_core.errors import TooFewRows
from fedsec_core.rounds import Round
from fedsec_core.testing.bench import Bench, with_rows
from fedsec_core.testing.promises import promise, require
from fedsec_core.updates import Rows


def changed(bench: Bench, round: Round) -> tuple[Rows, Tensor]:
    """Return the rows and weights that a fresh component hands on."""
    weights = torch.tensor(round.examples, dtype=torch.float64)
    return bench.server().transform_updates(round.rows, weights, round)


@promise("transform_updates")
def check_hands_on_finite_rows(bench: Bench) -> None:
    """Of finite rows come finite rows, for cohorts of every size that it does not refuse."""
    round = bench.received()[0]
    for n in range(1, len(round.clients) + 1):
        if bench.component.refuse_cohort(n) is not None:
            continue
        rows, _ = changed(bench, with_rows(round, round.rows.matrix[:n].clone()))
        require(bool(rows.finite.all()), f"of {n} finite rows it makes rows that are not finite")


@promise("transform_updates")
def check_hands_on_rows_that_are_not_finite(bench: Bench) -> None:
    """A row that holds NaN or Inf is handed on, left out, mended, or too much for it (TooFewRows)."""
    round = bench.received()[0]
    for bad in (math.nan, math.inf):
        for places in ([0], slice(None)):
            rows = round.rows.matrix.clone()
            rows[places, 0] = bad
            try:
                changed(bench, with_rows(round, rows))
            except TooFewRows:
                continue

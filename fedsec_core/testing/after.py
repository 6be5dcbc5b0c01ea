"""What components behind the aggregator promise."""

from __future__ import annotations

import math

import torch

from fedsec_core.testing.bench import Bench
from fedsec_core.testing.promises import promise, require


@promise("transform_step")
def check_gives_a_finite_step_for_a_finite_step(bench: Bench) -> None:
    """Steps of any size, zero among them, stay finite."""
    round = bench.received()[0]
    direction = torch.linspace(-1, 1, round.layout.d, dtype=torch.float64)
    for size in (0.0, 1e-12, 1.0, 1e6):
        step = bench.server().transform_step(size * direction, round)
        require(bool(step.isfinite().all()), f"of a finite step of size {size:g} it makes one that is not")


@promise("transform_step")
def check_does_not_hide_a_step_that_is_not_finite(bench: Bench) -> None:
    """A step that overflowed ends the run: whoever comes after the aggregator leaves it recognisable."""
    round = bench.received()[0]
    for bad in (math.nan, math.inf):
        step = torch.full((round.layout.d,), bad, dtype=torch.float64)
        answer = bench.server().transform_step(step, round)
        require(not bool(answer.isfinite().all()), f"a step of {bad} becomes a finite one")

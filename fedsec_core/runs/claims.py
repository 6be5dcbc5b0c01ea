"""Claims: sentences of a paper, checked against the mean of the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from attrs import frozen

from fedsec_core.runs.reading import FederationResult, Found
from fedsec_core.scenario.model import Claim
from fedsec_core.suggest import did_you_mean


@frozen
class Checked:
    """A claim with its verdict and the numbers behind it."""

    says: str
    verdict: str
    """`holds`, `fails` or `undecided`."""
    measured: float | None
    against: float | None
    """The bound: `value` or the other variant's mean, moved by `by`."""
    why: str
    """The comparison in words."""


def check(claim: Claim, found: Found) -> Checked:
    """Check one claim; `None` in any seed leaves it undecided."""
    ours, missing = _mean(claim, found.of(claim.of))
    if claim.value is not None:
        theirs: float | None = claim.value
    else:
        twin = claim.than == "twin"
        theirs, gone = _mean(claim, found.of(claim.of if twin else str(claim.than), twin=twin))
        missing = missing or gone
    if ours is None or theirs is None:
        return Checked(claim.says, "undecided", ours, theirs, missing)
    bound = theirs - claim.by if claim.op == "<=" else theirs + claim.by
    holds = ours <= bound if claim.op == "<=" else ours >= bound
    what = f"{claim.metric} of {claim.of} is {ours:.4g}, "
    than = f"{claim.than} has {theirs:.4g}" if claim.than else "as a fixed bound"
    why = f"{what}to be {claim.op} {bound:.4g} ({than})"
    return Checked(claim.says, "holds" if holds else "fails", ours, bound, why)


def _mean(claim: Claim, runs: Sequence[FederationResult]) -> tuple[float | None, str]:
    """Return the mean over seeds, or None and why there is none."""
    values = []
    for run in runs:
        reached = isinstance(claim.at, int) and claim.at in {event["round"] for event in run.rounds}
        if run.status != "done" and not reached:
            return None, f"{run.variant} ended {run.status} at seed {run.seed}"
        if claim.metric not in run.final:
            hint = did_you_mean(claim.metric, run.final)
            return None, f"{run.variant} measured no {claim.metric!r}{hint}"
        value = _at(claim, run.metrics.get(claim.metric, {}), run.final[claim.metric])
        if value is None:
            return None, f"{claim.metric} is undefined at seed {run.seed} of {run.variant}"
        values.append(value)
    return (fmean(values), "") if values else (None, f"{claim.of} has not been run")


def _at(claim: Claim, series: Mapping[int, float | None], final: float | None) -> float | None:
    if claim.at == "end":
        return final
    if isinstance(claim.at, int):
        return series.get(claim.at)
    last = [series[number] for number in sorted(series)][-int(claim.at.split()[1]) :]
    known = [value for value in last if value is not None]
    return fmean(known) if known and len(known) == len(last) else None

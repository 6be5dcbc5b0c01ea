"""Figures of durability, as numbers and as cells of tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from math import sqrt
from statistics import fmean, stdev

from ledger import Line
from scipy.stats import t

LAST = 10
"""Rounds at the end of the comparison whose mean is less noisy than one of them."""
LATE = 50
"""Rounds after departure at which attacks are compared."""


def after(line: Line, later: int) -> float | None:
    """Return attack success so many rounds after departure."""
    value: float | None = line["end"].get(f"durability.asr_after_{later}")
    return value


def lifespans(group: Sequence[Line]) -> str:
    """Return the lifespan of each seed, the length of the observation where the backdoor outlives it."""
    told = []
    for line in group:
        lifespan, departure = (line["end"].get(f"durability.{name}") for name in ("lifespan", "departure"))
        if departure is None:
            told.append("-")
        else:
            watched = len(line["series"]["asr"]) - 1 - int(departure)
            told.append(f"> {watched}" if lifespan is None else f"{lifespan:.0f}")
    return ", ".join(told)


def gaps(group: Sequence[Line], clean: Sequence[Line], later: int) -> list[float | None]:
    """Return, seed by seed, accuracy so many rounds after departure less that of the clean run, in points.

    None where either is not known; seeds without a clean run are left out.
    """
    known = {line["seed"]: line for line in clean}
    found: list[float | None] = []
    for line in group:
        if line["seed"] not in known or (gone := line["end"].get("durability.departure")) is None:
            continue
        ours, theirs = (_at(each, "accuracy", int(gone) + later) for each in (line, known[line["seed"]]))
        found.append(None if ours is None or theirs is None else 100 * (ours - theirs))
    return found


def _at(line: Line, name: str, number: int) -> float | None:
    """Return the value of a series in a round; None where the federation did not get so far."""
    values: Sequence[float | None] = line["series"].get(name, ())
    return values[number] if number < len(values) else None


def settled(line: Line) -> float | None:
    """Return mean attack success over the last `LAST` rounds of those that are compared."""
    gone = line["end"].get("durability.departure")
    if gone is None:
        return None
    end = int(gone) + LATE
    values = [_at(line, "asr", number) for number in range(end - LAST + 1, end + 1)]
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == LAST else None


def attacked_mean(line: Line, name: str) -> float | None:
    """Return the mean of a series over the rounds under attack."""
    values = line["series"].get(name, [])
    known = [values[number] for number in line["attacked"] if number < len(values)]
    told = [value for value in known if value is not None]
    return fmean(told) if told else None


def late(line: Line) -> float | None:
    """Return attack success `LATE` rounds after departure."""
    return after(line, LATE)


def difference(
    group: Sequence[Line], other: Sequence[Line], of: Callable[[Line], float | None] = late
) -> str:
    """Return the mean difference of a figure, seed by seed, with its 95 % interval: Student's t of pairs."""
    known = {line["seed"]: of(line) for line in other}
    pairs = [(of(line), known.get(line["seed"])) for line in group]
    found = [one - two for one, two in pairs if one is not None and two is not None]
    if len(found) < 2:
        return "-"
    middle, half = fmean(found), t.ppf(0.975, len(found) - 1) * stdev(found) / sqrt(len(found))
    return f"{middle:+.3f} [{middle - half:+.3f}, {middle + half:+.3f}], {len(found)} seeds"


def curve(group: Sequence[Line], name: str) -> tuple[list[float], list[float], list[float]]:
    """Return least, mean and greatest value of a series by round."""
    columns = [
        [value for value in column if value is not None]
        for column in zip_longest(*(line["series"][name] for line in group))
    ]
    filled = [column or [float("nan")] for column in columns]
    return [min(each) for each in filled], [fmean(each) for each in filled], [max(each) for each in filled]

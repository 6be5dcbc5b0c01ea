"""Figures of durability, as numbers and as cells of tables."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev

from ledger import Line

T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Student's t at 97.5 % by the number of seeds."""
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


def gaps(group: Sequence[Line], clean: Sequence[Line]) -> list[float]:
    """Return, seed by seed, the accuracy at the end less that of the clean run, in percentage points."""
    known = {line["seed"]: line["series"]["accuracy"][-1] for line in clean}
    return [
        100 * (line["series"]["accuracy"][-1] - known[line["seed"]])
        for line in group
        if line["seed"] in known
    ]


def attacked_mean(line: Line, name: str) -> float | None:
    """Return the mean of a series over the rounds under attack."""
    values = line["series"].get(name, [])
    known = [values[number] for number in line["attacked"] if number < len(values)]
    told = [value for value in known if value is not None]
    return fmean(told) if told else None


def difference(group: Sequence[Line], other: Sequence[Line], later: int = LATE) -> str:
    """Return the mean difference in success, seed by seed, with its 95 % interval."""
    known = {line["seed"]: after(line, later) for line in other}
    pairs = [(after(line, later), known.get(line["seed"])) for line in group]
    found = [one - two for one, two in pairs if one is not None and two is not None]
    if len(found) < 2:
        return "-"
    half = T_95[len(found)] * stdev(found) / sqrt(len(found))
    return f"{fmean(found):+.3f} [{fmean(found) - half:+.3f}, {fmean(found) + half:+.3f}], {len(found)} seeds"


def curve(group: Sequence[Line], name: str) -> tuple[list[float], list[float], list[float]]:
    """Return least, mean and greatest value of a series by round."""
    columns = [
        [value for value in column if value is not None]
        for column in zip(*(line["series"][name] for line in group), strict=False)
    ]
    filled = [column or [float("nan")] for column in columns]
    return [min(each) for each in filled], [fmean(each) for each in filled], [max(each) for each in filled]

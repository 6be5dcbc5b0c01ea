"""Figures of the results, as cells of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import floor, log10
from statistics import fmean

from ledger import Line
from tables import spread

LATE = 5
"""Evaluated rounds at the end whose mean is shown: single rounds jump."""
WARM_UP = 10
SHADOWS = {"last-batch": "FedDetect as released", "watching": "calibrated"}
SUPPRESSED = 0.5
Average = Callable[[Sequence[float]], float]


def late(group: Sequence[Line], metric: str, digits: int, average: Average = fmean) -> str:
    """Return a metric of the last evaluated rounds, their mean or another average."""
    return spread([late_value(line, metric, average) for line in group], digits)


def late_value(line: Line, metric: str, average: Average = fmean) -> float | None:
    """Return the mean of a metric, or another average, over the last evaluated rounds of one federation."""
    if line["status"] != "done":
        return None
    values = [value for _, value in line["series"].get(metric, ())][-LATE:]
    known = [value for value in values if value is not None]
    return average(known) if known and len(known) == len(values) else None


def real(lines: Sequence[Line], digits: int) -> dict[str, str]:
    """Return, by column, what real images reach: those of validation, of the test, and of training."""
    distance = [_first(line, "fedgan-backdoor.real_trigger_distance") for line in lines]
    return {
        "FD-clf": _constant([line["end"].get("generation.real_fd_clf") for line in lines], digits),
        "class accuracy": _constant([line["end"].get("generation.reference_accuracy") for line in lines], 3),
        "trigger distance": _constant(distance, 3),
    }


def _first(line: Line, metric: str) -> float | None:
    return next((value for _, value in line["series"].get(metric, ())), None)


def _constant(values: Sequence[float | None], digits: int) -> str:
    """Return what all runs that have a value agree on; a dash where they do not."""
    told = {f"{value:.{digits}f}" for value in values if value is not None}
    return told.pop() if len(told) == 1 else "-"


def decimals(groups: Iterable[Sequence[Line]], metric: str) -> int:
    """Return how many decimals show two digits of a metric of the last evaluated rounds, from 1 to 4."""
    known = [value for group in groups for line in group if (value := late_value(line, metric))]
    least = min(map(abs, known), default=1.0)
    return min(max(1 - floor(log10(least)), 1), 4)


def end(group: Sequence[Line], metric: str, digits: int) -> str:
    """Return a metric of the finished run."""
    return spread([line["end"].get(metric) for line in group], digits)


def each(group: Sequence[Line], metric: str, missing: str = "-") -> str:
    """Return a metric of the finished run, one after another by seed; `missing` where it has no value.

    Of a run that did not come to its end, and where nobody is malicious, a missing value is a dash.
    """
    told = []
    for line in group:
        absent = missing if line["malicious"] and line["status"] == "done" else "-"
        value = line["end"].get(metric)
        told.append(absent if value is None else f"{value:.0f}")
    return "-" if set(told) == {"-"} else ", ".join(told)


def flags(group: Sequence[Line], label: str, *, malicious: bool) -> str:
    """Return the share of rounds after warm-up in which a malicious client, or an honest one, was flagged."""
    return spread([_flag_share(line, label, malicious) for line in group], 2)


def _flag_share(line: Line, label: str, malicious: bool) -> float | None:
    rounds = line["verdicts"][label][WARM_UP:]
    clients = range(len(rounds[0]["flagged"])) if rounds else ()
    chosen = [client for client in clients if (client in line["malicious"]) is malicious]
    found = [any(verdict["flagged"][client] for client in chosen) for verdict in rounds]
    return fmean(found) if found and chosen else None


def suppressed(group: Sequence[Line], label: str) -> str:
    """Return how many honest clients ever had a trust below 0.5, by seed."""
    return ", ".join(str(len(_ever(line, label, lambda trust: trust < SUPPRESSED))) for line in group)


def _ever(line: Line, label: str, where: Callable[[float], bool]) -> set[int]:
    return {
        client
        for verdict in line["verdicts"][label]
        for client, trust in enumerate(verdict["trust"])
        if client not in line["malicious"] and where(trust)
    }

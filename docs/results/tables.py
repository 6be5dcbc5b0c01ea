"""Lines of results as cells of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from ledger import Line
from sweep import Item


def by_variant(found: Mapping[Item, Line], scenario: str) -> dict[str, list[Line]]:
    """Return the lines of a scenario by variant, in order of seed."""
    lines: dict[str, list[Line]] = {}
    for item, line in sorted(found.items(), key=lambda pair: pair[0].seed):
        if item.scenario == scenario:
            lines.setdefault(item.variant, []).append(line)
    return lines


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def spread(values: Sequence[float | None], digits: int) -> str:
    """Return mean ± standard deviation; a dash where a value is missing."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return "-"
    text = f"{fmean(known):.{digits}f}"
    return text + (f" ± {stdev(known):.{digits}f}" if len(known) > 1 else "")


def seeds(group: Sequence[Line]) -> str:
    """Return how many federations there are, and which did not come to their end."""
    ends = [f"seed {line['seed']} {line['status']}" for line in group if line["status"] != "done"]
    return f"{len(group)} ({', '.join(ends)})" if ends else str(len(group))


def progress(everything: Sequence[Item], found: Mapping[Item, Line]) -> str:
    """Say how many federations are there, what they took, and which are missing."""
    hours = sum(line["seconds"] * line["cores"] for line in found.values()) / 3600
    text = f"{len(found)} of {len(everything)} federations, {hours:.1f} hours of one core in all."
    missing: dict[str, int] = {}
    for item in everything:
        if item not in found:
            name = f"{item.scenario.partition(':')[2]}, seed {item.seed}"
            missing[name] = missing.get(name, 0) + 1
    if missing:
        text += " Not yet measured: " + "; ".join(f"{name} ({n})" for name, n in missing.items()) + "."
    return text

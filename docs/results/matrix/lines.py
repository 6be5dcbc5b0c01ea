"""The results: one line of JSON for each finished cell, appended and never changed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from cells import Cell

from fedsec_core.runs.reading import FederationResult

sys.path.insert(0, str(Path(__file__).parents[1]))

from ledger import Line, append, read

__all__ = ["Line", "append", "finished", "measured", "read"]

FIGURES = ("precision", "recall", "f1", "false_positive_rate")
OF_A_DEFENCE = ("before", "detect", "aggregate", "after")


def finished(lines: Iterable[Line], cells: Iterable[Cell]) -> dict[Cell, Line]:
    """Return the line of each of `cells` that was measured with its present settings."""
    known = {(*_place(line), line["settings"]): line for line in lines}
    placed = ((cell, (cell.dataset, cell.attack, cell.defence, cell.seed, cell.settings)) for cell in cells)
    return {cell: known[place] for cell, place in placed if place in known}


def measured(cell: Cell, run: FederationResult) -> Line:
    """Return the line of a finished cell: what identifies it, and what was found."""
    final = run.final
    played = [event for event in run.rounds if event["round"]]
    attacked = [event for event in played if event["attacking"]]
    quiet = [event for event in played if not event["attacking"]]
    components = run.facts["components"]
    judges = [each["label"] for each in components if each["role"] == "detect"]
    defence = [each["label"] for each in components if each["role"] in OF_A_DEFENCE and not each["shadow"]]
    spent = sum(event["components"].get(label, 0.0) for event in played for label in defence)
    return {
        "dataset": cell.dataset,
        "attack": cell.attack,
        "defence": cell.defence,
        "seed": cell.seed,
        "settings": cell.settings,
        "status": run.status,
        **({"why": run.facts["why"]} if "why" in run.facts else {}),
        **{
            name: _rounded(final.get(f"classification.{name}"))
            for name in ("accuracy", "balanced_accuracy", "auc")
        },
        "asr": {
            name[:-4]: _rounded(final[name])
            for name in final
            if name.endswith(".asr") and name.count(".") == 1
        },
        "detection": {label: _means(attacked, label, FIGURES) for label in judges if attacked},
        "false_alarms": {
            label: _means(quiet, label, FIGURES[3:])["false_positive_rate"] for label in judges if quiet
        },
        "chosen": _chosen(run),
        "attackers": _rounded(_mean(len(event["attacking"]) / len(event["cohort"]) for event in attacked)),
        "classes": len(run.facts["data"]["classes"]),
        "knew": {each["label"]: _known(each) for each in components if each["told"] or "f" in each},
        "seconds": round(run.facts["seconds"], 1),
        "defence_seconds": round(spent, 2),
        "digest": run.facts["digest"],
        "key": run.facts["key"],
        "torch": run.facts["digest_class"]["torch"],
    }


def _place(line: Line) -> tuple[str, str, str, int]:
    return line["dataset"], line["attack"], line["defence"], line["seed"]


def _known(component: Mapping[str, Any]) -> list[str]:
    """Return the knowledge that a component was granted, and the f that it was told."""
    told = f"f = {component['f']}" if "f" in component else ""
    return [*component["told"], *([told] if told else [])]


def _means(
    events: Sequence[Mapping[str, Any]], label: str, figures: Sequence[str]
) -> dict[str, float | None]:
    """Return the mean of each figure over the rounds in which it is defined."""
    found = {name: [event["metrics"].get(f"{label}.{name}") for event in events] for name in figures}
    return {name: _rounded(_mean(values)) for name, values in found.items()}


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return fmean(there) if there else None


def _chosen(run: FederationResult) -> float | None:
    """Return the share of attackers among the rows that the rule chose, in rounds with an attack."""
    tables = (run.end or {}).get("tables", {})
    attacking = {event["round"]: event["attacking"] for event in run.rounds if event["attacking"]}
    hits = [
        client in attacking[number]
        for name, table in tables.items()
        if name.endswith("chosen") and "client" in table["columns"]
        for number, client in _rows(table["columns"])
        if number in attacking
    ]
    return _rounded(fmean(hits)) if hits else None


def _rows(columns: Mapping[str, Sequence[int]]) -> Iterator[tuple[int, int]]:
    return zip(columns["round"], columns["client"], strict=True)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

"""Writes `report.html`: puts the parts of the page together, all from what the run folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fedsec_core.report import exhibits, figures, series, summary, text, threat
from fedsec_core.runs.experiment import SCENARIO
from fedsec_core.runs.reading import FederationResult, Found
from fedsec_core.runs.writing import replace

if TYPE_CHECKING:
    from fedsec_core.runs.api import Result

REPORT = "report.html"
PANELS = 60
"""At most so many panels of single classes: beyond it the page would be heavy and nobody would look."""


@frozen
class Panel:
    """A figure with its title."""

    title: str
    svg: Markup
    caption: str = ""


def write(result: Result) -> Path:
    """Write the report of `result` into its folder and return the file.

    It is one page without scripts that loads nothing. Only the run folder is read.
    """
    page = Environment(
        loader=PackageLoader("fedsec_core.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {"number": text.number, "cell": text.cell, "ranges": text.ranges, "listing": text.listing}
    with figures.drawing():
        html = page.get_template("page.html.jinja").render(_context(result))
    file = result.folder / REPORT
    # A message may hold what a file name holds: bytes that are no text.
    replace(file, html.encode(errors="replace").decode())
    return file


def _context(result: Result) -> dict[str, Any]:
    found, table = result.found, result.table()
    firsts = summary.firsts(found)
    first = found.federations[0]
    found_tables = {run.variant: exhibits.tables(run) for run in firsts}
    scenario = result.folder / SCENARIO
    of_classes = [name for name in table.rows if name not in table.brief()]
    return {
        "name": first.facts["name"],
        "first": first,
        "paragraph": summary.paragraph(found),
        "statuses": summary.statuses(found),
        "seeds": sorted({run.seed for run in found.federations}),
        "seconds": sum(
            run.facts.get("seconds", 0) for run in found.federations if "copied_from" not in run.facts
        ),
        "notices": summary.notices(found),
        "cards": summary.cards(found, table),
        "claims": result.claims,
        "styles": list(series.styles(found).values()),
        "attacked": series.attacked_rounds(found),
        "attackers": summary.attackers(found),
        "panels": _panels(found, list(table.brief())),
        "class_panels": _panels(found, of_classes[:PANELS]),
        "class_left_out": len(of_classes[PANELS:]),
        "table": table,
        "model": threat.model(found, scenario),
        "holdings": _holdings(firsts),
        "verdicts": [panel for run in firsts for panel in _verdicts(run)],
        "chosen": [
            _chosen(run, each) for run in firsts for each in found_tables[run.variant] if each.by_client
        ],
        "pictures": exhibits.pictures(firsts),
        "tables": {
            variant: rest
            for variant, every in found_tables.items()
            if (rest := [each for each in every if not each.by_client])
        },
        "remarks": summary.remarks(found.federations),
        "federations": [(summary.title(run), run) for run in found.federations],
        "scenario": scenario.read_text(encoding="utf-8") if scenario.exists() else "",
    }


def _panels(found: Found, metrics: Sequence[str]) -> list[Panel]:
    """Draw the curves of `metrics`; those without a value in any round are left out."""
    rounds = max(run.facts["rounds"] for run in found.federations)
    attacked = series.attacked_rounds(found)
    curves = [(metric, series.lines(found, metric)) for metric in metrics]
    return [
        Panel(metric, figures.curve(metric, lines, attacked, rounds)) for metric, lines in curves if lines
    ]


@frozen
class Holdings:
    """Who holds what, in words and as a figure, and the variants in which it was so."""

    variants: tuple[str, ...]
    seed: int
    svg: Markup
    classes: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    malicious: tuple[int, ...]


def _holdings(runs: Sequence[FederationResult]) -> list[Holdings]:
    shared: dict[str, list[FederationResult]] = {}
    for run in runs:
        shared.setdefault(repr((run.seed, run.facts["holdings"], threat.malicious(run))), []).append(run)
    found = []
    for same in shared.values():
        facts = same[0].facts
        counts, malicious = np.array(facts["holdings"]), threat.malicious(same[0])
        classes = tuple(facts["data"]["classes"])
        size = f"{text.count(len(counts), 'client')}, {text.count(len(classes), 'class', 'classes')}"
        label = f"Samples by client and class in {summary.title(same[0])}: {size}"
        found.append(
            Holdings(
                variants=tuple(run.variant for run in same),
                seed=same[0].seed,
                svg=figures.holdings(counts, classes, malicious, label),
                classes=classes,
                rows=tuple(tuple(row) for row in counts.tolist()),
                malicious=tuple(malicious),
            )
        )
    return found


def _verdicts(run: FederationResult) -> list[Panel]:
    """Draw trust and flags of each detector of a federation."""
    clients, rounds, malicious = _extent(run)
    labels = dict.fromkeys(label for event in run.rounds for label in event["verdicts"])
    panels = []
    for label in labels:
        trusted = np.full((clients, rounds), np.nan)
        flagged, hits = [], 0
        for event in run.rounds:
            if verdict := event["verdicts"].get(label):
                trusted[event["cohort"], event["round"] - 1] = verdict["trust"]
                flags = zip(event["cohort"], verdict["flagged"], strict=True)
                accused = [client for client, flag in flags if flag]
                flagged += [(event["round"], client) for client in accused]
                hits += sum(client in event["attacking"] for client in accused)
        words = f"{text.count(len(flagged), 'flag')}, {hits} of them on clients that were attacking"
        title = f"{label} in {summary.title(run)}"
        svg = figures.trust(trusted, flagged, malicious, f"Trust and flags of {title}: {words}")
        panels.append(Panel(title, svg, f"{words[0].upper()}{words[1:]}."))
    return panels


def _chosen(run: FederationResult, table: exhibits.Exhibit) -> Panel:
    """Draw a table of rounds and clients, and say how many of its rows are attackers'."""
    clients, rounds, malicious = _extent(run)
    when, who = table.columns.index("round"), table.columns.index("client")
    attacking = {(event["round"], client) for event in run.rounds for client in event["attacking"]}
    groups: dict[str, list[tuple[int, int]]] = {"honest": [], "idle": [], "attacking": []}
    for row in table.rows:
        point = row[when], row[who]
        kind = "attacking" if point in attacking else "idle" if point[1] in malicious else "honest"
        groups[kind].append(point)
    words = (
        f"{len(groups['attacking'])} of {text.count(len(table.rows), 'row')} from clients that were attacking"
    )
    title = f"{table.name} in {summary.title(run)}"
    svg = figures.dots(groups, clients, rounds, malicious, f"{title}: {words}")
    return Panel(title, svg, f"{table.caption.rstrip('.')}: {words}.".removeprefix(": "))


def _extent(run: FederationResult) -> tuple[int, int, list[int]]:
    """Return the numbers of clients and rounds, and the malicious clients."""
    return len(run.facts["holdings"]), run.facts["rounds"], threat.malicious(run)

"""Curves as numbers: each metric of each variant by round, mean and range over the seeds."""

from __future__ import annotations

from statistics import fmean

from attrs import frozen

from fedsec_core.runs.reading import FederationResult, Found

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8a8a8a")
"""Okabe and Ito's palette, told apart by the colour-blind; its vermilion is kept for attackers."""
ATTACKER = "#d55e00"
MARKERS = {"o": "●", "s": "■", "^": "▲", "D": "◆"}
"""matplotlib's name of a marker, and the character that stands for it in the legend."""


@frozen
class Style:
    """How one variant is drawn, in every panel alike; its twin is the same, dashed."""

    title: str
    colour: str
    marker: str
    dashed: bool

    @property
    def glyph(self) -> str:
        """The marker as a character."""
        return MARKERS[self.marker]


@frozen
class Line:
    """One metric of one variant: [rounds] each, None where it is undefined."""

    style: Style
    rounds: tuple[int, ...]
    mean: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    seeds: int


def styles(found: Found) -> dict[tuple[str, bool], Style]:
    """Give each variant a colour, and a marker where colours run out."""
    variants = list(dict.fromkeys(variant for variant, _ in found.columns()))
    markers = list(MARKERS)
    given = {}
    for variant, twin in found.columns():
        turn, colour = divmod(variants.index(variant), len(COLOURS))
        title = f"{variant}, clean twin" if twin else variant
        given[variant, twin] = Style(title, COLOURS[colour], markers[turn % len(markers)], twin)
    return given


def lines(found: Found, metric: str) -> list[Line]:
    """Return the curves of `metric`; variants that never had a value are left out."""
    curves = [
        _line(style, found.of(variant, twin=twin), metric) for (variant, twin), style in styles(found).items()
    ]
    return [line for line in curves if any(value is not None for value in line.mean)]


def _line(style: Style, runs: list[FederationResult], metric: str) -> Line:
    series = [run.metrics.get(metric, {}) for run in runs]
    rounds = tuple(sorted({number for values in series for number in values}))
    mean: list[float | None] = []
    low: list[float | None] = []
    high: list[float | None] = []
    for number in rounds:
        values = [each[number] for each in series if number in each]
        known = [value for value in values if value is not None]
        # As in the table: undefined in one seed, undefined in the mean.
        defined = len(known) == len(values)
        mean.append(fmean(known) if defined else None)
        low.append(min(known) if defined else None)
        high.append(max(known) if defined else None)
    return Line(style, rounds, tuple(mean), tuple(low), tuple(high), len(runs))


def attacked_rounds(found: Found) -> list[int]:
    """Return the rounds in which an attacker of the cohort was active, in any run."""
    return sorted({event["round"] for run in found.federations for event in run.rounds if event["attacking"]})

"""The figures of the report, as SVG that stands in the page and takes its colours."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from fedsec_core.report.series import ATTACKER, COLOURS, Line
from fedsec_core.report.text import spans

HONEST = COLOURS[0]
# Colours that nothing else has: in the SVG they become variables of the page, for light and dark.
INK, GRID = "#010203", "#040506"
VARIABLES = {INK: "var(--ink)", GRID: "var(--grid)"}
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.7,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}
TRUST = LinearSegmentedColormap.from_list("trust", ("#c44e00", "#f0c27b", "#7fb3d5"))
WIDTH = 9.4
"""Inches of a figure that fills the page."""
AMOUNT = LinearSegmentedColormap.from_list("amount", ("#e8f0f5", "#0072b2", "#002d47"))
MANY = 600
"""Marks beyond this number are drawn as pixels: as shapes they would make the page heavy."""


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the report's own style, whatever the user's matplotlibrc says; afterwards all is as before."""
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        # The browser chooses the font: a glyph that matplotlib's lacks is no fault of the page.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def curve(title: str, lines: Sequence[Line], attacked: Sequence[int], rounds: int) -> Markup:
    """Draw one metric by round: a line per variant, twins dashed, attacked rounds shaded."""
    figure, axes = _axes(3.5, 2.3)
    for first, last in spans(attacked):
        axes.axvspan(first - 0.5, last + 0.5, color=ATTACKER, alpha=0.08, linewidth=0)
    for line in lines:
        _draw(axes, line)
    known = [value for line in lines for value in (*line.low, *line.high) if value is not None]
    if known and min(known) >= 0 and 0.5 < max(known) <= 1:
        axes.set_ylim(-0.03, 1.03)
    elif known and min(known) >= 0:
        axes.set_ylim(bottom=0)
    axes.set_xlim(-0.5, max(rounds, 1) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("round")
    return _svg(figure, f"{title} by round: {'; '.join(_ends(line) for line in lines)}")


def _draw(axes: Axes, line: Line) -> None:
    style, few = line.style, len(line.rounds) <= 25
    mean, low, high = (np.array(values, dtype=float) for values in (line.mean, line.low, line.high))
    axes.plot(
        line.rounds,
        mean,
        color=style.colour,
        linestyle=(0, (3, 2)) if style.dashed else "-",
        marker=style.marker if few else "",
        markersize=3,
        alpha=0.85 if style.dashed else 1,
    )
    if line.seeds > 1:
        axes.fill_between(line.rounds, low, high, color=style.colour, alpha=0.16, linewidth=0)


def _ends(line: Line) -> str:
    known = [value for value in line.mean if value is not None]
    return f"{line.style.title} from {known[0]:.3f} to {known[-1]:.3f}"


def stacked(
    spans: Sequence[tuple[int, int]],
    layers: Sequence[tuple[str, Sequence[float]]],
    top: float,
    label: str,
) -> Markup:
    """Draw seconds up to `top` as bars, each over its rounds (first, last).

    Layers are (colour, seconds of each bar), one upon another.
    """
    figure, axes = _axes(3.5, 2.3)
    # Every other span of the stairs is the gap between two bars: one shape a layer keeps the page light.
    edges = np.array([(first - 0.42, last + 0.42) for first, last in spans]).ravel()
    ground = np.zeros(len(spans))
    for colour, seconds in layers:
        height = ground + np.array(seconds)
        axes.stairs(_gapped(height), edges, baseline=_gapped(ground), fill=True, color=colour, linewidth=0)
        ground = height
    axes.set_ylim(0, top * 1.04 or 1)
    axes.set_xlim(edges[0] - 0.3, edges[-1] + 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(False, axis="x")
    axes.set_xlabel("round")
    axes.set_ylabel("seconds")
    return _svg(figure, label)


def _gapped(values: np.ndarray) -> np.ndarray:
    return np.column_stack((values, np.full(len(values), np.nan))).ravel()[:-1]


def holdings(counts: np.ndarray, classes: Sequence[str], malicious: Sequence[int], label: str) -> Markup:
    """Draw who holds how many samples [clients, classes] of each class."""
    if len(classes) <= len(COLOURS):
        figure, axes = _axes(WIDTH, 2.6)
        ground = np.zeros(len(counts))
        for held, name, colour in zip(counts.T, classes, COLOURS, strict=False):
            axes.bar(range(len(counts)), held, 0.82, bottom=ground, color=colour, label=name)
            ground += held
        axes.set_ylabel("samples")
        axes.grid(False, axis="x")
        figure.legend(loc="outside upper center", ncols=len(classes), frameon=False, handlelength=1)
    else:
        figure, axes = _axes(WIDTH, 0.9 + 0.22 * len(classes))
        image = axes.imshow(counts.T, cmap=AMOUNT, aspect="auto", interpolation="none")
        axes.set_yticks(range(len(classes)), labels=list(classes))
        axes.grid(False)
        _scale(figure, axes, image, "samples")
    axes.set_xlim(-0.6, len(counts) - 0.4)
    axes.set_xlabel("client")
    axes.xaxis.set_major_locator(MaxNLocator(20, integer=True))
    axes.plot(
        malicious, [-0.02] * len(malicious), "^", color=ATTACKER, markersize=5, clip_on=False,
        transform=axes.get_xaxis_transform(),
    )  # fmt: skip
    return _svg(figure, label)


def trust(
    trusted: np.ndarray, flagged: Sequence[tuple[int, int]], malicious: Sequence[int], label: str
) -> Markup:
    """Draw trust [clients, rounds], NaN where a client was not asked, and flags as (round, client)."""
    clients, rounds = trusted.shape
    figure, axes = _by_client(clients, rounds, malicious)
    image = axes.imshow(
        trusted, cmap=TRUST, vmin=0, vmax=1, aspect="auto", interpolation="none",
        extent=(0.5, rounds + 0.5, clients - 0.5, -0.5),
    )  # fmt: skip
    axes.grid(False)
    if flagged:
        x, y = zip(*flagged, strict=True)
        axes.scatter(
            x,
            y,
            s=_mark(clients, rounds),
            marker="x",
            linewidths=1.2,
            color="#1a1a1a",
            rasterized=len(x) > MANY,
        )
    _scale(figure, axes, image, "trust")
    return _svg(figure, label)


def dots(
    groups: Mapping[str, Sequence[tuple[int, int]]],
    clients: int,
    rounds: int,
    malicious: Sequence[int],
    label: str,
) -> Markup:
    """Draw points (round, client) in the groups `honest`, `idle` (attackers at rest) and `attacking`."""
    figure, axes = _by_client(clients, rounds, malicious)
    for name, points in groups.items():
        colour = HONEST if name == "honest" else ATTACKER
        if points:
            x, y = zip(*points, strict=True)
            axes.scatter(
                x, y, s=_mark(clients, rounds), color=colour, linewidths=1,
                facecolors="none" if name == "idle" else colour, rasterized=len(x) > MANY,
            )  # fmt: skip
    return _svg(figure, label)


def _by_client(clients: int, rounds: int, malicious: Sequence[int]) -> tuple[Figure, Axes]:
    """Return axes with a line per client, downwards, and the malicious ones marked."""
    figure, axes = _axes(min(WIDTH, 2.2 + 0.4 * rounds), min(0.9 + 0.19 * clients, 7))
    axes.set_ylim(clients - 0.5, -0.5)
    axes.set_xlim(0.5, rounds + 0.5)
    axes.set_xlabel("round")
    axes.set_ylabel("client")
    axes.xaxis.set_major_locator(MaxNLocator(15, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(min(clients, 25), integer=True))
    axes.plot(
        [0] * len(malicious), malicious, ">", color=ATTACKER, markersize=5, clip_on=False,
        transform=axes.get_yaxis_transform(),
    )  # fmt: skip
    return figure, axes


def _scale(figure: Figure, axes: Axes, image: AxesImage, label: str) -> None:
    """Put the scale of colours beside the axes, equally wide whatever their height."""
    figure.colorbar(image, ax=axes, label=label, pad=0.01, aspect=max(6, figure.get_figheight() * 6))


def _mark(clients: int, rounds: int) -> float:
    return 22 if max(clients, rounds) <= 30 else 8 if max(clients, rounds) <= 100 else 3


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=100)
    return figure, figure.add_subplot()


def _svg(figure: Figure, label: str) -> Markup:
    """Return the figure as an `<svg>` for the page; the same figure gives the same text."""
    made = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    # Ids are made from the salt: two figures of one page must not share any.
    with matplotlib.rc_context({"svg.hashsalt": label}):
        figure.savefig(made, format="svg", dpi=150, metadata=nothing)
    svg = made.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1))

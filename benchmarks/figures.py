"""Draws the figures of the page: SVG whose ink follows the reader's colour scheme."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import comparison
import matplotlib as mpl
from machine import Row
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, PALE = "#24292f", "#e6edf3"
OURS, OTHERS = "#2f81c7", "#8c959f"
STYLE = (
    "<style>@media (prefers-color-scheme: dark) {"
    f'[style*="fill: {INK}"] {{ fill: {PALE} !important }} '
    f'[style*="stroke: {INK}"] {{ stroke: {PALE} !important }}'
    "}</style>"
)
COLOURED = (
    "text.color",
    "axes.edgecolor",
    "axes.labelcolor",
    "axes.titlecolor",
    "xtick.color",
    "ytick.color",
)


def draw(results: Row, folder: Path) -> None:
    """Write `benchmarks.svg` into `folder`, with a panel for each part that was measured."""
    panels: dict[str, Callable[[Axes, list[Row]], None]] = {
        "federation": _federation,
        "kernels": _kernels,
        "clients": _clients,
        "memory": _memory,
    }
    there = {name: panel for name, panel in panels.items() if name in results}
    if not there:
        return
    settings: Any = {**dict.fromkeys(COLOURED, INK), "font.size": 9, "svg.hashsalt": "fedsec"}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(9, 3.0 * -(-len(there) // 2)), layout="constrained")
        grid = figure.subplots(-(-len(there) // 2), 2, squeeze=False).flatten()
        for axis in grid[len(there) :]:
            axis.remove()
        for axis, (name, panel) in zip(grid, there.items(), strict=False):
            axis.spines[["top", "right"]].set_visible(False)
            panel(axis, results[name]["rows"])
        drawn = StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    head, _, rest = drawn.getvalue().partition("<defs>")
    (folder / "benchmarks.svg").write_text(f"{head}{STYLE}<defs>{rest}", encoding="utf-8")


def _federation(axis: Axes, rows: list[Row]) -> None:
    names = list(comparison.CONTESTANTS)[::-1]
    values = [comparison.seconds(rows, name) for name in names]
    bars = axis.barh(names, values, color=[OURS if name == "fedsec" else OTHERS for name in names])
    axis.bar_label(bars, fmt=" %.2f", color=INK)
    axis.margins(x=0.15)
    axis.set(title="Five rounds of 20 clients", xlabel="seconds, median")


def _kernels(axis: Axes, rows: list[Row]) -> None:
    known = [row for row in rows if "ratio" in row]
    size = max(row["n"] * row["d"] for row in known if row["n"] == min(100, max(each["n"] for each in known)))
    chosen = [row for row in known if row["n"] * row["d"] == size and row["n"] <= 100][::-1]
    names = [f"{row['rule']}, {row['plain'].split(',')[0].split(' (')[0]}" for row in chosen]
    bars = axis.barh(names, [row["plain_seconds"] / row["ours_seconds"] for row in chosen], color=OURS)
    axis.bar_label(bars, fmt=" %.2f", color=INK)
    axis.axvline(1, color=INK, lw=0.8)
    axis.margins(x=0.15)
    n, d = chosen[0]["n"], chosen[0]["d"]
    axis.set(title="Aggregation kernels", xlabel=f"times as fast as torch, n = {n}, d = {d:,}")


def _clients(axis: Axes, rows: list[Row]) -> None:
    milliseconds = [1e3 * row["per_client"] for row in rows]
    axis.semilogx([row["clients"] for row in rows], milliseconds, "o-", color=OURS)
    axis.set(title="Time per client", xlabel="clients in the round", ylabel="milliseconds")
    axis.set_ylim(bottom=0)


def _memory(axis: Axes, rows: list[Row]) -> None:
    names = [f"{row['rule']}, {row['clients']:,} clients" for row in rows][::-1]
    bars = axis.barh(names, [row["above_mib"] for row in rows][::-1], color=OURS, label="above idle")
    axis.barh(names, [row["matrix_mib"] for row in rows][::-1], color="none", edgecolor=INK, label="matrix")
    axis.bar_label(bars, fmt=" %.0f", color=INK)
    axis.margins(x=0.15)
    axis.legend(frameon=False, labelcolor=INK)
    axis.set(title="Memory of a round, 10⁶ parameters", xlabel="MiB, all processes")

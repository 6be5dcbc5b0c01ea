"""Curves of what clients report, drawn as an image."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

HONEST, MALICIOUS = "#8a8a8a", "#d55e00"


def of_clients(
    losses: Sequence[Sequence[float | None]], names: Sequence[str], malicious: Collection[int]
) -> np.ndarray:
    """Return an image [H, W, 3] of bytes: a panel for each loss, a line for each client.

    `losses` are rows of round, client, and the losses called `names`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=100, layout="constrained")
    panels = figure.subplots(2, -(-len(names) // 2), sharex=True).flat
    for place, (axes, name) in enumerate(zip(panels, names, strict=True), 2):
        for client in sorted({int(each[1] or 0) for each in losses}):
            known = [each for each in losses if each[1] == client and each[place] is not None]
            bad = client in malicious
            axes.plot(
                [each[0] for each in known],
                [each[place] for each in known],
                color=MALICIOUS if bad else HONEST,
                lw=1.6 if bad else 1.0,
                zorder=3 if bad else 2,
            )
        axes.set(title=name.replace("_", " "), xlabel="round")
        axes.grid(alpha=0.3)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()

"""Draws the curves of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import reading
from ledger import Line
from matplotlib import rcParams
from matplotlib.figure import Figure

from fedsec_core.report.series import COLOURS

PANELS = (
    (
        "success by attack",
        "asr",
        (
            "main",
            "plain",
            "model-replacement",
            "neurotoxin",
            "pgd",
            "chameleon",
            "anticipate",
            "dba",
            "clean",
        ),
    ),
    (
        "success by parts",
        "asr",
        (
            "main",
            "plain",
            "gan-only",
            "unguided",
            "without-mask",
            "without-step-1",
            "without-gan",
            "implant",
            "look-ahead",
            "temporal",
        ),
    ),
    ("accuracy", "accuracy", ("main", "plain", "gan-only", "clean")),
)
BANDS = ("main", "plain")
"""Variants whose least and greatest value are shown too."""
STYLES = ("-", "--")
"""Of lines, once all colours are taken."""
# the same figure is the same file, so that a page that is written again changes nothing
rcParams["svg.hashsalt"] = "fedsec"


def curves(file: Path, lines: Mapping[str, Sequence[Line]], names: Mapping[str, str]) -> None:
    """Draw attack success and accuracy by round: the mean of the seeds, shaded from least to greatest."""
    figure = Figure(figsize=(12.5, 5.6), layout="constrained")
    for axes, (title, series, variants) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        for place, variant in enumerate(variants):
            if not lines.get(variant):
                continue
            colour, style = COLOURS[place % len(COLOURS)], STYLES[place // len(COLOURS)]
            least, mean, greatest = reading.curve(lines[variant], series)
            rounds = range(len(mean))
            axes.plot(rounds, mean, color=colour, ls=style, lw=1.3, label=names[variant])
            if variant in BANDS:
                axes.fill_between(rounds, least, greatest, color=colour, alpha=0.12, lw=0)
        gone = max(
            (line["end"].get("durability.departure") or 0) for line in lines.get("main", [{"end": {}}])
        )
        axes.axvline(gone, color="#8a8a8a", lw=0.8, ls=":")
        axes.set(title=title, xlabel="round")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7.5, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    figure.savefig(file, metadata={"Date": None})

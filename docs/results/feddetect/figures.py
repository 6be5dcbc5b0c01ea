"""Draws the curves of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from ledger import Line
from matplotlib import rcParams
from matplotlib.figure import Figure

from fedsec_core.report.series import ATTACKER, COLOURS

PANELS = {
    "FD-clf": "generation.fd_clf",
    "class accuracy": "generation.class_accuracy",
    "trigger distance": "fedgan-backdoor.trigger_distance",
}
# the same figure is the same file, so that a page that is written again changes nothing
rcParams["svg.hashsalt"] = "fedsec"


def losses(file: Path, lines: Mapping[str, Sequence[Line]], names: Mapping[str, str]) -> None:
    """Draw the losses of every client's generator, of the attacked and the clean run, all seeds."""
    shown = [variant for variant in ("main", "clean", "feddetect") if variant in lines]
    if not shown:
        return
    figure = Figure(figsize=(3.4 * len(shown), 2.8), layout="constrained")
    for axes, variant in zip(
        figure.subplots(1, len(shown), sharey=True, squeeze=False)[0], shown, strict=True
    ):
        for line in lines[variant]:
            rounds = line["losses"].get("round", [])
            for name, column in line["losses"].items():
                if name.startswith("mean_generator_loss "):
                    bad = int(name.rpartition(" ")[2]) in line["malicious"]
                    colour = ATTACKER if bad else "#8a8a8a"
                    axes.plot(rounds, column, color=colour, lw=0.8, alpha=0.8, zorder=3 if bad else 2)
        axes.set_title(names[variant], fontsize=9)
        axes.set(xlabel="round")
        axes.grid(alpha=0.3)
    figure.savefig(file, metadata={"Date": None})


def curves(file: Path, lines: Mapping[str, Sequence[Line]], names: Mapping[str, str]) -> None:
    """Draw quality and leakage by round, the mean of the seeds.

    A defence has a colour; its clean run has the same one, dashed.
    """
    shown = [each for each in names if each in lines]
    undefended = "undefended" if "undefended" in shown else "main"
    defence = {each: _defence(each) or undefended for each in shown}
    defences = list(dict.fromkeys(defence.values()))
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = figure.subplots(1, len(PANELS))
    for axes, (title, metric) in zip(panels, PANELS.items(), strict=True):
        for variant in shown:
            rounds, values = _mean(lines[variant], metric)
            axes.plot(
                rounds,
                values,
                color=COLOURS[defences.index(defence[variant]) % len(COLOURS)],
                ls="--" if "clean" in variant.split("-") else "-",
                lw=1.2,
                label=names[variant],
            )
        axes.set(title=title, xlabel="round")
        axes.grid(alpha=0.3)
    panels[0].set_yscale("log")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(file, metadata={"Date": None})


def _defence(variant: str) -> str:
    """Return what stands against an attack: the variant's name without the word for there being none."""
    return "-".join(word for word in variant.split("-") if word != "clean")


def _mean(group: Sequence[Line], metric: str) -> tuple[list[int], list[float]]:
    """Return rounds and the mean over the seeds, without round 0, the built model."""
    series = [dict(line["series"].get(metric, [])) for line in group]
    rounds = sorted({number for each in series for number in each if number})
    values = {number: [each[number] for each in series if each.get(number) is not None] for number in rounds}
    return [number for number in rounds if values[number]], [fmean(v) for v in values.values() if v]

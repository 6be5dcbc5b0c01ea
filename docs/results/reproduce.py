"""Measures what `docs/results/` shows; stop it at any moment and start it again.

Each finished federation is one line of `results.jsonl` and is not run again while its key holds.
The page and its figure are written anew at the end. Needs FEDSEC_DATA, or files where MedMNIST
keeps its own. Run it as `make reproduce`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import fedsec_core
from fedsec_core.scenario import load

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
PAGE = HERE / "pneumonia.md"
FIGURE = HERE / "pneumonia.svg"
SCENARIOS = ("pneumonia-fedavg", "pneumonia-resnet", "pneumonia-badnets", "breast-fedavg", "retina-fedavg")
KEPT = ("classification.accuracy", "classification.auc", "badnets.asr")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

Line = dict[str, Any]


def main() -> None:
    """Run what is missing, then write the page."""
    done = lines()
    for name in SCENARIOS:
        scenario = f"fedsec-medmnist:{name}"
        for seed in load(scenario).seeds:
            if any(line["scenario"] == scenario and line["seed"] == seed for line in done):
                continue
            with tempfile.TemporaryDirectory() as folder:
                result = fedsec_core.run(scenario, seeds=[seed], out=folder, report=False)
                with RESULTS.open("a", encoding="utf-8") as file:
                    for line in measured(scenario, result):
                        file.write(json.dumps(line) + "\n")
            print(f"{scenario} seed {seed}: measured", flush=True)
    write_page(lines())


def lines() -> list[Line]:
    """Read the results so far."""
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def measured(scenario: str, result: fedsec_core.Result) -> Iterator[Line]:
    """Give one line per federation: what identifies it, and the curves of a few metrics."""
    for each in result.federations:
        series = each.metrics
        yield {
            "scenario": scenario,
            "variant": each.variant,
            "twin": each.twin,
            "seed": each.seed,
            "status": each.status,
            "digest": each.facts["digest"],
            "torch": each.facts["digest_class"]["torch"],
            "seconds": each.facts["seconds"],
            "metrics": {name: rounded(series[name]) for name in KEPT if name in series},
        }


def rounded(series: dict[int, float | None]) -> list[float | None]:
    """Return the values by round, to five digits."""
    return [None if value is None else round(value, 5) for _, value in sorted(series.items())]


def write_page(found: list[Line]) -> None:
    """Replace the measured part of the page, and draw the figure."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(found)}\n{END}{after}", encoding="utf-8")
    draw(found)


def table(found: list[Line]) -> str:
    """Return a table: the end, and the mean of the last five rounds, over the seeds."""
    rows = [
        "| scenario | run | seeds | accuracy, end | AUC, end | accuracy, last 5 | attack success, last 5 |",
        "|---|---|---|---|---|---|---|",
    ]
    for scenario, twin in dict.fromkeys((line["scenario"], line["twin"]) for line in found):
        group = [line for line in found if (line["scenario"], line["twin"]) == (scenario, twin)]
        cells = [
            summary(group, "classification.accuracy", 1),
            summary(group, "classification.auc", 1),
            summary(group, "classification.accuracy", 5),
            summary(group, "badnets.asr", 5),
        ]
        rows.append(f"| `{scenario}` | {'twin' if twin else 'main'} | {len(group)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def summary(group: list[Line], metric: str, last: int) -> str:
    """Return mean ± standard deviation over the seeds of the mean of the last rounds."""
    if any(metric not in line["metrics"] for line in group):
        return "-"
    values = [fmean(line["metrics"][metric][-last:]) for line in group]
    return f"{fmean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")


def draw(found: list[Line]) -> None:
    """Draw the curves of the attacked runs and their twins."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True)
    for axis, metric, title in zip(axes, KEPT[::2], ("clean accuracy", "attack success rate"), strict=True):
        for line in found:
            if line["scenario"].endswith("pneumonia-badnets"):
                style = {"color": "#0072b2", "ls": "--"} if line["twin"] else {"color": "#d55e00", "ls": "-"}
                label = ("clean twin" if line["twin"] else "attacked") if line["seed"] == 1 else None
                axis.plot(line["metrics"][metric], lw=1.2, label=label, **style)
        axis.set(title=title, xlabel="round", ylim=(-0.03, 1.03))
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    figure.savefig(FIGURE, metadata={"Date": None})


if __name__ == "__main__":
    main()

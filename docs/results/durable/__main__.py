"""`python docs/results/durable`: runs what is missing, then writes the page.

Each finished federation is one line of `results.jsonl`; the command can be killed at any moment and
started again. Federations start from what a clean one ended with, which is played once per data set
and seed. `--page` writes the page from what is there, `--only blood` runs one scenario, with
`--variant main --variant clean` some of its variants. The data sets are found as every scenario finds
them: FEDSEC_DATA names their folder.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import command  # noqa: E402
import sweep  # noqa: E402
from command import rounded  # noqa: E402
from ledger import Line  # noqa: E402
from sweep import Item  # noqa: E402

from fedsec_core.runs.reading import FederationResult  # noqa: E402

IMAGES = HERE / "images"
PLUGIN = "fedsec-durable-backdoor"
SCENARIOS = {
    "blood": "warm-blood",
    "blood-epochs": "warm-blood",
    "pneumonia": "warm-pneumonia",
    "retina": "warm-retina",
    "blood-presence": "warm-blood",
    "blood-lengths": "warm-blood",
    "blood-defences": "warm-blood-defences",
}
"""Each with the scenario from whose end it starts."""
SERIES = {
    "asr": "backdoor.asr",
    "accuracy": "classification.accuracy",
    "norm_ratio": "durability.norm_ratio",
    "cosine": "durability.cosine",
    "detected": "durability.detected",
    "false_alarms": "foolsgold.false_positive_rate",
}
SHOWN = 11
"""The seed whose made images are on the page."""


def main() -> int:
    """Run what is missing and write the page; 1 if something cannot be run."""

    def writing() -> command.Writing:
        import page

        return page.paragraphs

    return command.run(HERE, __doc__, SCENARIOS, items, measured, writing)


def items() -> Iterator[Item]:
    """Give all federations of the page."""
    for name, warm in SCENARIOS.items():
        yield from sweep.items(f"{PLUGIN}:{name}", start=f"{PLUGIN}:{warm}")


def measured(item: Item, found: FederationResult) -> Line:
    """Return what was found in a federation; made images of one seed are kept as pictures."""
    if item.seed == SHOWN and item.variant == "main" and item.name in ("blood", "pneumonia", "retina"):
        _keep_images(item.name, found)
    rounds = [event["metrics"] for event in found.rounds]
    series = {
        name: [rounded(metrics.get(metric)) for metrics in rounds]
        for name, metric in SERIES.items()
        if any(metrics.get(metric) is not None for metrics in rounds)
    }
    end = {} if found.end is None else found.end.get("metrics", {})
    return {
        "malicious": sorted(found.facts["attackers"]["backdoor"]),
        "attacked": [event["round"] for event in found.rounds if event.get("attacking")],
        "series": series,
        "end": {name: rounded(value) for name, value in end.items() if name.startswith("durability.")},
    }


def _keep_images(name: str, found: FederationResult) -> None:
    first, *_, last = sorted((found.folder / "images").glob("*.backdoor.synthetic.png"))
    IMAGES.mkdir(exist_ok=True)
    for place, source in (("first", first), ("last", last)):
        shutil.copyfile(source, IMAGES / f"{name}-{place}.png")


if __name__ == "__main__":
    sys.exit(main())

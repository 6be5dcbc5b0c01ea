"""`python docs/results/feddetect`: runs what is missing, then writes the page.

Each finished federation is one line of `results.jsonl`; the command can be killed at any moment and
started again. `--page` writes the page from what is there, `--only blood` runs one scenario, with
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
SCENARIOS = ("blood", "pneumonia", "blood-six", "blood-wgan", "blood-liar")
LOSSES = "generation.losses"


def main() -> int:
    """Run what is missing and write the page; 1 if something cannot be run."""

    def writing() -> command.Writing:
        import page

        return page.paragraphs

    return command.run(HERE, __doc__, SCENARIOS, items, measured, writing)


def items() -> Iterator[Item]:
    """Give all federations of the page."""
    for name in SCENARIOS:
        yield from sweep.items(f"fedsec-feddetect:{name}")


def measured(item: Item, found: FederationResult) -> Line:
    """Return what was found in a federation; samples of the first seed are kept as pictures."""
    if item.seed == 1:
        _keep_samples(item, found)
    series = {
        name: [[number, rounded(value)] for number, value in sorted(values.items()) if number % 5 == 0]
        for name, values in found.metrics.items()
        if name.startswith(("generation.", "suppression.", "fedgan-backdoor."))
    }
    end = {} if found.end is None else found.end
    losses = end.get("tables", {}).get(LOSSES, {"columns": {}})["columns"]
    return {
        "malicious": sorted(client for held in found.facts["attackers"].values() for client in held),
        "series": series,
        "end": {name: rounded(value) for name, value in end.get("metrics", {}).items()},
        "losses": {name: [rounded(value) for value in column] for name, column in losses.items()},
        "verdicts": _verdicts(found),
    }


def _verdicts(found: FederationResult) -> dict[str, list[dict[str, list[float]]]]:
    """Return, by detector, shadows among them, trust and flags of every round; of clients in order."""
    played = [event for event in found.rounds if event["round"]]
    labels = dict.fromkeys(label for event in played for label in event["verdicts"])
    return {
        label: [
            {
                "trust": [rounded(value) for value in event["verdicts"][label]["trust"]],
                "flagged": [int(flag) for flag in event["verdicts"][label]["flagged"]],
            }
            for event in played
        ]
        for label in labels
    }


def _keep_samples(item: Item, found: FederationResult) -> None:
    IMAGES.mkdir(exist_ok=True)
    name = item.name
    last = max((event["round"] for event in found.rounds), default=0)
    kept = {f"round-{last:04d}.generation.samples.png": f"{name}-{item.variant}.png"}
    kept["round-0000.generation.real.png"] = f"{name}-real.png"
    for source, target in kept.items():
        if (found.folder / "images" / source).exists():
            shutil.copyfile(found.folder / "images" / source, IMAGES / target)


if __name__ == "__main__":
    sys.exit(main())

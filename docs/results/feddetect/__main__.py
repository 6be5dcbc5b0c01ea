"""`python docs/results/feddetect`: runs what is missing, then writes the page.

Each finished federation is one line of `results.jsonl`; the command can be killed at any moment and
started again. `--page` writes the page from what is there, `--only blood` runs one scenario, with
`--variant main --variant clean` some of its variants. The data sets are found as every scenario finds
them: FEDSEC_DATA names their folder.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import ledger  # noqa: E402
import sweep  # noqa: E402
from ledger import Line  # noqa: E402
from sweep import Item  # noqa: E402

from fedsec_core.errors import FedsecError  # noqa: E402
from fedsec_core.runs.reading import FederationResult  # noqa: E402

RESULTS = HERE / "results.jsonl"
IMAGES = HERE / "images"
SCENARIOS = ("blood", "pneumonia", "blood-six", "blood-wgan", "blood-liar")
LOSSES = "generation.losses"
DIGITS = 4


def main() -> int:
    """Run what is missing and write the page; 1 if something cannot be run."""
    parser = argparse.ArgumentParser(prog="python docs/results/feddetect", description=__doc__)
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="run this scenario alone")
    parser.add_argument("--variant", action="append", metavar="NAME", help="run this variant alone")
    parser.add_argument("--page", action="store_true", help="run nothing, write the page only")
    options = parser.parse_args()
    # ended by the system, it ends its workers and takes its temporary folder away
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        everything = [item for name in SCENARIOS for item in sweep.items(f"fedsec-feddetect:{name}")]
        if not options.page:
            sweep.run(chosen(everything, options.only, options.variant), RESULTS, measured)
    except FedsecError as error:
        print(error, file=sys.stderr)
        return 1
    # imported here: matplotlib is not needed while federations are run
    import page

    page.write(HERE, everything, sweep.finished(ledger.read(RESULTS), everything))
    return 0


def chosen(
    everything: Sequence[Item], scenarios: Sequence[str] | None, variants: Sequence[str] | None
) -> list[Item]:
    """Return the federations of some scenarios and variants; raises FedsecError for an unknown variant."""
    names = {f"fedsec-feddetect:{name}" for name in scenarios or SCENARIOS}
    found = [item for item in everything if item.scenario in names]
    known = {item.variant for item in found}
    if unknown := [name for name in variants or () if name not in known]:
        raise FedsecError(f"no variant {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [item for item in found if variants is None or item.variant in variants]


def measured(item: Item, found: FederationResult) -> Line:
    """Return what was found in a federation; samples of the first seed are kept as pictures."""
    if item.seed == 1:
        _keep_samples(item, found)
    series = {
        name: [[number, _rounded(value)] for number, value in sorted(values.items()) if number % 5 == 0]
        for name, values in found.metrics.items()
        if name.startswith(("generation.", "suppression.", "fedgan-backdoor."))
    }
    end = {} if found.end is None else found.end
    losses = end.get("tables", {}).get(LOSSES, {"columns": {}})["columns"]
    return {
        "malicious": sorted(client for held in found.facts["attackers"].values() for client in held),
        "series": series,
        "end": {name: _rounded(value) for name, value in end.get("metrics", {}).items()},
        "losses": {name: [_rounded(value) for value in column] for name, column in losses.items()},
        "verdicts": _verdicts(found),
    }


def _verdicts(found: FederationResult) -> dict[str, list[dict[str, list[float]]]]:
    """Return, by detector, shadows among them, trust and flags of every round; of clients in order."""
    played = [event for event in found.rounds if event["round"]]
    labels = dict.fromkeys(label for event in played for label in event["verdicts"])
    return {
        label: [
            {
                "trust": [_rounded(value) for value in event["verdicts"][label]["trust"]],
                "flagged": [int(flag) for flag in event["verdicts"][label]["flagged"]],
            }
            for event in played
        ]
        for label in labels
    }


def _keep_samples(item: Item, found: FederationResult) -> None:
    IMAGES.mkdir(exist_ok=True)
    name = item.scenario.partition(":")[2]
    last = max((event["round"] for event in found.rounds), default=0)
    kept = {f"round-{last:04d}.generation.samples.png": f"{name}-{item.variant}.png"}
    kept["round-0000.generation.real.png"] = f"{name}-real.png"
    for source, target in kept.items():
        if (found.folder / "images" / source).exists():
            shutil.copyfile(found.folder / "images" / source, IMAGES / target)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


if __name__ == "__main__":
    sys.exit(main())

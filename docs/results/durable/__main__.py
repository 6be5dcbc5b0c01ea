"""`python docs/results/durable`: runs what is missing, then writes the page.

Each finished federation is one line of `results.jsonl`; the command can be killed at any moment and
started again. Federations start from what a clean one ended with, which is played once per data set
and seed. `--page` writes the page from what is there, `--only blood` runs one scenario, with
`--variant main --variant clean` some of its variants. The data sets are found as every scenario finds
them: FEDSEC_DATA names their folder.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
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
PLUGIN = "fedsec-durable-backdoor"
SCENARIOS = {
    "blood": "warm-blood",
    "blood-epochs": "warm-blood",
    "pneumonia": "warm-pneumonia",
    "retina": "warm-retina",
    "blood-presence": "warm-blood",
    "blood-defences": "warm-blood",
}
"""Each with the scenario from whose end it starts."""
SERIES = {
    "asr": "backdoor.asr",
    "accuracy": "classification.accuracy",
    "norm_ratio": "durability.norm_ratio",
    "cosine": "durability.cosine",
    "detected": "durability.detected",
    "accepted": "backdoor.accepted",
}
DIGITS = 4
SHOWN = 11
"""The seed whose made images are on the page."""


def main() -> int:
    """Run what is missing and write the page; 1 if something cannot be run."""
    parser = argparse.ArgumentParser(prog="python docs/results/durable", description=__doc__)
    parser.add_argument("--only", action="append", choices=[*SCENARIOS], help="run this scenario alone")
    parser.add_argument("--variant", action="append", metavar="NAME", help="run this variant alone")
    parser.add_argument("--page", action="store_true", help="run nothing, write the page only")
    options = parser.parse_args()
    # ended by the system, it ends its workers and takes its temporary folder away
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        everything = list(items())
        if not options.page:
            sweep.run(chosen(everything, options.only, options.variant), RESULTS, measured)
    except FedsecError as error:
        print(error, file=sys.stderr)
        return 1
    # imported here: matplotlib is not needed while federations are run
    import page

    page.write(HERE, everything, sweep.finished(ledger.read(RESULTS), everything))
    return 0


def items() -> Iterator[Item]:
    """Give all federations of the page."""
    for name, warm in SCENARIOS.items():
        yield from sweep.items(f"{PLUGIN}:{name}", start=f"{PLUGIN}:{warm}")


def chosen(
    everything: Sequence[Item], scenarios: Sequence[str] | None, variants: Sequence[str] | None
) -> list[Item]:
    """Return the federations of some scenarios and variants; raises FedsecError for an unknown variant."""
    names = {f"{PLUGIN}:{name}" for name in scenarios or SCENARIOS}
    found = [item for item in everything if item.scenario in names]
    known = {item.variant for item in found}
    if unknown := [name for name in variants or () if name not in known]:
        raise FedsecError(f"no variant {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [item for item in found if variants is None or item.variant in variants]


def measured(item: Item, found: FederationResult) -> Line:
    """Return what was found in a federation; made images of one seed are kept as pictures."""
    if item.seed == SHOWN:
        _keep_images(item, found)
    rounds = [event["metrics"] for event in found.rounds]
    series = {
        name: [_rounded(metrics.get(metric)) for metrics in rounds]
        for name, metric in SERIES.items()
        if any(metrics.get(metric) is not None for metrics in rounds)
    }
    end = {} if found.end is None else found.end.get("metrics", {})
    return {
        "malicious": sorted(found.facts["attackers"]["backdoor"]),
        "attacked": [event["round"] for event in found.rounds if event.get("attacking")],
        "series": series,
        "end": {name: _rounded(value) for name, value in end.items() if name.startswith("durability.")},
    }


def _keep_images(item: Item, found: FederationResult) -> None:
    pictures = sorted((found.folder / "images").glob("*.backdoor.synthetic.png"))
    if item.variant == "main" and pictures:
        IMAGES.mkdir(exist_ok=True)
        name = item.scenario.partition(":")[2]
        for place, source in (("first", pictures[0]), ("last", pictures[-1])):
            shutil.copyfile(source, IMAGES / f"{name}-{place}.png")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


if __name__ == "__main__":
    sys.exit(main())

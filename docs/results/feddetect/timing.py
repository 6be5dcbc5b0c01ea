"""`python docs/results/feddetect/timing.py`: how long a federation of GANs takes on this machine.

Prints the lines of the table on the page. Nothing else should run meanwhile.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import tomli

import fedsec_core

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 60
SCENARIO = Path(__file__).parents[3] / "plugins/fedsec-feddetect/src/fedsec_feddetect/scenarios/blood.toml"


def tables() -> dict[str, Any]:
    """Return `blood` under attack with FedDetect, without augmentation, shadows and variants."""
    made = tomli.loads(SCENARIO.read_text(encoding="utf-8"))
    for name in ("shadow", "variant"):
        del made[name]
    made["scenario"] |= {"seed": 1, "rounds": ROUNDS}
    made["evaluate"] = [each for each in made["evaluate"] if each["use"] != "augmentation"]
    made["detect"] = [{"use": "feddetect", "metric": "mean_generator_loss"}]
    return made


def main() -> None:
    """Time 60 rounds, and rounds of a full epoch."""
    with tempfile.TemporaryDirectory() as folder:
        warm = tables()
        warm["scenario"]["rounds"] = 1
        fedsec_core.run(warm, out=folder, report=False)  # trains the reference classifier, which is kept
        whole = fedsec_core.run(tables(), out=folder, report=False).of()
        epoch = tables()
        epoch["scenario"]["rounds"] = 3
        del epoch["train"]["steps"]
        full = fedsec_core.run(epoch, out=folder, report=False).of()
    rounds = [event["phases"] for event in whole.rounds[1:]]
    clients, steps = 4, 40
    print(f"{ROUNDS} rounds: {whole.facts['seconds']:.0f} s")
    for phase in ("train", "detect", "evaluate"):
        print(f"  {phase}: {sum(each.get(phase, 0.0) for each in rounds):.0f} s")
    training = median(each["train"] for each in rounds)
    print(f"  a step of both networks, on each of two cores: {1000 * training * 2 / clients / steps:.0f} ms")
    of_epoch = median(event["phases"]["train"] for event in full.rounds[1:])
    print(f"a round in which each client trains a full epoch (2990 images): {of_epoch:.1f} s")


if __name__ == "__main__":
    main()

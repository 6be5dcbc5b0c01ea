"""`python docs/results/feddetect/timing.py`: how long a federation of GANs takes on this machine.

Prints the lines of the table on the page. Nothing else should run meanwhile.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import tomli
import torch

import fedsec_core
from fedsec_core.data import Spec
from fedsec_core.execution.computing import keep_freed_memory
from fedsec_core.state import Layout, Networks
from fedsec_core.steps import Steps
from fedsec_core.streams import Stream
from fedsec_feddetect.plugin.model import ConditionalDcgan
from fedsec_feddetect.plugin.train import FedGan
from fedsec_feddetect.runtime.fedgan import Pair

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


def least_step(steps: int = 120) -> float:
    """Return the least seconds that a step of both networks of `blood` took, one core, nothing beside it."""
    torch.set_num_threads(1)
    keep_freed_memory()
    builder: Any = ConditionalDcgan(width=32).build()
    module = builder.build_networks(Spec((3, 32, 32), 8), Stream(0))
    pair = Pair.of(Networks.of(module, Layout.of(module, ("generator",))), FedGan(beta1=0.5), Steps(), {})
    x, y, noise = torch.rand(32, 3, 32, 32), torch.arange(32) % 8, torch.Generator()
    took = []
    for _ in range(steps):
        start = perf_counter()
        pair.learn(x, y, noise)
        took.append(perf_counter() - start)
    return min(took)


def main() -> None:
    """Time 60 rounds, rounds of a full epoch, rounds with half the width, and a step by itself."""
    with tempfile.TemporaryDirectory() as folder:
        warm = tables()
        warm["scenario"]["rounds"] = 1
        fedsec_core.run(warm, out=folder, report=False)  # trains the reference classifier, which is kept
        whole = fedsec_core.run(tables(), out=folder, report=False).of()
        epoch = tables()
        epoch["scenario"]["rounds"] = 3
        del epoch["train"]["steps"]
        full = fedsec_core.run(epoch, out=folder, report=False).of()
        narrow = tables()
        narrow["scenario"]["rounds"] = 3
        narrow["model"]["width"] = 16
        half = fedsec_core.run(narrow, out=folder, report=False).of()
    rounds = [event["phases"] for event in whole.rounds[1:]]
    clients, steps = 4, 40
    print(f"{ROUNDS} rounds: {whole.facts['seconds']:.0f} s")
    for phase in ("train", "detect", "evaluate"):
        print(f"  {phase}: {sum(each.get(phase, 0.0) for each in rounds):.0f} s")
    training = median(each["train"] for each in rounds)
    print(f"  a step of both networks, on each of two cores: {1000 * training * 2 / clients / steps:.0f} ms")
    print(f"  a step, one core, nothing beside it (least of 120): {1000 * least_step():.0f} ms")
    for what, result in (
        ("a round of a full epoch (2990 images a client)", full),
        ("half the width, a round", half),
    ):
        print(f"{what}: {median(event['phases']['train'] for event in result.rounds[1:]):.1f} s")


if __name__ == "__main__":
    main()

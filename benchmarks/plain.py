"""Contestant a: FedAvg as one would write it by hand, one process with torch's own threads.

`python benchmarks/plain.py [own | small-cnn]` prints the seconds of the rounds as JSON. `own` is the
network as one would write it, `small-cnn` the module of fedsec-basics in the same loop.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fedsec_core.federation import Federation
from fedsec_core.scenario import load

SCENARIO = Path(__file__).with_name("fedavg.toml")
LEARNING_RATE, BATCH = 0.05, 32
Share = tuple[Tensor, Tensor]
"""Images and labels of one client."""


class Network(nn.Module):
    """The layers of `small-cnn`."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def fedavg(server: nn.Module, shares: Sequence[Share], test: Share, rounds: int) -> list[float]:
    """Return the accuracy after each round."""
    total = sum(len(y) for _, y in shares)
    accuracies = []
    for _ in range(rounds):
        states = [trained(server, x, y) for x, y in shares]
        mean = {name: torch.zeros_like(tensor) for name, tensor in states[0].items()}
        for state, (_, y) in zip(states, shares, strict=True):
            for name, tensor in state.items():
                mean[name] += tensor * (len(y) / total)
        server.load_state_dict(mean)
        server.eval()
        with torch.no_grad():
            accuracies.append(float((server(test[0]).argmax(1) == test[1]).double().mean()))
    return accuracies


def trained(server: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Train a copy for one epoch and return its state."""
    client = copy.deepcopy(server).train()
    optimiser = torch.optim.SGD(client.parameters(), lr=LEARNING_RATE)
    for batch in torch.split(torch.randperm(len(y)), BATCH):
        optimiser.zero_grad()
        cross_entropy(client(x[batch]), y[batch]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return client.state_dict()


def main() -> None:
    """Set up, then time the rounds alone."""
    scenario = load(SCENARIO).main
    threads = torch.get_num_threads()
    federation = Federation(scenario, 1)
    if sys.argv[1:] == ["small-cnn"]:
        server, scaled = federation.executor.module(federation.executor.built()), 1.0
    else:
        server, scaled = Network(len(federation.splits.classes)), 2.0
    train, test = federation.splits.train, federation.splits.test
    # as floats once and for all, and for the network of its own scaled once and for all
    x, held_out = ((each.x - (scaled - 1) / 2) * scaled for each in (train, test))
    shares = [(x[part], train.y[part]) for part in map(torch.from_numpy, federation.partition)]
    torch.optim.SGD(server.parameters())  # the first one imports a compiler, which is start-up
    began = time.perf_counter()
    accuracies = fedavg(server, shares, (held_out, test.y), scenario.rounds)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "accuracy": accuracies[-1], "threads": threads}))


if __name__ == "__main__":
    main()

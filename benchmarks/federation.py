"""Times fedsec beside a plain hand-written loop: the same data, network, split sizes and rounds."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import fedsec_core
from fedsec_core.federation import Federation
from fedsec_core.scenario import load

SCENARIO = Path(__file__).with_name("fedavg.toml")
PAIRS = 5


def plain(federation: Federation, rounds: int) -> float:
    """Return the accuracy after FedAvg as one would write it by hand."""
    server = federation.executor.module(federation.executor.built())
    train, test = federation.splits.train, federation.splits.test
    shares = [(train.x[part], train.y[part]) for part in map(torch.from_numpy, federation.partition)]
    accuracy = 0.0
    for _ in range(rounds):
        states = [locally_trained(server, x, y) for x, y in shares]
        mean = {name: torch.zeros_like(tensor) for name, tensor in states[0].items()}
        for state, (_, y) in zip(states, shares, strict=True):
            for name, tensor in state.items():
                mean[name] += tensor * (len(y) / len(train))
        server.load_state_dict(mean)
        server.eval()
        with torch.no_grad():
            accuracy = float((server(test.x).argmax(1) == test.y).double().mean())
    return accuracy


def locally_trained(server: nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
    """Train a copy for one epoch."""
    client = copy.deepcopy(server).train()
    optimiser = torch.optim.SGD(client.parameters(), lr=0.05)
    for batch in torch.randperm(len(y)).split(32):
        optimiser.zero_grad()
        cross_entropy(client(x[batch]), y[batch]).backward()
        optimiser.step()
    return client.state_dict()


def main() -> None:
    """Print the seconds of both and the ratio of each pair."""
    torch.set_num_threads(1)
    experiment = load(SCENARIO)
    federation = Federation(experiment.main, experiment.seeds[0])
    ratios = []
    print(f"{'plain [s]':>10} {'fedsec [s]':>10} {'ratio':>7}")
    for pair in range(PAIRS + 1):
        began = time.perf_counter()
        plain(federation, experiment.main.rounds)
        loop = time.perf_counter() - began
        with tempfile.TemporaryDirectory() as out:
            result = fedsec_core.run(experiment, out=out, report=False)
        seconds = float(result.of().facts["seconds"])
        if pair:  # the first pair warms up
            ratios.append(seconds / loop)
            print(f"{loop:10.2f} {seconds:10.2f} {ratios[-1]:7.2f}")
    print(f"median ratio fedsec / plain: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()

"""Contestant b, the floor: fedsec's training step and evaluation forwards in one process per core, no more.

`python benchmarks/floor.py [PROCESSES]` prints the seconds of the slowest process as JSON. There is no
federation: nothing is sent, aggregated, scored, hashed or written, and no process waits for another.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from fedsec_basics.plugin.train import Sgd
from fedsec_basics.sgd import train
from fedsec_core.evaluation import SHARD
from fedsec_core.execution.in_process import InProcess
from fedsec_core.federation import Federation
from fedsec_core.scenario import load
from fedsec_core.scenario.execute import Execute, worker_count
from fedsec_core.state import Networks
from fedsec_core.steps import Steps
from fedsec_core.streams import Stream
from fedsec_core.vocabulary import Role

SCENARIO = Path(__file__).with_name("fedavg.toml")


def work(federation: Federation, place: int, processes: int) -> None:
    """Do one process's part: every `processes`-th client and shard, in all rounds."""
    settings = federation.scenario.the(Role.TRAIN).component
    assert isinstance(settings, Sgd)
    assert isinstance(federation.executor, InProcess)
    flat, state = federation.executor.worker.networks, federation.state
    data = [federation.splits.train.subset(part) for part in federation.partition[place::processes]]
    splits = (federation.splits.val, federation.splits.test)
    shards = [shard for split in splits for shard in torch.split(split.x, SHARD)][place::processes]
    evaluate(flat, state, shards)
    for number in range(1, federation.scenario.rounds + 1):
        for client, share in enumerate(data):
            flat.load(state)
            train(flat, share, settings, Steps(), Stream(1, number, client))
        evaluate(flat, state, shards)


@torch.inference_mode()
def evaluate(flat: Networks, state: Tensor, shards: list[Tensor]) -> None:
    """Ask the network as the core does."""
    flat.load(state)
    flat.module.eval()
    for shard in shards:
        flat.module(shard)


def main() -> None:
    """Fork the processes, let all begin at once, and time them."""
    torch.set_num_threads(1)
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else worker_count(Execute())
    federation = Federation(load(SCENARIO).main, 1)
    starting, ending = os.pipe(), os.pipe()
    for place in range(processes):
        if os.fork():
            continue
        os.close(starting[1])
        os.read(starting[0], 1)  # returns when all the others' ends are closed
        work(federation, place, processes)
        os.write(ending[1], b".")
        os._exit(0)
    time.sleep(0.2)  # until all of them wait
    os.close(starting[0])
    began = time.perf_counter()
    os.close(starting[1])
    done = sum(len(os.read(ending[0], 1)) for _ in range(processes))
    seconds = time.perf_counter() - began
    assert done == processes
    print(json.dumps({"seconds": seconds, "processes": processes}))


if __name__ == "__main__":
    main()

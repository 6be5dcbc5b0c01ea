"""Times each idea of a training step by itself: without it and with it, in turns, on one thread.

What was expected of the ideas, and what became of them, stands in `benchmarks/README.md`.
"""

from __future__ import annotations

import copy
import statistics
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fedsec_basics.networks.classifier import Classifier, channels_last
from fedsec_basics.plugin.model import ResNet18, SmallCnn
from fedsec_basics.plugin.train import Sgd
from fedsec_basics.sgd import Gather, TrainingStep
from fedsec_core.component import Component
from fedsec_core.data import Dataset, Spec
from fedsec_core.evaluation import SHARD
from fedsec_core.state import Layout, Networks
from fedsec_core.steps import Steps
from fedsec_core.streams import Stream

BATCH = 32
GREY, RGB, LARGE = (1, 28, 28), (3, 28, 28), (3, 64, 64)
KEPT = 31 << 20
"""Bytes. glibc hands freed memory back to the system, to be cleared and mapped anew by the next step.

Once a block of so many bytes was freed it keeps blocks of up to that size, and twice as much in all
(mallopt(3), M_MMAP_THRESHOLD). The block itself is never touched, so it costs nothing.
"""

Job = Callable[[], object]
Row = dict[str, Any]
"""`idea`, `on`, milliseconds `without` and `with` (medians), `ratio`: the median of the pairs' ratios."""


def compare(idea: str, on: str, without: Job, using: Job, pairs: int, repeat: int) -> Row:
    """Run both jobs `repeat` times in turns, `pairs` times after a first one that warms up."""
    seconds = [[_seconds(job, repeat) for job in (without, using)] for _ in range(pairs + 1)][1:]
    return _row(idea, on, seconds)


def _row(idea: str, on: str, seconds: list[list[float]]) -> Row:
    before, after = zip(*seconds, strict=True)
    return {
        "idea": idea,
        "on": on,
        "without": statistics.median(before) * 1e3,
        "with": statistics.median(after) * 1e3,
        "ratio": statistics.median(b / a for a, b in seconds),
    }


def _seconds(job: Job, repeat: int) -> float:
    began = time.perf_counter()
    for _ in range(repeat):
        job()
    return (time.perf_counter() - began) / repeat


def build(component: Component, shape: tuple[int, ...], seed: int = 1) -> Classifier:
    """Build the network of a model component for two classes."""
    runtime: Any = component.build()
    module: Classifier = runtime.build_networks(Spec(shape, 2), Stream(seed)).train()
    return module


def samples(shape: tuple[int, ...], n: int = 1000) -> Dataset:
    """Random images, as bytes."""
    made = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (n, *shape), generator=made, dtype=torch.uint8)
    return Dataset(pixels, torch.randint(2, (n,), generator=made))


def differentiate(module: nn.Module, shape: tuple[int, ...]) -> Job:
    """Return forward and backward of one batch, the gradients in one flat vector."""
    flat = Networks.of(module, Layout.of(module))
    data = samples(shape, BATCH)
    x, y = data.x, data.y

    def job() -> None:
        flat.gradients.zero_()
        cross_entropy(module(x), y).backward()  # type: ignore[no-untyped-call]

    return job


def ask(module: nn.Module, shape: tuple[int, ...]) -> Job:
    """Return the forward of one shard in evaluation mode."""
    x = samples(shape, SHARD).x
    asked = copy.deepcopy(module).eval()

    @torch.inference_mode()
    def job() -> Tensor:
        logits: Tensor = asked(x)
        return logits

    return job


def innermost(module: Classifier, chosen: bool) -> Classifier:
    """Return the network with or without channels innermost."""
    module.channels_last = chosen
    return module


def reordered(module: Classifier, layers: str) -> Classifier:
    """Return the network with the layers of its body in another order."""
    body = OrderedDict((name, module.body.get_submodule(name)) for name in layers.split())
    module.body = nn.Sequential(body)
    return module


def layouts(pairs: int) -> Iterator[Row]:
    """Channels innermost, for training and for asking."""
    networks: list[tuple[str, Component, tuple[int, ...]]] = [
        ("small-cnn", SmallCnn(), GREY),
        ("small-cnn", SmallCnn(), RGB),
        ("small-cnn", SmallCnn(), LARGE),
        ("resnet18 batch norm", ResNet18(width=16, norm="batch"), GREY),
        ("resnet18 batch norm", ResNet18(width=16, norm="batch"), LARGE),
        ("resnet18 group norm", ResNet18(width=16), GREY),
        ("resnet18 group norm", ResNet18(width=16), LARGE),
    ]
    for name, component, shape in networks:
        on = f"{name} {'x'.join(map(str, shape))}"
        both = [innermost(build(component, shape), chosen) for chosen in (False, True)]
        plain, chosen = (differentiate(module, shape) for module in both)
        yield compare("channels last", f"{on}, step", plain, chosen, pairs, 5)
        plain, chosen = (ask(module, shape) for module in both)
        yield compare("channels last", f"{on}, predict {SHARD}", plain, chosen, pairs, 1)


class ScaledInPlace(Classifier):
    """A classifier of grey images that makes one tensor, not two, on the way from [0, 1] to [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [n, classes] of images [n, 1, H, W]."""
        logits: Tensor = self.head(self.body(channels_last(x).mul(2).sub_(1)))
        return logits


def variants(pairs: int) -> Iterator[Row]:
    """What else can be done to the small network, on grey images."""
    chosen = build(SmallCnn(), GREY)
    after = build(SmallCnn(), GREY)
    reordered(after, "conv1 relu1 pool1 conv2 relu2 pool2 flatten hidden relu3 dropout")
    scaled = ScaledInPlace(*build(SmallCnn(), GREY).children())
    in_place = build(SmallCnn(), GREY)
    for module in in_place.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True
    weights = build(SmallCnn(), GREY).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    job = differentiate(chosen, GREY)
    on = "small-cnn 1x28x28, step"
    yield compare("pool before ReLU", on, differentiate(after, GREY), job, pairs, 20)
    asked = f"small-cnn 1x28x28, predict {SHARD}"
    yield compare("pool before ReLU", asked, ask(after, GREY), ask(chosen, GREY), pairs, 2)
    yield compare("scale in place", on, job, differentiate(scaled, GREY), pairs, 20)
    yield compare("ReLU in place", on, job, differentiate(in_place, GREY), pairs, 20)
    plain, other = (zeroed_by_torch(module) for module in (chosen, weights))
    yield compare("weights channels last", on, plain, other, pairs, 20)
    yield compare("gradients zeroed, not None", on, zeroed_by_torch(build(SmallCnn(), GREY)), job, pairs, 20)
    yield compare("torch.jit.trace", on, job, differentiate(traced(build(SmallCnn(), GREY)), GREY), pairs, 20)


def traced(module: Classifier) -> nn.Module:
    """Return the network with its body recorded by `torch.jit`."""
    module.body = torch.jit.trace(module.body, torch.rand(BATCH, *GREY))  # type: ignore[no-untyped-call]
    return module


def zeroed_by_torch(module: nn.Module) -> Job:
    """Return forward and backward where each gradient is a new tensor (`set_to_none`)."""
    data = samples(GREY, BATCH)
    x, y = data.x, data.y

    def job() -> None:
        module.zero_grad(set_to_none=True)
        cross_entropy(module(x), y).backward()  # type: ignore[no-untyped-call]

    return job


def optimisers(pairs: int) -> Iterator[Row]:
    """The step on flat vectors against those of `torch.optim`, gradients given."""
    settings: list[dict[str, Any]] = [{"lr": 1e-9}, {"lr": 1e-9, "momentum": 0.9, "weight_decay": 1e-4}]
    for asked in settings:
        module = build(SmallCnn(), GREY)
        flat = Networks.of(module, Layout.of(module))
        step = TrainingStep.of(flat, Sgd(**asked), Steps())
        with torch.no_grad():
            for kind in ("foreach", "fused"):
                optimiser = torch.optim.SGD(module.parameters(), **asked, **{kind: True})
                on = f"small-cnn, {'momentum and decay' if 'momentum' in asked else 'plain'}, torch {kind}"
                yield compare("flat step", on, optimiser.step, step.descend, pairs, 200)


def gathers(pairs: int) -> Iterator[Row]:
    """Batches in shared memory against indexing, bytes and floats."""
    for shape in (GREY, LARGE):
        for kind in ("bytes", "float32"):
            data = samples(shape)
            data = data if kind == "bytes" else data.with_pixels(data.x)
            index = np.random.default_rng(1).permutation(len(data))[:BATCH]
            own, shared = partial(Gather(data, None), index), partial(Gather.of(data, Steps()), index)
            on = f"{'x'.join(map(str, shape))} {kind}"
            yield compare("shared batch", on, own, shared, pairs, 200)
            if kind == "bytes":
                indexed = partial(data.x.__getitem__, torch.from_numpy(index))
                yield compare("shared batch", f"{on}, against float data", indexed, shared, pairs, 200)


def asking(pairs: int) -> Iterator[Row]:
    """`inference_mode` against `no_grad`, and shards against all at once."""
    module = build(SmallCnn(), GREY).eval()
    x = samples(GREY, 4 * SHARD).x

    def whole() -> None:
        module(x)

    def shards() -> None:
        for shard in torch.split(x, SHARD):
            module(shard)

    on = f"small-cnn 1x28x28, {len(x)} images"
    yield compare("inference mode", on, torch.no_grad()(shards), torch.inference_mode()(shards), pairs, 1)
    yield compare("shards", on, torch.inference_mode()(whole), torch.inference_mode()(shards), pairs, 1)


def memory(pairs: int) -> Iterator[Row]:
    """Freed memory kept by the process; a process cannot go back, so every job has one of its own."""
    for job in ("step", "predict"):
        seconds = [[_elsewhere(job), _elsewhere(job, "kept")] for _ in range(pairs)]
        yield _row("keep freed memory", f"small-cnn 1x28x28, {job}", seconds)


def _elsewhere(*asked: str) -> float:
    command = [sys.executable, __file__, "--alone", *asked]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def alone(job: str, kept: bool) -> float:
    """Return the seconds of a step, or of asking a shard, in this process, which did nothing before."""
    torch.set_num_threads(1)
    if kept:
        torch.empty(KEPT, dtype=torch.uint8)
    module = build(SmallCnn(), GREY)
    run = differentiate(module, GREY) if job == "step" else ask(module, GREY)
    return statistics.median(_seconds(run, 1) for _ in range(100))


def rows(pairs: int = 7) -> Iterator[Row]:
    """Measure every idea, `pairs` times without and with it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.empty(KEPT, dtype=torch.uint8)
    try:
        for part in (memory, layouts, variants, optimisers, gathers, asking):
            yield from part(pairs)
    finally:
        torch.set_num_threads(threads)


def main() -> None:
    """Print the table."""
    print(f"{'idea':28s} {'on':52s} {'without [ms]':>12s} {'with [ms]':>10s} {'ratio':>6s}")
    for row in rows():
        figures = f"{row['without']:12.3f} {row['with']:10.3f} {row['ratio']:6.2f}"
        print(f"{row['idea']:28s} {row['on']:52s} {figures}", flush=True)


if __name__ == "__main__":
    if "--alone" in sys.argv:
        print(alone(sys.argv[2], kept="kept" in sys.argv))
    else:
        main()

"""What the stand-ins do: as little as a federation can do with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import define, field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fedsec_core.data import Dataset, Spec, Splits
from fedsec_core.markers import hookimpl
from fedsec_core.rounds import Round
from fedsec_core.steps import Steps
from fedsec_core.streams import Stream
from fedsec_core.updates import Rows, Update, weighted_mean
from fedsec_core.views import Broadcast, Client

if TYPE_CHECKING:
    from fedsec_core.testing.standins.described import Descent, Linear, Spots

SITES = 5
PER_PATIENT = 2


@define(eq=False)
class MakingSpots:
    asked: Spots

    @hookimpl
    def load_data(self, stream: Stream) -> Splits:
        train, val, test = (
            self._split(name, count, stream.child(name))
            for name, count in (
                ("train", self.asked.train),
                ("val", self.asked.val),
                ("test", self.asked.test),
            )
        )
        classes = tuple(f"row {label}" for label in range(self.asked.classes))
        task = "binary-class" if len(classes) == 2 else "multi-class"
        return Splits(train, val, test, classes, task, title="bright rows in noise")

    def _split(self, name: str, count: int, stream: Stream) -> Dataset:
        y = torch.arange(count) % self.asked.classes
        x = 0.3 * torch.rand((count, *self.asked.shape), generator=stream.torch)
        height = self.asked.shape[1]
        x[torch.arange(count), :, (y * height) // self.asked.classes] += 0.6
        pixels = (x * 255).round().to(torch.uint8)
        order = np.arange(count)
        metadata = {
            "patient": np.array([f"{name}-{number // PER_PATIENT}" for number in order], dtype=np.str_),
            "site": stream.numpy.permutation(order % SITES),
            "group": np.where(order % 2 == 0, "a", "b"),
        }
        return Dataset(pixels, y, metadata)


@define(eq=False)
class BuildingLines:
    asked: Linear

    @hookimpl
    def build_networks(self, spec: Spec) -> nn.Module:
        pixels, hidden = int(np.prod(spec.shape)), self.asked.hidden
        body = nn.Sequential(Centred(), nn.Linear(pixels, hidden), nn.Tanh()) if hidden else Centred()
        network = nn.Sequential()
        network.add_module("body", body)
        network.add_module(
            "head", Single(spec.classes) if self.asked.single else nn.Linear(hidden or pixels, spec.classes)
        )
        return network


class Centred(nn.Module):
    """Flattens images; its buffer travels beside the rows."""

    offset: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("offset", torch.full((1,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) - self.offset


class Single(nn.Module):
    """Gives logits that grow with the class, by one weight."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.weight = nn.Parameter(torch.full((1,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1, keepdim=True) * self.weight * torch.arange(self.classes)


@define(eq=False)
class Dealing:
    clients: int

    @hookimpl
    def partition_data(self, labels: np.ndarray) -> list[np.ndarray]:
        # whole rounds of classes go to one client after another, so that every client holds all
        block = np.arange(len(labels)) // len(np.unique(labels))
        return [np.flatnonzero(block % self.clients == client) for client in range(self.clients)]


@define(eq=False)
class Descending:
    asked: Descent

    @hookimpl
    def train_client(self, client: Client, broadcast: Broadcast, steps: Steps, stream: Stream) -> Update:
        flat, data = client.networks(), client.data
        d = flat.layout.d
        last = 0.0
        for index in self._batches(len(data), steps, stream):
            chosen = torch.from_numpy(np.asarray(index, dtype=np.int64))
            x, y = data.x[chosen], data.y[chosen]
            if steps.batch is not None:
                x, y = steps.batch(x, y)
            gradients, last = slope(flat.module, steps, x, y, flat.gradients)
            step = gradients[:d] if steps.gradients is None else steps.gradients(gradients[:d])
            flat.parameters[:d] -= self.asked.lr * step
            flat.parameters[d:] -= self.asked.lr * gradients[d:]
            if steps.parameters is not None:
                flat.parameters[:d] = steps.parameters(flat.parameters[:d])
        row = flat.parameters[:d] - broadcast.base[:d]
        return Update(row, flat.buffers(), len(data), {"loss": last})

    def _batches(self, n: int, steps: Steps, stream: Stream) -> Iterator[np.ndarray]:
        """Give the batches that are not empty: of so many epochs, or exactly so many."""
        left = self.asked.steps
        epochs = range(self.asked.epochs) if left is None else count()
        drawn = (
            (steps.batches or in_order)(n, self.asked.batch, stream.child(epoch))
            for epoch in (epochs if n else ())
        )
        return islice((index for batches in drawn for index in batches if len(index)), left)


def in_order(n: int, size: int, _stream: Stream) -> list[np.ndarray]:
    return [np.arange(start, min(start + size, n)) for start in range(0, n, size)]


def slope(module: nn.Module, steps: Steps, x: Tensor, y: Tensor, gradients: Tensor) -> tuple[Tensor, float]:
    """Return the gradient [d + private] of a batch, a copy, and its loss; `gradients` is where they arise."""

    def of(x: Tensor, y: Tensor) -> tuple[Tensor, float]:
        gradients.zero_()
        loss = cross_entropy(module(x), y)
        loss = loss if steps.loss is None else steps.loss(loss, module, x, y)
        loss.backward()  # type: ignore[no-untyped-call]
        return gradients.clone(), float(loss.detach())

    if steps.per_sample_gradients is None:
        return of(x, y)
    each = [of(x[i : i + 1], y[i : i + 1]) for i in range(len(y))]
    together = steps.per_sample_gradients(torch.stack([gradient for gradient, _ in each]))
    return together, sum(loss for _, loss in each) / len(each)


@define(eq=False)
class Averaging:
    @hookimpl
    def aggregate_updates(self, rows: Rows, weights: Tensor) -> Tensor:
        return weighted_mean(rows, weights)


@define(eq=False)
class Observing:
    rounds: list[Round] = field(factory=list)

    @hookimpl
    def observe_round(self, round: Round) -> None:
        self.rounds.append(round)

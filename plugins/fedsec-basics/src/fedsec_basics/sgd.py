"""Local training by stochastic gradient descent, on the flat vectors of the worker's networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from attrs import define
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.functional import cross_entropy

from fedsec_core.data import Dataset, as_float
from fedsec_core.errors import PluginError
from fedsec_core.markers import hookimpl
from fedsec_core.state import Networks
from fedsec_core.steps import Steps
from fedsec_core.streams import Stream
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client

if TYPE_CHECKING:
    from fedsec_basics.plugin.train import Sgd

Batches = Callable[[int, int, Stream], Iterable[np.ndarray]]


@define(eq=False)
class SgdTrainer:
    """Runtime of `sgd`: trains the worker's networks and sends what changed."""

    settings: Sgd

    @hookimpl
    def train_client(self, client: Client, broadcast: Broadcast, steps: Steps, stream: Stream) -> Update:
        """Train on the client's samples and return its update.

        The metrics are `steps`, the number of optimiser steps, and `loss`, the mean training loss
        of the last epoch without the FedProx term; a loss that is not finite is left out.
        """
        flat = client.networks()
        metrics = train(flat, client.data, self.settings, steps, stream)
        if flat.layout.private:
            client.state["parts"] = flat.private()
        d = flat.layout.d
        row = flat.parameters[:d] - broadcast.base[:d]
        return Update(row=row, buffers=flat.buffers(), examples=len(client.data), metrics=metrics)


def train(flat: Networks, data: Dataset, settings: Sgd, steps: Steps, stream: Stream) -> dict[str, float]:
    """Train the loaded networks in place on `data`.

    Returns the metrics of `SgdTrainer.train_client`. Without samples nothing happens.
    """
    step = TrainingStep.of(flat, settings, steps)
    batch = Gather.of(data, steps)
    taken, seen, total, last = 0, 0, 0.0, -1
    for epoch, index in islice(
        batches_of(len(data), settings, steps.batches or shuffled, stream), settings.steps
    ):
        if epoch != last:
            seen, total, last = 0, 0.0, epoch
        loss, size = step(*batch(index))
        total += loss * size
        seen += size
        taken += 1
    metrics = {"steps": float(taken)}
    if seen and math.isfinite(total):
        metrics["loss"] = total / seen
    return metrics


class Schedule(Protocol):
    """How long a client trains: passes over its samples, or an exact number of batches."""

    @property
    def epochs(self) -> int: ...

    @property
    def steps(self) -> int | None: ...

    @property
    def batch(self) -> int: ...


def batches_of(n: int, settings: Schedule, draw: Batches, stream: Stream) -> Iterator[tuple[int, np.ndarray]]:
    """Give the epoch and the indices of one batch after another; without end where steps are counted."""
    for epoch in range(settings.epochs) if settings.steps is None else count():
        drawn = list(draw(n, settings.batch, stream.child("epoch", epoch)))
        if not drawn:
            return
        yield from ((epoch, index) for index in drawn)


def shuffled(n: int, size: int, stream: Stream) -> list[np.ndarray]:
    """Return the batches of one epoch: all n samples in random order, `size` at a time."""
    order = stream.numpy.permutation(n)
    return [order[start : start + size] for start in range(0, n, size)]


@define(eq=False)
class Gather:
    """Takes batches out of a data set: `x` [b, C, H, W] float32 in [0, 1] and `y` [b].

    The bits are those of `data.x[index]`, but only the batch becomes float32, and in the same
    memory every time: a batch holds until the next one. An extension that is handed batches may
    keep them, so then each gets memory of its own.
    """

    data: Dataset
    shared: tuple[Tensor, Tensor, Tensor] | None
    """Memory for bytes, images and labels, which grows with the largest batch; None: do not share."""

    @classmethod
    def of(cls, data: Dataset, steps: Steps) -> Gather:
        """Prepare to take batches for a training step with the extensions `steps`."""
        if steps.batch is not None or steps.loss is not None:
            return cls(data, None)
        pixels, y = data.pixels, data.y
        return cls(data, (pixels.new_empty(0), torch.empty(0), y.new_empty(0)))

    def __call__(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return the samples at `index` [b], in that order."""
        pixels, labels = self.data.pixels, self.data.y
        chosen = torch.from_numpy(np.asarray(index, dtype=np.int64))
        if self.shared is None:
            return as_float(pixels[chosen]), labels[chosen]
        shape = (len(chosen), *pixels.shape[1:])
        coded, x, y = self.shared
        torch.index_select(labels, 0, chosen, out=y.resize_(len(chosen)))
        if pixels.dtype != torch.uint8:
            return torch.index_select(pixels, 0, chosen, out=x.resize_(shape)), y
        torch.index_select(pixels, 0, chosen, out=coded.resize_(shape))
        return x.resize_(shape).copy_(coded).div_(255), y


class Objective(nn.Module):
    """The cross entropy of `networks` on a batch, and what the extensions make of it.

    A module, so that `functional_call` reaches the networks' parameters wherever an extension of
    the loss reads them.
    """

    def __init__(
        self, networks: nn.Module, extend: Callable[[Tensor, Any, Tensor, Tensor], Tensor] | None
    ) -> None:
        super().__init__()
        self.networks = networks
        self.extend = extend

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        loss = cross_entropy(self.networks(x), y)
        return loss if self.extend is None else self.extend(loss, self.networks, x, y)


@define(eq=False)
class TrainingStep:
    """One optimiser step, with the extensions in their fixed order.

    `batch`; the gradient of `loss`, or what `per_sample_gradients` makes of the gradients of
    single samples; plus that of the FedProx term; `gradients`; clipping; weight decay, momentum
    and the step itself; `parameters`. `per_sample_gradients` is given every trained parameter
    [b, d + private], because a private part that learns without noise would carry what it saw
    into the shared ones; `gradients` and `parameters` are given the shared ones [d].
    """

    flat: Networks
    settings: Sgd
    steps: Steps
    objective: Objective
    velocity: Tensor | None
    """What momentum has gathered [d + private]; None without momentum."""
    start: Tensor | None
    """The shared parameters [d] that FedProx pulls towards: those that the client started from."""
    names: tuple[str, ...]
    """Of all parameters, in the order of `flat.parameters`."""

    @classmethod
    def of(cls, flat: Networks, settings: Sgd, steps: Steps) -> TrainingStep:
        """Prepare to train `flat` from what it holds now, with fresh momentum."""
        velocity = torch.zeros_like(flat.parameters) if settings.momentum else None
        start = flat.parameters[: flat.layout.d].clone() if settings.prox else None
        shared = [piece.name for piece in flat.layout.parameters]
        private = [name for name, _ in flat.module.named_parameters() if name not in shared]
        objective = Objective(flat.module, steps.loss)
        return cls(flat, settings, steps, objective, velocity, start, (*shared, *private))

    def __call__(self, x: Tensor, y: Tensor) -> tuple[float, int]:
        """Step on one batch; return its mean loss and its size, 0.0 and 0 for an empty batch."""
        if self.steps.batch is not None:
            x, y = self.steps.batch(x, y)
        self.flat.gradients.zero_()
        loss = self._differentiate(x, y)
        with torch.no_grad():
            self._step()
        return loss, len(y)

    def _differentiate(self, x: Tensor, y: Tensor) -> float:
        if self.steps.per_sample_gradients is not None:
            gradients, losses = per_sample_gradients(self.objective, self.names, x, y)
            put("per_sample_gradients", self.steps.per_sample_gradients(gradients), self.flat.gradients)
            return float(losses.mean()) if len(y) else 0.0
        if not len(y):
            return 0.0
        loss: Tensor = self.objective(x, y)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _step(self) -> None:
        d = self.flat.layout.d
        parameters, gradients = self.flat.parameters[:d], self.flat.gradients[:d]
        if self.start is not None:
            gradients.add_(parameters - self.start, alpha=self.settings.prox)
        if self.steps.gradients is not None:
            put("gradients", self.steps.gradients(gradients), gradients)
        if self.settings.clip is not None:
            clip(self.flat.gradients, self.settings.clip)
        self.descend()
        if self.steps.parameters is not None:
            put("parameters", self.steps.parameters(parameters), parameters)

    def descend(self) -> None:
        """The step of `torch.optim.SGD`, whose first use would import a compiler (1.2 s)."""
        settings, step = self.settings, self.flat.gradients
        if settings.weight_decay:
            step.add_(self.flat.parameters, alpha=settings.weight_decay)
        if self.velocity is not None:
            step = self.velocity.mul_(settings.momentum).add_(step)
        self.flat.parameters.add_(step, alpha=-settings.lr)


def clip(gradients: Tensor, norm: float) -> None:
    """Shorten a vector in place to the length `norm` if it is longer (Pascanu et al., ICML 2013).

    As in `torch.nn.utils.clip_grad_norm_`, 1e-6 is added to the length.
    """
    gradients.mul_((norm / (torch.linalg.vector_norm(gradients) + 1e-6)).clamp_(max=1.0))


def per_sample_gradients(
    objective: Objective, names: tuple[str, ...], x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradient of each sample [b, d] and its loss [b].

    A row holds the parameters of the networks called `names`, in that order. Every sample is a
    batch of its own, so the networks must not mix samples (BatchNorm does).
    """
    parameters = {name: tensor.detach() for name, tensor in objective.named_parameters()}
    if not len(y):
        d = sum(parameters[f"networks.{name}"].numel() for name in names)
        return torch.zeros(0, d), torch.zeros(0)

    def loss_of_one(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        loss: Tensor = functional_call(objective, parameters, (x.unsqueeze(0), y.unsqueeze(0)))
        return loss

    of_each = vmap(grad_and_value(loss_of_one), in_dims=(None, 0, 0), randomness="different")
    gradients, losses = of_each(parameters, x, y)
    rows = torch.cat([gradients[f"networks.{name}"].reshape(len(y), -1) for name in names], dim=1)
    return rows, losses


def put(method: str, answer: Tensor, target: Tensor) -> None:
    """Write what a method of the extensions answered with into `target`; PluginError if it does not fit."""
    if answer.shape != target.shape:
        shapes = f"{tuple(answer.shape)}, expected {tuple(target.shape)}"
        raise PluginError(f"{method} of a training step answered with a tensor of shape {shapes}")
    if answer is not target:
        target.copy_(answer)

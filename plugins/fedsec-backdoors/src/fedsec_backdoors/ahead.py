"""Looking ahead: the loss of a model after honest training that is simulated, with a slope through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from attrs import define
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from fedsec_core.data import Dataset
from fedsec_core.state import Layout
from fedsec_core.streams import Stream

Parameters = Mapping[str, Tensor]
Batch = tuple[Tensor, Tensor]
"""Images [b, C, H, W] and their labels [b]."""


@define(eq=False)
class Drawing:
    """Gives batches of clean samples, drawn anew each time and none twice in a batch."""

    data: Dataset
    size: int
    stream: Stream

    def __call__(self) -> Batch:
        index = self.stream.numpy.choice(len(self.data), min(self.size, len(self.data)), replace=False)
        chosen = self.data.subset(index)
        return chosen.x, chosen.y


@define(eq=False)
class Simulation:
    """Honest training of one batch per step, as a function of parameters: nothing of it is kept."""

    networks: nn.Module
    lr: float
    clean: Callable[[], Batch]
    """Gives the next batch of clean samples."""

    def loss(self, parameters: Parameters, x: Tensor, y: Tensor) -> Tensor:
        """Return the cross entropy of a model with these parameters."""
        # copies: in training BatchNorm writes into its statistics
        buffers = {name: each.clone() for name, each in self.networks.named_buffers()}
        return cross_entropy(functional_call(self.networks, {**parameters, **buffers}, (x,)), y)

    def step(self, parameters: Parameters) -> Parameters:
        """Return the parameters after one step of an honest client, a differentiable function of them."""
        loss = self.loss(parameters, *self.clean())
        slopes = torch.autograd.grad(loss, [*parameters.values()], create_graph=True)
        return {
            name: each - self.lr * slope
            for (name, each), slope in zip(parameters.items(), slopes, strict=True)
        }


@define(eq=False)
class LookAhead:
    """Steps that also mind the loss of a batch after honest steps that are simulated from where they are.

    The loss becomes loss + `weight` x the loss after `ahead` steps, and its slope goes back through each.
    """

    ahead: int
    lr: float
    weight: float
    clean: Callable[[], Batch]

    def loss(self, loss: Tensor, networks: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Add what the batch will cost later."""
        simulation = Simulation(networks, self.lr, self.clean)
        model = parameters_of(networks)
        for _ in range(self.ahead):
            model = simulation.step(model)
        return loss + self.weight * simulation.loss(model, x, y)


def parameters_of(networks: nn.Module) -> Parameters:
    """Return the parameters of a module by name: leaves, by which a loss can be differentiated."""
    return dict(networks.named_parameters())


def received(networks: nn.Module, layout: Layout, state: Tensor) -> Parameters:
    """Return the parameters that a client received in `state` [size], as leaves; private ones as they are."""
    found = {name: each.detach().clone() for name, each in networks.named_parameters()}
    for piece in layout.parameters:
        found[piece.name] = state[piece.start : piece.stop].view(piece.shape).clone()
    return {name: each.requires_grad_(True) for name, each in found.items()}


def mean_with(own: Parameters, theirs: Parameters, others: int) -> Parameters:
    """Return the mean of one's own parameters and of those of so many others, who all have the same."""
    return {name: (each + others * theirs[name].detach()) / (others + 1) for name, each in own.items()}

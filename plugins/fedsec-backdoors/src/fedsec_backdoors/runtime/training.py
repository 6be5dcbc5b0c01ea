"""Attacks that train in their own way: model replacement, Neurotoxin, norm-bounded descent."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Literal

import torch
from attrs import define, evolve, field
from torch import Tensor, nn

from fedsec_backdoors.runtime.budget import Budget, Train
from fedsec_backdoors.runtime.poisoning import TriggerAttack
from fedsec_backdoors.training import constrained, least_moved, project, replacement_scale
from fedsec_core.markers import hookimpl
from fedsec_core.rounds import Round
from fedsec_core.state import Layout
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client

Scale = float | Literal["replace"]

MASK = "neurotoxin_mask"
"""Under this name Neurotoxin's side of the server tells its clients what to leave alone."""


def grown(update: Update, scale: Scale, client: Client, broadcast: Broadcast) -> Update:
    """Return `update` with its row [d] times `scale`; buffers are sent as they are."""
    if scale == "replace":
        present = set(client.accomplices) & set(broadcast.cohort)
        scale = replacement_scale(len(broadcast.cohort), len(present))
    return evolve(update, row=update.row * scale)


@define(eq=False)
class Constraint:
    """Steps that hold the model close to where it started: constrain-and-scale."""

    layout: Layout
    start: Tensor
    share: float

    def loss(self, loss: Tensor, networks: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Mix the anomaly term into the loss of a batch."""
        named = dict(networks.named_parameters())
        now = torch.cat([named[piece.name].reshape(-1) for piece in self.layout.parameters])
        return constrained(loss, now, self.start, self.share)


@define(eq=False, kw_only=True)
class ReplacingAttack(TriggerAttack):
    """Trains on poisoned data and makes its row large enough to survive the mean."""

    scale: Scale
    constrain: float | None
    bound: float | None
    budget: Budget

    @hookimpl
    def attack_client(self, client: Client, broadcast: Broadcast, train: Train) -> Update:
        """Return the scaled update of a model with the backdoor."""
        steps = None
        if self.constrain is not None:
            d = broadcast.layout.d
            steps = Constraint(broadcast.layout, broadcast.state[:d], self.constrain)
        update = self.budget.train(train, client, broadcast, steps)
        update = grown(update, self.scale, client, broadcast)
        if self.bound is not None:
            update = evolve(update, row=project(update.row, torch.zeros_like(update.row), self.bound))
        return self.budget.send(update)


@define(eq=False)
class Masking:
    """Steps that move only the coordinates `free` [d]."""

    free: Tensor

    def gradients(self, g: Tensor) -> Tensor:
        """Set the others to zero in a gradient [d], in place."""
        return g.mul_(self.free)


@define(eq=False)
class NeurotoxinAttack:
    """Hides the backdoor where the others move least."""

    top_k: float
    budget: Budget

    @hookimpl
    def announce(self, round: Round) -> Mapping[str, Tensor] | None:
        """Tell the attack's clients which coordinates [d] bool the last step moved least."""
        if not round.past_states:
            return None
        d = round.layout.d
        return {MASK: least_moved(round.state[:d] - round.past_states[-1][:d], self.top_k)}

    @hookimpl
    def attack_client(self, client: Client, broadcast: Broadcast, train: Train) -> Update:
        """Return the update of training on poisoned data with the mask on every gradient."""
        told = [tensor for name, tensor in broadcast.extra.items() if name.endswith(f".{MASK}")]
        steps = Masking(told[0]) if told else None
        return self.budget.send(self.budget.train(train, client, broadcast, steps))


@define(eq=False)
class Projecting:
    """Steps that bring the parameters back to a ball, after every `period`-th of them."""

    start: Tensor
    radius: float
    period: int
    _number: count[int] = field(factory=lambda: count(1), init=False)

    def parameters(self, p: Tensor) -> Tensor:
        """Project the parameters [d] if it is their turn."""
        return p if next(self._number) % self.period else project(p, self.start, self.radius)


@define(eq=False, kw_only=True)
class ProjectingAttack:
    """Trains on poisoned data without leaving a ball around the model that it received."""

    eps: float
    period: int
    scale: Scale
    budget: Budget

    @hookimpl
    def attack_client(self, client: Client, broadcast: Broadcast, train: Train) -> Update:
        """Return the update of projected training, its end projected whatever the period."""
        d = broadcast.layout.d
        steps = Projecting(broadcast.state[:d], self.eps, self.period)
        update = self.budget.train(train, client, broadcast, steps)
        received = broadcast.state[:d] - broadcast.base[:d]
        update = evolve(update, row=project(update.row, received, self.eps))
        return self.budget.send(grown(update, self.scale, client, broadcast))

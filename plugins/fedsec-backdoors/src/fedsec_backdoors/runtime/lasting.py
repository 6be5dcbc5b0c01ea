"""Attacks whose backdoor outlives them: Chameleon and Anticipate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from attrs import define
from torch import Tensor, nn

from fedsec_backdoors.ahead import Batch, Drawing, Simulation, mean_with, parameters_of, received
from fedsec_backdoors.contrast import contrast
from fedsec_backdoors.runtime.budget import Budget, Train, poisoned
from fedsec_core.data import Dataset
from fedsec_core.errors import FedsecError
from fedsec_core.markers import hookimpl
from fedsec_core.rounding import portion
from fedsec_core.state import Layout
from fedsec_core.streams import Stream
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client

if TYPE_CHECKING:
    from fedsec_backdoors.plugin.lasting import Chameleon

BASE = 0.07
"""The temperature at which the contrast counts once: the authors' loss grows with its temperature."""
BODY = "body"
"""The part whose output are features."""


@define(eq=False)
class Contrasting:
    """Steps that learn features by contrast, and nothing else."""

    asked: Chameleon

    def loss(self, loss: Tensor, networks: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Take the contrast of the batch's features in place of the cross entropy."""
        found: list[Tensor] = []
        body = networks.get_submodule(BODY)
        handle = body.register_forward_hook(lambda _module, _inputs, made: found.append(made))
        try:
            networks(x)
        finally:
            handle.remove()
        asked = self.asked
        loss = contrast(found[0], y, temperature=asked.temperature, target=asked.target, weight=asked.weight)
        return asked.temperature / BASE * loss


@define(eq=False)
class Holding:
    """Steps that leave the coordinates `place` as they are in `start` [d]."""

    start: Tensor
    place: slice

    def parameters(self, p: Tensor) -> Tensor:
        """Bring them back after a step, whatever the optimiser made of them, in place."""
        p[self.place] = self.start[self.place]
        return p


@define(eq=False)
class ChameleonAttack:
    """Runtime of `chameleon`."""

    asked: Chameleon
    budget: Budget

    @hookimpl
    def attack_client(self, client: Client, broadcast: Broadcast, train: Train) -> Update:
        """Return the update of both stages."""
        data, changes = poisoned(client, broadcast), dict(self.budget.changes)
        self._require_target(client.data, data)
        steps, body = changes.pop("steps"), body_of(broadcast.layout)
        first = min(max(1, portion(self.asked.contrast, steps)), steps - 1)
        rate = {} if self.asked.contrast_lr is None else {"lr": self.asked.contrast_lr}
        contrasted = train(data=data, extend=Contrasting(self.asked), **{**changes, **rate, "steps": first})
        start = after(contrasted, broadcast)
        held = Holding(start[: broadcast.layout.d], body)
        update = train(data=data, start=start, extend=held, **changes, steps=steps - first)
        return self.budget.send(update)

    def _require_target(self, clean: Dataset, harmful: Dataset) -> None:
        """Raise FedsecError where the attack it rides on has another target."""
        if len(clean) == len(harmful):
            given = set(harmful.y[harmful.y != clean.y].tolist())
            if others := given - {self.asked.target}:
                raise FedsecError(
                    f"chameleon has target {self.asked.target}, the attack that it rides on {min(others)}"
                )


def after(update: Update, broadcast: Broadcast) -> Tensor:
    """Return the state [size] that the client had when it made `update`."""
    d = broadcast.layout.d
    return torch.cat([broadcast.base[:d] + update.row, update.buffers])


def body_of(layout: Layout) -> slice:
    """Return where the body lies in a row; raises FedsecError for a network without one."""
    try:
        return layout.part(BODY)
    except KeyError:
        parts = ", ".join(dict.fromkeys(piece.part for piece in layout.parameters))
        raise FedsecError(
            f"contrast is about the features of a part {BODY!r}; this network learns in {parts} alone"
        ) from None


@define(eq=False)
class Anticipating:
    """Steps whose loss is that of the models to come."""

    ahead: int
    lr: float
    others: int
    layout: Layout
    start: Tensor
    """The state that the others start from, too."""
    clean: Callable[[], Batch]

    def loss(self, loss: Tensor, networks: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Add up the loss of the batch over the simulated rounds."""
        simulation = Simulation(networks, self.lr, self.clean)
        theirs = simulation.step(received(networks, self.layout, self.start))
        model = mean_with(parameters_of(networks), theirs, self.others)
        total = simulation.loss(model, x, y)
        for _ in range(self.ahead - 1):
            model = simulation.step(model)
            total = total + simulation.loss(model, x, y)
        return total


@define(eq=False)
class AnticipatingAttack:
    """Runtime of `anticipate`."""

    ahead: int
    lr: float
    batch: int
    others: int | None
    budget: Budget

    @hookimpl
    def attack_client(self, client: Client, broadcast: Broadcast, train: Train, stream: Stream) -> Update:
        """Return the update of training with foresight."""
        others = len(broadcast.cohort) - 1 if self.others is None else self.others
        steps = Anticipating(
            ahead=self.ahead,
            lr=self.lr,
            others=others,
            layout=broadcast.layout,
            start=broadcast.state,
            clean=Drawing(client.data, self.batch, stream),
        )
        return self.budget.send(self.budget.train(train, client, broadcast, steps))

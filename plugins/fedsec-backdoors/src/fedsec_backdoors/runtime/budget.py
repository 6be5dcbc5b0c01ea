"""What an attacker spends in a round: how it trains on its poisoned data, and how long its row is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from attrs import define, evolve

from fedsec_backdoors.runtime.poisoning import Poisoning
from fedsec_core.data import Dataset
from fedsec_core.errors import FedsecError
from fedsec_core.evaluation import View
from fedsec_core.findings import Findings
from fedsec_core.markers import hookimpl
from fedsec_core.streams import Stream
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client

Train = Callable[..., Update]
"""What `attack_client` is handed: local training, with changes."""


@define(eq=False, frozen=True)
class Budget:
    """What the scenario gives an attacker in place of what everybody has."""

    changes: Mapping[str, Any]
    """Parameters of the trainer: `epochs` or `steps`, `lr`."""
    norm: float | None
    """Euclidean length of its row; None: as it comes."""

    @property
    def given(self) -> bool:
        """Whether anything is other than for everybody."""
        return bool(self.changes) or self.norm is not None

    def train(
        self, train: Train, client: Client, broadcast: Broadcast, extend: object | None = None
    ) -> Update:
        """Train on the client's poisoned data, with `extend` in every step."""
        return train(data=poisoned(client, broadcast), extend=extend, **self.changes)

    def send(self, update: Update) -> Update:
        """Bring the row [d] of `update` to the length of the budget; a row of zeros stays."""
        if self.norm is None:
            return update
        length = float(torch.linalg.vector_norm(update.row, dtype=torch.float64))
        return evolve(update, row=update.row * (self.norm / length)) if length else update


def poisoned(client: Client, broadcast: Broadcast) -> Dataset:
    """Return the client's poisoned data; raises FedsecError where no attack poisons them in this round."""
    if client.poisoned is None:
        raise FedsecError(
            f"client {client.id} has no poisoned data in round {broadcast.round}: this attack rides on one "
            'that poisons data and is active in the same rounds; take its clients, as in clients = "badnets"'
        )
    return client.poisoned


@define(eq=False)
class Spending:
    """An attack that poisons data, whose clients train on them and send with a budget of their own."""

    attack: Poisoning
    budget: Budget

    @hookimpl
    def attack_data(self, data: Dataset, client: Client, stream: Stream) -> Dataset:
        """Return the client's samples, some of them poisoned."""
        return self.attack.attack_data(data, client, stream)

    @hookimpl
    def attack_client(self, client: Client, broadcast: Broadcast, train: Train) -> Update:
        """Return the update of plain training on poisoned data, at the length of the budget."""
        return self.budget.send(self.budget.train(train, client, broadcast))

    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        """Measure as the attack does."""
        return self.attack.evaluate_model(view)

"""The hooks that run on workers, typed: data, broadcast, local training, serving."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from torch import Tensor

from fedsec_core import steps
from fedsec_core.data import Dataset, Spec
from fedsec_core.errors import PluginError
from fedsec_core.hooks import answers
from fedsec_core.hooks.members import Member, Members
from fedsec_core.state import Layout, Networks
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client
from fedsec_core.vocabulary import Role

Stores = dict[str, dict[str, Any]]
"""The memory of each component at one client, by label."""


class ClientHooks(Members):
    """What a worker calls. `Client` objects come with the store of the component that is called."""

    def build_networks(self, spec: Spec) -> Networks:
        """Build the networks, flat, with the shared parts first."""
        member, answer = self.only("build_networks", {"spec": spec})
        module = answers.module(member, answer)
        shared = next(m.slot.component.shared_parts for m in self if m.slot.role is Role.TRAIN)
        try:
            return Networks.of(module, Layout.of(module, shared))
        except PluginError as error:
            raise PluginError(f"{member.slot.title}: {error}") from error

    def transform_data(self, data: Dataset, client: int | None) -> Dataset:
        for member in self.answering("transform_data"):
            answer = self.call(member, "transform_data", {"data": data, "client": client}, client=client)
            data = answers.dataset(member, "transform_data", answer, data)
        return data

    def attack_data(self, label: str, data: Dataset, client: Client) -> Dataset | None:
        """Ask the attack `label` for the poisoned data of its client; None: it does not poison data."""
        for member in self.answering("attack_data", [label]):
            if member.label == label:
                seen = attrs.evolve(client, grants=member.grants)
                arguments = {"data": seen.data, "client": seen}
                answer = self.call(member, "attack_data", arguments, client=client.id)
                return None if answer is None else answers.dataset(member, "attack_data", answer, data)
        return None

    def prepare_broadcast(
        self, broadcast: Broadcast, client: int, server_data: Dataset | None, active: Sequence[str]
    ) -> Broadcast:
        for member in self.answering("prepare_broadcast", active):
            sent = attrs.evolve(broadcast, grants=member.grants if member.is_attack else None)
            held = server_data if member.may_use_server_data else None
            arguments = {"broadcast": sent, "client_id": client, "server_data": held}
            answer = self.call(member, "prepare_broadcast", arguments, number=broadcast.round, client=client)
            broadcast = attrs.evolve(answers.broadcast(member, answer, broadcast), grants=None)
        return broadcast

    def training_steps(
        self, client: Client, broadcast: Broadcast, stores: Stores, active: Sequence[str], *, protected: bool
    ) -> list[tuple[str, object]]:
        """Gather the extensions of all components, by title; without `protected`, not of protections."""
        found: list[tuple[str, object]] = []
        for member in self.answering("training_steps", active):
            if member.slot.role is Role.PROTECT and not protected:
                continue
            seen, received = client, broadcast
            if member.is_attack:
                seen = attrs.evolve(client, grants=member.grants)
                received = attrs.evolve(broadcast, grants=member.grants)
            seen = attrs.evolve(seen, state=stores.setdefault(member.label, {}))
            arguments = {"client": seen, "broadcast": received}
            answer = self.call(member, "training_steps", arguments, number=broadcast.round, client=client.id)
            if answer is not None:
                _declared(member, answer)
                found.append((member.slot.title, answer))
        return found

    def train_client(
        self, client: Client, broadcast: Broadcast, composed: steps.Steps, stores: Stores
    ) -> Update:
        for asked in self.answering("train_client"):
            if unknown := composed.used - asked.slot.component.honours - {"update"}:
                what = f"{sorted(unknown)[0]!r} of training, which {asked.slot.title} does not honour"
                raise PluginError(f"a component extends {what}")
            client = attrs.evolve(client, state=stores.setdefault(asked.label, {}))
        arguments = {"client": client, "broadcast": broadcast, "steps": composed}
        member, answer = self.only("train_client", arguments, number=broadcast.round, client=client.id)
        update = answers.update(member, "train_client", answer, broadcast.layout)
        if composed.update is not None:
            update = answers.update(
                member, "update of training_steps", composed.update(update), broadcast.layout
            )
        return update

    def attack_client(
        self,
        client: Client,
        broadcast: Broadcast,
        train: Callable[..., Update],
        stores: Stores,
        active: Mapping[str, tuple[int, ...]],
    ) -> Update | None:
        """Ask active attacks of this client for an update in place of its training.

        `active` holds the clients of each, by label, this one among them.
        """
        for member in self.answering("attack_client", [*active]):
            accomplices = active[member.label]
            arguments: Mapping[str, Any] = {
                "client": attrs.evolve(
                    client,
                    malicious=True,
                    rank=accomplices.index(client.id),
                    accomplices=accomplices,
                    grants=member.grants,
                    state=stores.setdefault(member.label, {}),
                ),
                "broadcast": attrs.evolve(broadcast, grants=member.grants),
                "train": train,
            }
            answer = self.call(member, "attack_client", arguments, number=broadcast.round, client=client.id)
            if answer is not None:
                return answers.update(member, "attack_client", answer, broadcast.layout)
        return None

    def serve_model(
        self, predict: Callable[[Tensor], Tensor], client: int | None, number: int
    ) -> Callable[[Tensor], Tensor]:
        for member in self.answering("serve_model"):
            arguments = {"predict": predict, "client": client}
            answer = self.call(member, "serve_model", arguments, number=number, client=client)
            predict = predict if answer is None else answers.served(member, answer)
        return predict


def _declared(member: Member, answer: object) -> None:
    found = {name for name in steps.METHODS if getattr(answer, name, None) is not None}
    if undeclared := found - member.slot.component.extends:
        what = f"{sorted(undeclared)[0]!r}, which its extends does not name"
        raise PluginError(f"{member.slot.title} answers training_steps with {what}")

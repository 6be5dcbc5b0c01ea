"""One worker: it holds networks and the data of clients, trains them and asks their models."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import evolve
from torch import Tensor, nn

from fedsec_core import steps as step_extensions
from fedsec_core import stored
from fedsec_core.data import Dataset
from fedsec_core.errors import PluginError
from fedsec_core.hooks.clients import ClientHooks, Stores
from fedsec_core.kernels import is_finite
from fedsec_core.models import Models
from fedsec_core.scenario.model import Slot
from fedsec_core.sites import Sites
from fedsec_core.state import Layout, Networks
from fedsec_core.tasks import Answer, Blueprint, Order, Task
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client
from fedsec_core.vocabulary import Role


class Worker:
    """Runs the hooks of the clients' side. It sees its blueprint and its orders, nothing of the server."""

    def __init__(self, blueprint: Blueprint) -> None:
        self.blueprint = blueprint
        self.hooks = ClientHooks(blueprint.slots, blueprint.seed)
        self.networks = self.hooks.build_networks(blueprint.spec)
        self.sites = Sites(blueprint, self.hooks)
        self.models = Models(blueprint, self.hooks, self.sites, self.networks)
        self._changed_trainers: dict[Slot, ClientHooks] = {}
        self._evaluation: tuple[Dataset, Dataset] | None = None

    @property
    def layout(self) -> Layout:
        return self.networks.layout

    def evaluation_data(self) -> tuple[Dataset, Dataset]:
        """Return val and test as protections leave them."""
        if self._evaluation is None:
            val, test = self.blueprint.val, self.blueprint.test
            val = self.hooks.transform_data(val, None) if len(val) else val
            self._evaluation = val, self.hooks.transform_data(test, None)
        return self._evaluation

    def train(self, order: Order, task: Task) -> Answer:
        """Let one client answer the broadcast of its round, honestly or not."""
        heard = {name: order.announced[name] for name in task.heard}
        self.hooks.spent.clear()
        broadcast = self.models.receive(
            order.round, order.cohort, order.state, task.client, heard, task.active
        )
        update = self._attack(task, broadcast) if task.active else None
        by = self._trainer_label
        if update is not None:
            by = next(member.label for member in self.hooks.answering("attack_client", [*task.active]))
        else:
            client = self._client(task.client, broadcast)
            poisoned = self._poisoned(task) if task.active else None
            if poisoned is not None:
                client = evolve(client, data=poisoned)
            store = self.sites.store(task.client)
            update = self._follow(self.hooks, client, broadcast, store, task.active, protected=True)
        made = hashlib.blake2b(digest_size=16)
        made.update(update.row.contiguous().numpy().data)
        made.update(update.buffers.contiguous().numpy().data)
        return Answer(
            client=task.client,
            update=update,
            digest=made.hexdigest(),
            finite=is_finite(update.row),
            by=by,
            remembers=self.sites.remembers(task.client),
            seconds=self._spent(),
        )

    def _spent(self) -> dict[str, float]:
        spent = dict(self.hooks.spent)
        for trainer in self._changed_trainers.values():
            for label, seconds in trainer.spent.items():
                spent[label] = spent.get(label, 0.0) + seconds
            trainer.spent.clear()
        return spent

    def _client(self, client: int, broadcast: Broadcast, start: Tensor | None = None) -> Client:
        site = self.sites.of(client)

        def loaded() -> Networks:
            self.networks.load(broadcast._state if start is None else start, self.models.private(client))
            return self.networks

        return Client(client, data=site.data, local_test=site.local_test, state={}, networks=loaded)

    def _follow(
        self,
        trainer: ClientHooks,
        client: Client,
        broadcast: Broadcast,
        stores: Stores,
        active: tuple[str, ...],
        *,
        protected: bool,
        further: object | None = None,
    ) -> Update:
        """Train as the protocol says."""
        found = self.hooks.training_steps(client, broadcast, stores, active, protected=protected)
        if further is not None:
            found.append(("the attack's own steps", further))
        return trainer.train_client(client, broadcast, step_extensions.compose(found), stores)

    def _attack(self, task: Task, broadcast: Broadcast) -> Update | None:
        if not self.hooks.answering("attack_client", [*task.active]):
            return None
        store = self.sites.store(task.client)
        began = copy.deepcopy(store)
        owner = self._malicious(task.client, task.active)

        def train(
            data: Dataset | None = None,
            *,
            extend: object | None = None,
            start: Tensor | None = None,
            protected: bool = False,
            **changes: Any,
        ) -> Update:
            kept = copy.deepcopy(began)
            client = self._client(task.client, broadcast, start)
            client = client if data is None else evolve(client, data=data)
            trainer = self._trainer(changes)
            update = self._follow(trainer, client, broadcast, kept, (), protected=protected, further=extend)
            for label in [label for label in kept if label not in owner]:
                store[label] = kept[label]
            return update

        client = evolve(self._client(task.client, broadcast), poisoned=self._poisoned(task))
        return self.hooks.attack_client(client, broadcast, train, store, owner)

    def _malicious(self, client: int, active: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
        held = self.blueprint.attackers
        return {label: held[label] for label in active if client in held[label]}

    def _poisoned(self, task: Task) -> Dataset | None:
        site = self.sites.of(task.client)
        for label, clients in self._malicious(task.client, task.active).items():
            if label not in site.poisoned:
                client = Client(
                    task.client,
                    data=site.data,
                    local_test=site.local_test,
                    # nothing is remembered: the data are made again wherever the client goes
                    state={},
                    networks=self._as_built,
                    malicious=True,
                    rank=clients.index(task.client),
                    accomplices=clients,
                )
                site.poisoned[label] = self.hooks.attack_data(label, site.data, client)
            if (poisoned := site.poisoned[label]) is not None:
                return poisoned
        return None

    def _as_built(self) -> Networks:
        self.networks.load(self.built())
        return self.networks

    @property
    def _trainer_label(self) -> str:
        return next(slot.label for slot in self.blueprint.slots if slot.role is Role.TRAIN)

    def _trainer(self, changes: Mapping[str, Any]) -> ClientHooks:
        """Return the hooks with the scenario's trainer, some of its parameters changed."""
        if not changes:
            return self.hooks
        slot = next(slot for slot in self.blueprint.slots if slot.role is Role.TRAIN)
        # in trainers a number of steps goes before one of epochs: who asks for epochs means them
        if "epochs" in changes and getattr(slot.component, "steps", None) is not None:
            changes = {"steps": None, **changes}
        try:
            changed = evolve(slot, component=attrs.evolve(slot.component, **changes))
        except (TypeError, ValueError) as error:
            raise PluginError(f"train(): {slot.title} does not take {dict(changes)}: {error}") from error
        if changed not in self._changed_trainers:
            self._changed_trainers[changed] = ClientHooks([changed], self.blueprint.seed)
        return self._changed_trainers[changed]

    def train_apart(self, data: Dataset, start: Tensor | None, changes: Mapping[str, Any]) -> nn.Module:
        """Train a module of its own on `data` with the scenario's trainer, outside of the federation."""
        state = self.built() if start is None else start
        broadcast = Broadcast(
            round=0, rounds=self.blueprint.rounds, cohort=(), state=state, base=state, layout=self.layout
        )

        def loaded() -> Any:
            self.networks.load(state)
            return self.networks

        client = Client(-1, data=data, local_test=None, state={}, networks=loaded)
        self._trainer(changes).train_client(client, broadcast, step_extensions.Steps(), {})
        return self.networks.fresh()

    def built(self) -> Tensor:
        """Return the state as the networks were built [layout.size]."""
        return self.networks.built_state()

    def save(self, folder: Path, number: int, clients: Sequence[int]) -> dict[int, str | None]:
        """Write the memory of `clients` into `folder`; gives each one's file, None for empty memory."""
        files: dict[int, str | None] = {}
        for client in clients:
            files[client] = None
            if self.sites.remembers(client):
                files[client] = f"{client}-{number}.pt"
                stored.write(folder / f"{client}-{number}.pt", self.sites.store(client), f"client {client}")
        return files

    def recall(self, client: int, file: Path) -> None:
        """Read the memory of a client back."""
        self.sites.stores[client] = stored.read(file)

"""One worker: it holds networks and the data of clients, trains them and asks their models."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
from attrs import define, evolve, field
from torch import Tensor, nn

from fedsec_core import steps as step_extensions
from fedsec_core.data import Dataset
from fedsec_core.errors import FedsecError, PluginError
from fedsec_core.evaluation import LocalView
from fedsec_core.hooks.clients import ClientHooks, Stores
from fedsec_core.prediction import finite, predict
from fedsec_core.rounding import portion
from fedsec_core.scenario.model import Slot
from fedsec_core.state import Layout
from fedsec_core.streams import Stream
from fedsec_core.tasks import Answer, Asking, Blueprint, Task
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client
from fedsec_core.vocabulary import Role


@define(eq=False)
class Site:
    """What a worker keeps of one client."""

    data: Dataset
    local_test: Dataset | None
    poisoned: dict[str, Dataset | None] = field(factory=dict)
    """By label of the attack; None: that attack does not poison data."""
    stores: Stores = field(factory=dict)


class Worker:
    """Runs the hooks of the clients' side. It sees its blueprint and its tasks, nothing of the server."""

    def __init__(self, blueprint: Blueprint) -> None:
        self.blueprint = blueprint
        self.hooks = ClientHooks(blueprint.slots, blueprint.seed)
        self.networks = self.hooks.build_networks(blueprint.spec)
        self._changed_trainers: dict[Slot, ClientHooks] = {}
        self._sites: dict[int, Site] = {}
        self._evaluation: tuple[Dataset, Dataset] | None = None

    @property
    def layout(self) -> Layout:
        return self.networks.layout

    def site(self, client: int) -> Site:
        """Return the data and memory of a client, made on first use."""
        if client not in self._sites:
            self._sites[client] = self._settle(client)
        return self._sites[client]

    def _settle(self, client: int) -> Site:
        index = self.blueprint.partition[client]
        held_back: np.ndarray | None = None
        if share := self.blueprint.local_test:
            if len(index) < 2:
                raise FedsecError(
                    f"client {client} has 1 sample: too few to hold back local_test = {share:g}"
                )
            count = min(max(portion(share, len(index)), 1), len(index) - 1)
            order = Stream(self.blueprint.seed, "local_test", client).numpy.permutation(len(index))
            index, held_back = index[np.sort(order[count:])], index[np.sort(order[:count])]
        train, transform = self.blueprint.train, self.hooks.transform_data
        test = None if held_back is None else transform(train.subset(held_back), client)
        return Site(transform(train.subset(index), client), test)

    def evaluation_data(self) -> tuple[Dataset, Dataset]:
        """Return val and test as protections leave them."""
        if self._evaluation is None:
            val, test = self.blueprint.val, self.blueprint.test
            val = self.hooks.transform_data(val, None) if len(val) else val
            self._evaluation = val, self.hooks.transform_data(test, None)
        return self._evaluation

    def train(self, task: Task) -> Answer:
        """Let one client answer the broadcast of its round, honestly or not."""
        site = self.site(task.client)
        broadcast = self._receive(task.round, task.cohort, task.state, task.client, task.extra, task.active)
        update = self._attack(task, site, broadcast) if task.active else None
        if update is None:
            client = self._client(task.client, site, broadcast)
            poisoned = self._poisoned(task, site) if task.active else None
            if poisoned is not None:
                client = evolve(client, data=poisoned)
            update = self._follow(self.hooks, client, broadcast, site.stores, task.active, protected=True)
        made = hashlib.blake2b(digest_size=16)
        made.update(update.row.numpy().tobytes())
        made.update(update.buffers.numpy().tobytes())
        return Answer(task.client, update, made.hexdigest())

    def _receive(
        self,
        number: int,
        cohort: tuple[int, ...],
        state: Tensor,
        client: int,
        extra: Mapping[str, Tensor],
        active: tuple[str, ...] = (),
    ) -> Broadcast:
        broadcast = Broadcast(
            round=number,
            rounds=self.blueprint.rounds,
            cohort=cohort,
            state=state,
            base=state,
            layout=self.layout,
            extra=extra,
            make=lambda given: self.module(given, client),
        )
        return self.hooks.prepare_broadcast(broadcast, client, self.blueprint.server_data, active)

    def _client(self, client: int, site: Site, broadcast: Broadcast, start: Tensor | None = None) -> Client:
        def loaded() -> Any:
            self.networks.load(broadcast._state if start is None else start, self._private(site))
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

    def _attack(self, task: Task, site: Site, broadcast: Broadcast) -> Update | None:
        if not self.hooks.answering("attack_client", [*task.active]):
            return None
        began = copy.deepcopy(site.stores)
        owner = self._malicious(task.client, task.active)
        honest = self._client(task.client, site, broadcast)

        def train(
            data: Dataset | None = None,
            *,
            steps: object | None = None,
            start: Tensor | None = None,
            protected: bool = False,
            **changes: Any,
        ) -> Update:
            kept = copy.deepcopy(began)
            client = self._client(task.client, site, broadcast, start)
            client = client if data is None else evolve(client, data=data)
            trainer = self._trainer(changes)
            update = self._follow(trainer, client, broadcast, kept, (), protected=protected, further=steps)
            for label in [label for label in kept if label not in owner]:
                site.stores[label] = kept[label]
            return update

        client = evolve(
            honest,
            poisoned=self._poisoned(task, site),
            malicious=True,
            rank=next(iter(owner.values())).index(task.client),
            accomplices=next(iter(owner.values())),
        )
        return self.hooks.attack_client(client, broadcast, train, site.stores, task.active)

    def _malicious(self, client: int, active: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
        held = self.blueprint.attackers
        return {label: held[label] for label in active if client in held[label]}

    def _poisoned(self, task: Task, site: Site) -> Dataset | None:
        for label, clients in self._malicious(task.client, task.active).items():
            if label not in site.poisoned:
                client = Client(
                    task.client,
                    data=site.data,
                    local_test=site.local_test,
                    state=site.stores.setdefault(label, {}),
                    networks=lambda: self.networks,
                    malicious=True,
                    rank=clients.index(task.client),
                    accomplices=clients,
                )
                site.poisoned[label] = self.hooks.attack_data(label, site.data, client)
            if (poisoned := site.poisoned[label]) is not None:
                return poisoned
        return None

    def _trainer(self, changes: Mapping[str, Any]) -> ClientHooks:
        """Return the hooks with the scenario's trainer, some of its parameters changed."""
        if not changes:
            return self.hooks
        slot = next(slot for slot in self.blueprint.slots if slot.role is Role.TRAIN)
        try:
            changed = evolve(slot, component=attrs.evolve(slot.component, **changes))
        except (TypeError, ValueError) as error:
            raise PluginError(f"train(): {slot.title} does not take {dict(changes)}: {error}") from error
        if changed not in self._changed_trainers:
            self._changed_trainers[changed] = ClientHooks([changed], self.blueprint.seed)
        return self._changed_trainers[changed]

    def train_apart(
        self, data: Dataset, start: Tensor | None, changes: Mapping[str, Any], purpose: str
    ) -> nn.Module:
        """Train a module of its own on `data` with the scenario's trainer, outside of the federation."""
        state = self.built() if start is None else start
        broadcast = Broadcast(
            round=0, rounds=self.blueprint.rounds, cohort=(), state=state, base=state, layout=self.layout
        )

        def loaded() -> Any:
            self.networks.load(state)
            return self.networks

        client = Client(-1, data=data, local_test=None, state={"purpose": purpose}, networks=loaded)
        self._trainer(changes).train_client(client, broadcast, step_extensions.Steps(), {})
        return self.networks.fresh()

    def built(self) -> Tensor:
        """Return the state as the networks were built [layout.size]."""
        return self.networks.built_state()

    def _private(self, site: Site | None) -> dict[str, Tensor] | None:
        trainer = next(slot for slot in self.blueprint.slots if slot.role is Role.TRAIN)
        return None if site is None else site.stores.get(trainer.label, {}).get("parts")

    def module(self, state: Tensor, client: int | None = None) -> nn.Module:
        """Return a fresh module with `state` and, of a client, its private parts."""
        self.networks.load(state, self._private(None if client is None else self.site(client)))
        return self.networks.fresh()

    def next_model(self, asking: Asking) -> nn.Module:
        """Return a fresh module: the server's, or what a client would receive next."""
        state = asking.state
        if asking.client is None:
            if self.layout.private:
                parts = ", ".join(self.layout.private)
                raise FedsecError(
                    f"there is no one model: {parts} never leaves the clients; ask for a client's"
                )
        else:
            state = self._receive(asking.number + 1, (asking.client,), state, asking.client, {})._state
        return self.module(state, asking.client)

    def predict(self, asking: Asking, x: Tensor) -> Tensor:
        """Return logits [n, classes]; raises Diverged where they overflow."""
        module = self.next_model(asking)

        def ask(images: Tensor) -> Tensor:
            title = next(slot.title for slot in self.blueprint.slots if slot.role is Role.MODEL)
            return predict(module, images, self.blueprint.spec.classes, title)

        if asking.served:
            return finite(self.hooks.serve_model(ask, asking.client, asking.number)(x))
        return finite(ask(x))

    def map(self, function: Callable[..., Any], asking: Asking, label: str, args: tuple[Any, ...]) -> Any:
        """Return `function(local_view, *args)` at one client."""
        assert asking.client is not None
        site = self.site(asking.client)
        view = LocalView(
            id=asking.client,
            data=site.data,
            local_test=site.local_test,
            state=copy.deepcopy(site.stores.get(label, {})),
            predict=lambda x: self.predict(asking, x),
            networks=lambda: self.next_model(asking),
        )
        return function(view, *args)

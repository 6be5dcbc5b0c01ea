"""The models of a worker: what a client receives, what it has of its own, and asking either."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from fedsec_core.errors import FedsecError
from fedsec_core.evaluation import LocalView
from fedsec_core.hooks.clients import ClientHooks
from fedsec_core.prediction import finite, predict
from fedsec_core.sites import Sites
from fedsec_core.state import Layout, Networks
from fedsec_core.tasks import Asking, Blueprint
from fedsec_core.views import Broadcast
from fedsec_core.vocabulary import Role


class Models:
    """Builds and asks models on the side of the clients, with networks that never train."""

    def __init__(self, blueprint: Blueprint, hooks: ClientHooks, sites: Sites, networks: Networks) -> None:
        self.blueprint, self.hooks, self.sites = blueprint, hooks, sites
        self._built = networks
        self._trainer = next(slot.label for slot in blueprint.slots if slot.role is Role.TRAIN)

    @property
    def layout(self) -> Layout:
        return self._built.layout

    @cached_property
    def _asked(self) -> Networks:
        """Networks to ask and to copy, so that asking never disturbs a client that is training."""
        return Networks.of(self._built.as_built(), self.layout)

    def receive(
        self,
        number: int,
        cohort: tuple[int, ...],
        state: Tensor,
        client: int,
        extra: Mapping[str, Tensor],
        active: tuple[str, ...] = (),
    ) -> Broadcast:
        """Return what a client receives of a state, as components prepare it."""
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

    def private(self, client: int | None) -> dict[str, Tensor] | None:
        """Return the private parts of a client, by name; None where there are none yet."""
        return None if client is None else self._memory(client, self._trainer).get("parts")

    def module(self, state: Tensor, client: int | None = None) -> nn.Module:
        """Return a fresh module with `state` and, of a client, its private parts."""
        self._asked.load(state, self.private(client))
        return self._asked.fresh()

    def next_model(self, asking: Asking) -> nn.Module:
        """Return a fresh module: the server's, or what a client would receive next.

        Parts that never leave the clients are as built in the server's.
        """
        return self._next(asking).fresh()

    def _next(self, asking: Asking) -> Networks:
        state = asking.state
        if asking.client is not None:
            state = self.receive(asking.number + 1, (asking.client,), state, asking.client, {})._state
        self._asked.load(state, self.private(asking.client))
        return self._asked

    def predict(self, asking: Asking, x: Tensor) -> Tensor:
        """Return logits [n, classes]; raises Diverged where they overflow."""
        if asking.client is None and self.layout.private:
            parts = ", ".join(self.layout.private)
            raise FedsecError(f"there is no one model: {parts} never leaves the clients; ask for a client's")
        networks = self._next(asking)

        def ask(images: Tensor) -> Tensor:
            title = next(slot.title for slot in self.blueprint.slots if slot.role is Role.MODEL)
            return predict(networks.module, images, self.blueprint.spec.classes, title)

        if asking.served and self.serves:
            return finite(self.hooks.serve_model(ask, asking.client, asking.number)(x))
        return finite(ask(x))

    @property
    def serves(self) -> bool:
        """Whether somebody stands between a model and who asks it."""
        return bool(self.hooks.answering("serve_model"))

    def map(self, function: Callable[..., Any], asking: Asking, label: str, args: tuple[Any, ...]) -> Any:
        """Return `function(local_view, *args)` at one client."""
        assert asking.client is not None
        site = self.sites.of(asking.client)
        view = LocalView(
            id=asking.client,
            data=site.data,
            local_test=site.local_test,
            state=copy.deepcopy(self._memory(asking.client, label)),
            predict=lambda x: self.predict(asking, x),
            networks=lambda: self.next_model(asking),
        )
        return function(view, *args)

    def _memory(self, client: int, label: str) -> Mapping[str, Any]:
        return self.sites.stores.get(client, {}).get(label, {})

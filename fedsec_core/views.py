"""What hooks are handed on the side of the clients, and what everyone knows of the round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field, frozen
from torch import Tensor, nn

from fedsec_core.data import Dataset
from fedsec_core.errors import MissingGrant
from fedsec_core.state import Layout, Networks
from fedsec_core.vocabulary import Knowledge


@frozen
class Grants:
    """What the component `label` may know; `None` in place of grants means everything."""

    label: str
    knows: frozenset[Knowledge]

    def check(self, knowledge: Knowledge, what: str) -> None:
        """Raise MissingGrant unless `knowledge` was granted."""
        if knowledge not in self.knows:
            raise MissingGrant(self.label, what, knowledge.value)


def check(grants: Grants | None, knowledge: Knowledge, what: str) -> None:
    """Raise MissingGrant if there are grants and `knowledge` is not among them."""
    if grants is not None:
        grants.check(knowledge, what)


@define(eq=False, frozen=True)
class Broadcast:
    """What the server sends to one client.

    `state` [layout.size] is loaded by the client, rows are measured from `base`. A component that
    changes the broadcast returns `attrs.evolve(broadcast, state=...)`; a malicious server sets
    `base` too. `extra` holds the announcements as `label.name`.
    """

    round: int
    rounds: int
    cohort: tuple[int, ...]
    _state: Tensor = field(alias="state")
    _base: Tensor = field(alias="base")
    layout: Layout
    extra: Mapping[str, Tensor] = field(factory=dict)
    _make: Callable[[Tensor], nn.Module] | None = field(default=None, alias="make")
    _grants: Grants | None = field(default=None, alias="grants")

    @property
    def state(self) -> Tensor:
        """The state that the client receives [layout.size]; do not modify. Attacks: `global_model`."""
        check(self._grants, Knowledge.GLOBAL_MODEL, "the state it received")
        return self._state

    @property
    def base(self) -> Tensor:
        """The state that the row is measured from [layout.size]. Attacks: `global_model`."""
        check(self._grants, Knowledge.GLOBAL_MODEL, "the state it received")
        return self._base

    def networks(self, state: Tensor | None = None) -> nn.Module:
        """Return a fresh module of its own, loaded with `state` (default: the state received)."""
        if self._make is None:
            raise RuntimeError("this broadcast was made without a worker: it cannot build networks")
        return self._make(self.state if state is None else state)


@define(eq=False, frozen=True)
class Client:
    """A client as its own side sees it.

    `state` is a store that outlives the round, one per client and component; it holds tensors,
    plain values and bytes. `malicious`, `rank` (its place among its attack's clients) and
    `accomplices` are told to attacks only.
    """

    id: int
    _data: Dataset = field(alias="data")
    local_test: Dataset | None
    state: dict[str, Any]
    _networks: Callable[[], Networks] = field(alias="networks")
    poisoned: Dataset | None = None
    malicious: bool = False
    rank: int | None = None
    accomplices: tuple[int, ...] = ()
    _grants: Grants | None = field(default=None, alias="grants")

    @property
    def data(self) -> Dataset:
        """The client's training samples, honest. Attacks: `own_data`."""
        check(self._grants, Knowledge.OWN_DATA, "the data of its client")
        return self._data

    def networks(self) -> Networks:
        """Return the worker's networks, loaded with what the client starts from.

        The same object every time, loaded anew: the fast path of training. Take
        `broadcast.networks()` for a module of your own.
        """
        return self._networks()


@frozen
class Candidate:
    """A client that may be selected: the examples it holds and the round it last took part in."""

    id: int
    examples: int
    last_selected: int | None

"""What a worker holds of its clients: their data, made where they are needed, and their memory."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from attrs import define, field

from fedsec_core.data import Dataset
from fedsec_core.errors import FedsecError
from fedsec_core.hooks.clients import ClientHooks, Stores
from fedsec_core.rounding import portion
from fedsec_core.streams import Stream
from fedsec_core.tasks import Blueprint

KEPT = 1 << 24
"""Bytes of data that are no more than a selection of the training samples: the rest is selected anew."""

HEAD = 1 << 12
"""Bytes that a client takes beside its samples, roughly."""


@define(eq=False)
class Site:
    """The data of one client, a function of the blueprint alone."""

    data: Dataset
    local_test: Dataset | None
    poisoned: dict[str, Dataset | None] = field(factory=dict)
    """By label of the attack; None: that attack does not poison data."""

    @property
    def bytes(self) -> int:
        return self.data.pixels.nbytes + self.data.y.nbytes + HEAD


class Sites:
    """The clients of one worker. Data can be made again anywhere; memory exists once."""

    def __init__(self, blueprint: Blueprint, hooks: ClientHooks) -> None:
        self.blueprint, self.hooks = blueprint, hooks
        self.stores: dict[int, Stores] = {}
        """The memory of each component at each client."""
        self._sites: OrderedDict[int, Site] = OrderedDict()
        self._bytes = 0
        self._costly = bool(hooks.answering("transform_data"))

    def of(self, client: int) -> Site:
        """Return the data of a client, made on first use."""
        if client in self._sites:
            self._sites.move_to_end(client)
            return self._sites[client]
        site = self._sites[client] = self._settle(client)
        self._bytes += site.bytes
        if not self._costly:
            self._make_room()
        return site

    def store(self, client: int) -> Stores:
        """Return the memory of a client; what is written to it is kept."""
        return self.stores.setdefault(client, {})

    def remembers(self, client: int) -> bool:
        """Tell whether any component keeps anything of a client; what holds nothing is dropped."""
        if any(self.stores.get(client, {}).values()):
            return True
        self.stores.pop(client, None)
        return False

    def examples(self, client: int) -> int:
        """Return how many samples a client trains on."""
        if self._costly:
            return len(self.of(client).data)
        return len(self.blueprint.partition[client]) - self._held_back(client)

    def _make_room(self) -> None:
        while self._bytes > KEPT and len(self._sites) > 1:
            client, site = next(iter(self._sites.items()))
            if site.poisoned:
                self._sites.move_to_end(client)
                return
            self._bytes -= self._sites.pop(client).bytes

    def _held_back(self, client: int) -> int:
        share, held = self.blueprint.local_test, len(self.blueprint.partition[client])
        if not share:
            return 0
        if held < 2:
            raise FedsecError(f"client {client} has 1 sample: too few to hold back local_test = {share:g}")
        return min(max(portion(share, held), 1), held - 1)

    def _settle(self, client: int) -> Site:
        index = self.blueprint.partition[client]
        train, transform = self.blueprint.train, self.hooks.transform_data
        count = self._held_back(client)
        if not count:
            return Site(transform(train.subset(index), client), None)
        order = Stream(self.blueprint.seed, "local_test", client).numpy.permutation(len(index))
        index, held_back = index[np.sort(order[count:])], index[np.sort(order[:count])]
        test = transform(train.subset(held_back), client)
        return Site(transform(train.subset(index), client), test)

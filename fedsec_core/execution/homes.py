"""Which worker trains which client: the one that holds its memory, unless another would wait idle."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attrs import define, field

SLACK = 1.1
"""How much more than its share a worker may have to do before memory moves."""


@define
class Move:
    """A client whose memory goes from one worker to another."""

    client: int
    old: int
    new: int


@define(eq=False)
class Homes:
    """Where the clients live. Data are everywhere; memory is where the client last trained."""

    workers: int
    home: dict[int, int] = field(factory=dict)
    """The worker that last had a client."""

    def plan(
        self, clients: Sequence[int], sizes: Sequence[int], bound: Collection[int]
    ) -> tuple[Plan, list[Move]]:
        """Plan a round of `clients` with so many samples each, those in `bound` having memory.

        Bound clients are trained at home; some move first where that would leave others idle.
        """
        size = dict(zip(clients, sizes, strict=True))
        load = [0] * self.workers
        for client in clients:
            if client in bound:
                load[self.home[client]] += size[client]
        share = SLACK * sum(sizes) / self.workers
        moves = []
        for client in reversed(clients):
            old = self.home.get(client)
            if client not in bound or old is None:
                continue
            new = min(range(self.workers), key=load.__getitem__)
            if load[old] > share and load[new] + size[client] < load[old]:
                load[old] -= size[client]
                load[new] += size[client]
                moves.append(Move(client, old, new))
                self.home[client] = new
        at = {place: self.home[client] for place, client in enumerate(clients) if client in bound}
        likes = {place: self.home[client] for place, client in enumerate(clients) if client in self.home}
        return Plan(list(range(len(clients))), at, likes), moves


@define(eq=False)
class Plan:
    """The positions of a round that nobody has taken yet, ascending."""

    left: list[int]
    at: dict[int, int]
    """Positions that only one worker can take."""
    likes: dict[int, int]
    """Positions that a worker takes before others, because it has their data."""

    def take(self, worker: int, limit: int) -> int | None:
        """Return the next position below `limit` for `worker`, or None if there is none for it."""
        other: int | None = None
        for position in self.left:
            if position >= limit:
                break
            if self.at.get(position, worker) != worker:
                continue
            if self.likes.get(position, worker) == worker:
                return self._taken(position)
            other = position if other is None else other
        return None if other is None else self._taken(other)

    def _taken(self, position: int) -> int:
        self.left.remove(position)
        return position

"""Who attacks, and in which rounds: drawn once, from streams that nothing else touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from fedsec_core.errors import FedsecError
from fedsec_core.rounding import portion
from fedsec_core.scenario.model import ClientChoice, Slot
from fedsec_core.streams import Stream


@frozen
class Attackers:
    """The clients of each attack, by its label, and when each attack is active."""

    slots: tuple[Slot, ...]
    clients: Mapping[str, tuple[int, ...]]
    seed: int

    @property
    def malicious(self) -> frozenset[int]:
        """All clients that some attack holds."""
        return frozenset(client for clients in self.clients.values() for client in clients)

    def active(self, number: int) -> tuple[str, ...]:
        """Return the labels of the attacks that are active in round `number`."""
        return tuple(slot.label for slot in self.slots if self._is_active(slot, number))

    def _is_active(self, slot: Slot, number: int) -> bool:
        rounds = slot.keys.rounds
        if not rounds.includes(number):
            return False
        chance = Stream(self.seed, "active", slot.label, number).numpy.random()
        return bool(chance < rounds.probability)

    def of(self, client: int, labels: Sequence[str]) -> tuple[str, ...]:
        """Return those of `labels` that hold `client`."""
        return tuple(label for label in labels if client in self.clients[label])

    def present(self, clients: Sequence[int], number: int) -> tuple[int, ...]:
        """Return the clients that can be selected: not those that are absent outside of their rounds."""
        active = self.active(number)
        away = {
            client
            for slot in self.slots
            if slot.keys.outside == "absent"
            for client in self.clients[slot.label]
            if not self.of(client, active)
        }
        return tuple(client for client in clients if client not in away)

    def force(self, cohort: tuple[int, ...], number: int) -> tuple[int, ...]:
        """Let active attacks that force their way in take honest clients' places in the cohort."""
        chosen = list(cohort)
        active = self.active(number)
        for slot in self.slots:
            if slot.keys.join != "forced" or slot.label not in active:
                continue
            outside = [client for client in self.clients[slot.label] if client not in chosen]
            honest = [client for client in chosen if client not in self.malicious]
            order = Stream(self.seed, "forced", slot.label, number).numpy.permutation(len(honest))
            for client, place in zip(outside, order, strict=False):
                chosen[chosen.index(honest[place])] = client
        return tuple(sorted(chosen))


def draw(slots: Sequence[Slot], seed: int, clients: int) -> Attackers:
    """Draw the clients of every attack; a later attack draws from those that are left.

    Raises FedsecError if an attack asks for more clients than there are.
    """
    held: dict[str, tuple[int, ...]] = {}
    for slot in slots:
        if isinstance(slot.keys.clients, ClientChoice):
            held[slot.label] = _choose(slot, slot.keys.clients, seed, clients, held)
    for slot in slots:
        if isinstance(slot.keys.clients, str):
            held[slot.label] = held[slot.keys.clients]
    return Attackers(tuple(slots), {slot.label: held[slot.label] for slot in slots}, seed)


def _choose(
    slot: Slot, choice: ClientChoice, seed: int, clients: int, held: Mapping[str, tuple[int, ...]]
) -> tuple[int, ...]:
    if choice.ids is not None:
        if unknown := [client for client in choice.ids if not 0 <= client < clients]:
            raise FedsecError(
                f"{slot.title}: there is no client {unknown[0]}: ids go from 0 to {clients - 1}"
            )
        return tuple(sorted(set(choice.ids)))
    count = choice.count if choice.count is not None else max(1, portion(choice.fraction or 0, clients))
    taken = {client for others in held.values() for client in others}
    free = [client for client in range(clients) if client not in taken]
    if count > len(free):
        raise FedsecError(
            f"{slot.title} asks for {count} clients, but only {len(free)} of {clients} are free"
        )
    order = Stream(seed, "attackers", slot.label).numpy.permutation(clients)
    return tuple(sorted([int(client) for client in order if client not in taken][:count]))

"""The bench: a case put into scenarios small enough to be played in a moment."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import define, evolve, field
from torch import Tensor

from fedsec_core.catalogue import Catalogue, Offer
from fedsec_core.component import Component
from fedsec_core.course import Course
from fedsec_core.data import Dataset
from fedsec_core.execution.in_process import InProcess
from fedsec_core.federation import Federation
from fedsec_core.hooks import ServerHooks
from fedsec_core.hooks.members import Member
from fedsec_core.records import EndRecord, RoundRecord
from fedsec_core.rounds import Round
from fedsec_core.scenario import Scenario, Slot, load
from fedsec_core.scenario.model import SHADOW
from fedsec_core.testing import standins
from fedsec_core.testing.case import Case
from fedsec_core.testing.promises import require
from fedsec_core.testing.resent import copied
from fedsec_core.views import Broadcast, Client
from fedsec_core.vocabulary import REQUIRED, Role
from fedsec_core.worker import Worker

SEED = 20
OBSERVER = "kit-after"
DEFAULTS: Mapping[Role, Mapping[str, Any]] = {Role.ATTACK: {"clients": {"count": 2}}}
"""Keys of the core that a role cannot do without, where the case gives none."""

Kept = dict[str, list[Round]]
"""Received rounds of a case, by what was changed in its surroundings."""


@define(eq=False)
class Played:
    """A federation that was played to its end, with what it left behind."""

    federation: Federation
    records: list[RoundRecord]
    states: list[Tensor]
    """The state after each round, 0 first."""
    end: EndRecord

    @property
    def rounds(self) -> list[Round]:
        """The finished rounds from 1 on, with what was received, judged and added."""
        return observed(self.federation)


@define(eq=False)
class Bench:
    """One case with its settings; every check gets a bench of its own."""

    case: Case
    offer: Offer
    settings: Mapping[str, Any]
    kept: Kept = field(factory=dict)
    """What checks of the same case have received before."""
    _slot: Slot | None = field(default=None, init=False)

    @classmethod
    @contextmanager
    def of(cls, case: Case, offer: Offer, kept: Kept) -> Iterator[Bench]:
        """Set up a case; the files that it needs are there until the context ends."""
        with (
            TemporaryDirectory(prefix="fedsec-contract-") as folder,
            case.settings_in(Path(folder)) as settings,
        ):
            yield cls(case, offer, settings, kept)

    @property
    def role(self) -> Role:
        return self.offer.role

    @property
    def slot(self) -> Slot:
        """The case in its scenario: typed, with its grants."""
        if self._slot is None:
            self._slot = self._find(self.scenario())
        return self._slot

    @property
    def component(self) -> Component:
        return self.slot.component

    @property
    def kind(self) -> type[Component]:
        return self.offer.load()

    def answered(self) -> frozenset[str]:
        """Return the hooks that the built component answers."""
        return frozenset(self.server().members[0].calls)

    def server(self) -> ServerHooks:
        """Return the server's hooks with the case's component, freshly built, and nobody else."""
        return ServerHooks([self.slot], SEED)

    def scenario(
        self,
        changes: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        present: bool = True,
        observed: bool = True,
    ) -> Scenario:
        """Return the case among stand-ins; `changes` are keys by role, `present` False leaves the case out.

        Without the observer (`observed` False) nobody but the case may need single rows. Raises
        ScenarioError where the case and its surroundings do not fit.
        """
        tables = self.tables(changes, present=present)
        if not observed:
            tables[Role.AFTER.value] = tables[Role.AFTER.value][1:]
        return _loaded(tables)

    def beside(self, *, there: bool) -> Scenario:
        """Return the stand-ins with the case as a shadow among them, or without it."""
        tables = self.tables(present=False)
        if self.role in REQUIRED:
            standin = {"use": f"{standins.DISTRIBUTION}:kit-{self.role.value}"}
            tables[self.role.value] = self.case.beside.get(self.role.value, standin)
        if there:
            tables[SHADOW] = [{"role": self.role.value, **self._own({})}]
        return _loaded(tables)

    def tables(
        self, changes: Mapping[str, Mapping[str, Any]] | None = None, *, present: bool = True
    ) -> dict[str, Any]:
        """Return the same as plain tables, as a scenario file would give them."""
        tables: dict[str, Any] = {"scenario": {"name": "contract", "rounds": self.case.rounds, "seed": SEED}}
        for offer in standins.OFFERS:
            tables[offer.role.value] = {"use": f"{offer.distribution}:{offer.name}"}
        tables[Role.AFTER.value] = [tables[Role.AFTER.value]]
        for role, given in self.case.beside.items():
            _put(tables, role, given)
        own = self._own((changes or {}).get(self.role.value, {}))
        if present or self.role in REQUIRED:
            _put(tables, self.role.value, [own] if self.role.many else own)
        for role, keys in (changes or {}).items():
            if role != self.role.value:
                _put(tables, role, keys)
        return tables

    def _own(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the table of the case, with other keys."""
        use = f"{self.offer.distribution}:{self.offer.name}"
        return {"use": use, **DEFAULTS.get(self.role, {}), **self.settings, **changes}

    def riding_on_one_client(self) -> Bench:
        """Return the bench of an attack that takes the clients of another, when that one holds one client."""
        tables = [
            table if isinstance(table.get("clients"), str) else {**table, "clients": {"count": 1}}
            for table in self.case.beside.get(Role.ATTACK.value, [])
        ]
        case = evolve(self.case, beside={**self.case.beside, Role.ATTACK.value: tables})
        return Bench(case, self.offer, self.settings)

    def _find(self, scenario: Scenario) -> Slot:
        return next(
            slot for slot in reversed(scenario.slots) if slot.offer == self.offer and slot.role is self.role
        )

    def federation(
        self,
        changes: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        present: bool = True,
        twin: bool = False,
        observed: bool = True,
    ) -> Federation:
        """Set up a federation of the scenario."""
        return Federation(self.scenario(changes, present=present, observed=observed), SEED, twin=twin)

    def play(
        self,
        changes: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        present: bool = True,
        twin: bool = False,
        observed: bool = True,
    ) -> Played:
        """Play a federation to its end; its case must not let it diverge."""
        return play(self.federation(changes, present=present, twin=twin, observed=observed))

    def received(self, **changes: Mapping[str, Any]) -> list[Round]:
        """Return the rounds of a played federation as they had arrived: not yet judged or merged.

        The observer was not shown the samples of the server: they are put back for who needs them.
        A federation of the same case and `changes` is played once; every check gets rows of its own.
        """
        place = repr(changes)
        if place not in self.kept:
            played = self.play(changes)
            held = played.federation.server_data
            self.kept[place] = [
                evolve(round, verdict=None, step=None, server_data=held) for round in played.rounds
            ]
        return [copied(round) for round in self.kept[place]]

    def members(self, federation: Federation) -> list[Member]:
        """Return the case's component as it was built on the server and on the worker."""
        sides = (federation.hooks, worker(federation).hooks)
        return [member for side in sides for member in side if member.slot.offer == self.offer]


def play(federation: Federation, *, may_diverge: bool = False) -> Played:
    """Play a federation; raises Broken where it diverges, unless it may."""
    records, states = [], []
    course = Course(federation)
    for record in course.run():
        require(
            may_diverge or not record.diverged,
            f"its {record.diverged} overflows in round {record.number}: give the case milder settings",
        )
        records.append(record)
        states.append(federation.state.clone())
    return Played(federation, records, states, course.finish("done"))


def observed(federation: Federation) -> list[Round]:
    """Return the rounds that the stand-in observer of a federation has seen."""
    runtime = next(member.runtime for member in federation.hooks if member.label == OBSERVER)
    return list(runtime.rounds)


def worker(federation: Federation) -> Worker:
    """Return the one worker of a federation on the bench."""
    assert isinstance(federation.executor, InProcess)
    return federation.executor.worker


def seat(federation: Federation, id: int, data: Dataset | None = None) -> tuple[Client, Broadcast]:
    """Return a client in round 1, with other data on request, and what it receives."""
    at = worker(federation)
    broadcast = Broadcast(
        round=1,
        rounds=federation.scenario.rounds,
        cohort=federation.clients,
        state=federation.state,
        base=federation.state,
        layout=federation.layout,
        make=at.models.module,
    )

    def loaded() -> Any:
        at.networks.load(federation.state)
        return at.networks

    held = at.sites.of(id).data if data is None else data
    return Client(id, data=held, local_test=None, state={}, networks=loaded), broadcast


def _loaded(tables: Mapping[str, Any]) -> Scenario:
    offers = Catalogue((*_installed(tuple(sys.path)).offers, *standins.OFFERS))
    return load(tables, catalogue=offers).main


@cache
def _installed(_path: tuple[str, ...]) -> Catalogue:
    return Catalogue.installed()


def _put(tables: dict[str, Any], role: str, given: Any) -> None:
    """Put a table into a scenario: over one of the same role, or after those of a role that takes several."""
    if isinstance(given, Mapping) and "use" not in given:
        tables[role] = {**tables.get(role, {}), **given}
    elif isinstance(given, Mapping):
        tables[role] = copy.deepcopy(dict(given))
    else:
        tables[role] = [*tables.get(role, []), *copy.deepcopy(list(given))]

"""From a scenario file to an Experiment, with every fault of the file reported at once."""

from __future__ import annotations

import copy
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, evolve, field, frozen

from fedsec_core.catalogue import Catalogue
from fedsec_core.component import Component, parameter
from fedsec_core.errors import Fault, PluginError, ScenarioError
from fedsec_core.scenario import check, source
from fedsec_core.scenario.model import KEYS, RESERVED, Claim, Experiment, Keys, Scenario, Slot
from fedsec_core.scenario.positions import Path
from fedsec_core.scenario.resolve import resolve
from fedsec_core.scenario.source import Source
from fedsec_core.scenario.structure import Structurer, Wrong
from fedsec_core.suggest import did_you_mean
from fedsec_core.vocabulary import Knowledge, Role

LABEL = "a label is made of letters, digits, '-' and '_'"


@frozen(kw_only=True)
class Head:
    """The table `[scenario]`."""

    name: str = parameter(
        doc="names the run folder",
        check=lambda name: None if _is_label(name) else f"{LABEL}, got {name!r}",
    )
    rounds: int = parameter(doc="number of rounds", at_least=1)
    seed: int | tuple[int, ...] = parameter(
        0, doc="one seed, or a list of them", at_least=0, check=lambda seed: _wrong_seeds(seed)
    )
    twin: bool = parameter(False, doc="also run the same federation with everyone honest")

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.seed if isinstance(self.seed, tuple) else (self.seed,)


def load(
    scenario: str | pathlib.Path | Mapping[str, Any],
    *,
    catalogue: Catalogue | None = None,
    set: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    twin: bool | None = None,
) -> Experiment:
    """Read a scenario and type it; `set` overrides single values, by dotted key.

    Raises ScenarioError with every fault.
    """
    catalogue = catalogue or Catalogue.installed()
    read = source.read(scenario, catalogue)
    faults = [
        Fault(f"--set {key}", "", wrong)
        for key, value in (set or {}).items()
        if (wrong := source.override(read.tables, key, value))
    ]
    if seeds is not None or twin is not None:
        head = read.tables.setdefault("scenario", {})
        if isinstance(head, dict):
            head.update({"seed": list(seeds)} if seeds is not None else {})
            head.update({"twin": twin} if twin is not None else {})
    if faults:
        raise ScenarioError(faults)
    return _Loading(read, catalogue).experiment()


@define
class _Loading:
    """One reading of one file: gathers faults until the end."""

    read: Source
    catalogue: Catalogue
    faults: list[Fault] = field(factory=list)
    structurer: Structurer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.structurer = Structurer(self.read.base)

    def experiment(self) -> Experiment:
        tables = self.read.tables
        variants = self._tables("variant")
        head = self._structure(tables.get("scenario", {}), Head, ("scenario",))
        main = self._scenario(tables, head, lambda path: path)
        scenarios: dict[str, Scenario | None] = {"main": main}
        for index, raw in enumerate(variants):
            name, scenario = self._variant(index, raw, head, scenarios)
            scenarios[name] = scenario
        claims = [
            self._structure(raw, Claim, ("claim", index)) for index, raw in enumerate(self._tables("claim"))
        ]
        done = {name: each for name, each in scenarios.items() if each is not None}
        for index, claim in enumerate(claims):
            if claim is not None and head is not None and len(done) == len(scenarios):
                found = check.claim(claim, done, head.twin)
                self.faults += [self.read.fault(("claim", index, key), message) for key, message in found]
        if self.faults:
            raise ScenarioError(sorted(dict.fromkeys(self.faults), key=_position))
        assert head is not None
        assert main is not None
        return Experiment(
            name=head.name,
            seeds=head.seeds,
            twin=head.twin,
            main=main,
            variants={name: each for name, each in done.items() if name != "main"},
            claims=tuple(claim for claim in claims if claim is not None),
            resolved={name: resolve(each, head.seeds, head.twin) for name, each in done.items()},
            file=self.read.file,
        )

    def _tables(self, name: str) -> list[Any]:
        raw = self.read.tables.get(name, [])
        if isinstance(raw, list):
            return raw
        self._fault((name,), f"expected tables in double brackets: [[{name}]]")
        return []

    def _fault(self, path: Path, message: str) -> None:
        self.faults.append(self.read.fault(path, message))

    def _structure(
        self, raw: object, kind: type[Any], path: Path, *, also: frozenset[str] = frozenset()
    ) -> Any:
        try:
            return self.structurer.table(raw, kind, also=also)
        except Wrong as wrong:
            for below, message in wrong.faults:
                self._fault((*path, *below), message)
            return None

    def _variant(
        self, index: int, raw: Any, head: Head | None, taken: Mapping[str, Any]
    ) -> tuple[str, Scenario | None]:
        path: Path = ("variant", index)
        name = raw.get("as") if isinstance(raw, dict) else None
        if not isinstance(name, str) or not _is_label(name):
            self._fault(path, f"missing or wrong key 'as': {LABEL}")
            return f"variant {index}", None
        if name in RESERVED or name in taken:
            why = "reserved" if name in RESERVED else "taken by another variant"
            self._fault((*path, "as"), f"the name {name!r} is {why}")
            return f"variant {index}", None
        tables = copy.deepcopy(self.read.tables)
        moved: set[str] = set()
        for key, value in raw.items():
            if key in {role.value for role in Role}:
                tables[key] = copy.deepcopy(value)
                moved.add(key)
            elif key == "set" and isinstance(value, dict):
                for name_of, new in value.items():
                    if wrong := source.override(tables, name_of, new):
                        self._fault((*path, "set"), f"{name_of}: {wrong}")
            elif key != "as":
                known = ["as", "set", *(role.value for role in Role)]
                self._fault((*path, key), "unknown key" + did_you_mean(key, known))
        before = len(self.faults)
        if head is not None:
            head = self._head_of_variant(tables, head, path)
        scenario = self._scenario(tables, head, lambda at: (*path, *at) if at and at[0] in moved else at)
        said = {(fault.path, fault.message) for fault in self.faults[:before]}
        # what is wrong in the main scenario is wrong in every variant: say it once
        new = [fault for fault in self.faults[before:] if (fault.path, fault.message) not in said]
        self.faults[before:] = new
        return name, scenario

    def _head_of_variant(self, tables: Mapping[str, Any], main: Head, path: Path) -> Head | None:
        """A variant may have other rounds; name, seeds and twin are those of the experiment."""
        head: Head | None = self._structure(tables["scenario"], Head, (*path, "set"))
        if head is not None and evolve(head, rounds=main.rounds) != main:
            self._fault((*path, "set"), "a variant may change scenario.rounds, nothing else of [scenario]")
            return None
        return head

    def _scenario(self, tables: Mapping[str, Any], head: Head | None, place: Any) -> Scenario | None:
        before = len(self.faults)
        known = {"scenario", "variant", "claim", *(role.value for role in Role)}
        for name in tables:
            if name not in known:
                self._fault((name,), "unknown table" + did_you_mean(name, known))
        slots: list[Slot] = []
        for role in Role:
            slots += self._slots(role, tables.get(role.value), place)
        labels: dict[str, Slot] = {}
        for slot in slots:
            if slot.label in labels:
                taken = f"the label {slot.label!r} is taken by {labels[slot.label].title}"
                self._fault(slot.path, f'{taken}; give one of them as = "..."')
            labels.setdefault(slot.label, slot)
        if head is None or len(self.faults) > before:
            return None
        scenario = Scenario(head.name, head.rounds, tuple(slots))
        for path, message in check.scenario(scenario):
            self._fault(path, message)
        return scenario

    def _slots(self, role: Role, raw: Any, place: Any) -> list[Slot]:
        path: Path = place((role.value,))
        if raw is None:
            if role.required:
                hint = f'add a table [{role.value}] with use = "..."'
                self.faults.append(Fault(self.read.name, role.value, f"missing table: {hint}"))
            return []
        if not role.many:
            found = self._slot(role, raw, path)
            return [found] if found else []
        if not isinstance(raw, list):
            self._fault(path, f"expected tables in double brackets: [[{role.value}]]")
            return []
        found_all = (self._slot(role, each, (*path, index)) for index, each in enumerate(raw))
        return [slot for slot in found_all if slot]

    def _slot(self, role: Role, raw: Any, path: Path) -> Slot | None:
        if not isinstance(raw, dict):
            self._fault(path, f"expected a table, got {raw!r}")
            return None
        use = raw.get("use")
        if not isinstance(use, str):
            near = next((key for key in raw if did_you_mean(key, ["use"])), None)
            asked = f"; did you mean 'use' by {near!r}?" if near else f": which {role.value} component?"
            self._fault(path, f"missing key 'use'{asked}")
            return None
        label = raw.get("as", use.rpartition(":")[2])
        if not isinstance(label, str) or not _is_label(label):
            self._fault((*path, "as"), f"{LABEL}, got {label!r}")
            return None
        try:
            offer = self.catalogue.find(role, use)
            kind = offer.load()
        except PluginError as error:
            self._fault((*path, "use"), str(error))
            return None
        own = {key: value for key, value in raw.items() if key in KEYS[role]}
        reserved = frozenset({"use", "as", *KEYS[role]})
        rest = {key: value for key, value in raw.items() if key not in reserved}
        keys: Keys | None = self._structure(own, Keys, path)
        component: Component | None = self._structure(rest, kind, path, also=reserved)
        if keys is None or component is None:
            return None
        return self._granted(Slot(role, label, offer, component, keys, path))

    def _granted(self, slot: Slot) -> Slot | None:
        given = slot.keys.knows
        known = [knowledge.value for knowledge in Knowledge]
        wrong = [name for name in given or () if name not in known]
        for name in wrong:
            hint = did_you_mean(name, known) or f"; known: {', '.join(known)}"
            self._fault((*slot.path, "knows"), f"no knowledge is called {name!r}{hint}")
        if wrong:
            return None
        for missing in sorted(slot.component.knows - slot.granted):
            message = (
                f"{slot.offer.name} does not work without the knowledge {missing.value!r}: add it to knows"
            )
            self._fault((*slot.path, "knows"), message)
        return slot


def _wrong_seeds(seed: int | tuple[int, ...]) -> str | None:
    if isinstance(seed, int):
        return None
    if not seed or len(set(seed)) < len(seed):
        return f"must name each seed once, got {list(seed)!r}"
    return f"must be >= 0, got {min(seed)}" if min(seed) < 0 else None


def _is_label(text: str) -> bool:
    return bool(text) and all(letter.isalnum() or letter in "-_" for letter in text)


def _position(fault: Fault) -> tuple[int, str]:
    line = fault.where.rpartition(":")[2]
    return (int(line) if line.isdigit() else 0, fault.path)

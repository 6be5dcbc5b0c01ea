"""Runs the variants of scenarios, one federation on each core; stop it at any moment and start it again.

Each finished federation is one line of a results file, and is not run again while its settings hold.
Federations may start from what another one, played once per seed, ended with.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path
from threading import Lock
from typing import Any

import attrs
import ledger
from attrs import frozen
from children import Children, side_by_side
from ledger import Line

from fedsec_core.errors import FedsecError
from fedsec_core.runs.files import locked
from fedsec_core.runs.names import WEIGHTS as FINAL
from fedsec_core.runs.reading import FederationResult
from fedsec_core.scenario import Experiment, load
from fedsec_core.scenario.execute import Execute, worker_count

RUNS = Path(__file__).parents[2] / "runs" / "sweep"
"""Where federations are played; what evaluation keeps for later runs stays there, the rest is taken away:
a federation that is finished, and what one left behind that was killed."""
WEIGHTS = ".weights"
"""Below it: what federations ended with, from which others start."""


@frozen
class Item:
    """One federation: a variant of a scenario that a plugin ships, with one seed."""

    scenario: str
    variant: str
    seed: int
    settings: str
    """A digest of what the scenario says of it: a line with another one was measured on something else."""
    start: Item | None = None
    """The federation from whose end it starts."""

    @property
    def name(self) -> str:
        """The scenario without its plugin."""
        return self.scenario.partition(":")[2]

    @property
    def title(self) -> str:
        return f"{self.scenario}, {self.variant}, seed {self.seed}"

    @property
    def place(self) -> tuple[str, str, int, str]:
        return self.scenario, self.variant, self.seed, self.settings

    @property
    def weights(self) -> Path:
        """Where its last model is kept for others to start from."""
        return RUNS / WEIGHTS / f"{self.settings}-{self.seed}.safetensors"


def items(
    scenario: str, variants: Sequence[str] | None = None, *, start: str | None = None
) -> Iterator[Item]:
    """Give the federations of a scenario, or of some of its variants: seed by seed.

    Those with `start` begin where `main` of that scenario ends with the same seed.
    """
    experiment = load(scenario)
    for seed in experiment.seeds:
        first = None if start is None else _warm(start, seed)
        for variant in variants or tuple(experiment.scenarios()):
            settings = settings_of(experiment, variant)
            if first is not None:
                settings = _digest([settings, first.settings])
            yield Item(scenario, variant, seed, settings, first)


def _warm(scenario: str, seed: int) -> Item:
    return Item(scenario, "main", seed, settings_of(load(scenario), "main"))


def settings_of(experiment: Experiment, variant: str) -> str:
    """Return a digest of the components of a variant, their parameters, and what the core is told."""
    scenario = experiment.scenarios()[variant]
    told = [
        [slot.role.value, slot.offer.name, slot.label, attrs.asdict(slot.component), attrs.asdict(slot.keys)]
        for slot in scenario.everyone
    ]
    return _digest([scenario.rounds, told])


def _digest(told: Any) -> str:
    return hashlib.blake2b(json.dumps(told, default=_plain).encode(), digest_size=6).hexdigest()


def _plain(value: Any) -> Any:
    """Return a value that is no JSON; a file is known by its name, wherever a machine keeps it."""
    if isinstance(value, Path):
        return value.name
    return sorted(map(str, value)) if isinstance(value, Set) else str(value)


def finished(lines: Iterable[Line], wanted: Iterable[Item]) -> dict[Item, Line]:
    """Return the line of each of `wanted` that was measured with its present settings."""
    known = {(line["scenario"], line["variant"], line["seed"], line["settings"]): line for line in lines}
    return {item: known[item.place] for item in wanted if item.place in known}


def run(
    wanted: Sequence[Item],
    results: Path,
    measure: Callable[[Item, FederationResult], Line],
    *,
    at_once: int | None = None,
) -> None:
    """Run what has no line yet, in the order of `wanted`; `measure` tells what else a line holds.

    `at_once` federations are played side by side, one on every core unless told. Raises FedsecError
    while another process does, and if one cannot be played.
    """
    done = finished(ledger.read(results), wanted)
    todo = [item for item in wanted if item not in done]
    print(f"{len(done)} of {len(wanted)} federations are there, {len(todo)} to run", flush=True)
    RUNS.mkdir(parents=True, exist_ok=True)
    writing, children = Lock(), Children(RUNS)

    def warm_up(item: Item) -> None:
        found = _played(children, item)
        item.weights.parent.mkdir(exist_ok=True)
        shutil.copyfile(found.folder / FINAL, unfinished := item.weights.with_suffix(".unfinished"))
        unfinished.replace(item.weights)
        print(f"{item.title}: {found.status}, {found.facts['seconds']:.0f} s", flush=True)
        shutil.rmtree(found.folder.parents[1])

    def play(item: Item) -> None:
        found = _played(children, item)
        with writing:
            ledger.append(results, {**identity(item, found), **measure(item, found)})
            print(f"{item.title}: {found.status}, {found.facts['seconds']:.0f} s", flush=True)
        shutil.rmtree(found.folder.parents[1])

    with locked(RUNS):
        for left in RUNS.glob("[!.]*/"):
            shutil.rmtree(left)
        at_once = at_once or worker_count(Execute())
        starts = dict.fromkeys(item.start for item in todo if item.start is not None)
        side_by_side(at_once, [each for each in starts if not each.weights.exists()], warm_up, children)
        side_by_side(at_once, todo, play, children)


def _played(children: Children, item: Item) -> FederationResult:
    start = None if item.start is None else item.start.weights
    found = children.play(item.scenario, item.variant, item.seed, start)
    (now,) = (
        each
        for each in items(item.scenario, [item.variant], start=item.start and item.start.scenario)
        if each.seed == item.seed
    )
    if now.settings != item.settings:
        raise FedsecError(f"{item.title}: the scenario was changed meanwhile; start again")
    return found


def identity(item: Item, found: FederationResult) -> Line:
    """Return what a line says of every federation."""
    return {
        "scenario": item.scenario,
        "variant": item.variant,
        "seed": item.seed,
        "settings": item.settings,
        "status": found.status,
        "digest": found.facts["digest"],
        "torch": found.facts["digest_class"]["torch"],
        "data": found.facts["data"]["digest"],
        "key": found.facts["key"],
        "seconds": round(found.facts["seconds"], 1),
        "cores": found.facts["workers"],
    }

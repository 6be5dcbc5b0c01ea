"""Runs the variants of scenarios, one federation on each core; stop it at any moment and start it again.

Each finished federation is one line of a results file, and is not run again while its settings hold.
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
from fedsec_core.runs.reading import FederationResult
from fedsec_core.scenario import Experiment, load
from fedsec_core.scenario.execute import Execute, worker_count

RUNS = Path(__file__).parents[2] / "runs" / "sweep"
"""Where federations are played; what evaluation keeps for later runs stays there, the rest is taken away:
a federation that is finished, and what one left behind that was killed."""


@frozen
class Item:
    """One federation: a variant of a scenario that a plugin ships, with one seed."""

    scenario: str
    variant: str
    seed: int
    settings: str
    """A digest of what the scenario says of it: a line with another one was measured on something else."""

    @property
    def title(self) -> str:
        return f"{self.scenario}, {self.variant}, seed {self.seed}"

    @property
    def place(self) -> tuple[str, str, int, str]:
        return self.scenario, self.variant, self.seed, self.settings


def items(scenario: str, variants: Sequence[str] | None = None) -> Iterator[Item]:
    """Give the federations of a scenario, or of some of its variants: seed by seed."""
    experiment = load(scenario)
    for seed in experiment.seeds:
        for variant in variants or tuple(experiment.scenarios()):
            yield Item(scenario, variant, seed, settings_of(experiment, variant))


def settings_of(experiment: Experiment, variant: str) -> str:
    """Return a digest of the components of a variant, their parameters, and what the core is told."""
    scenario = experiment.scenarios()[variant]
    told = [
        [slot.role.value, slot.offer.name, slot.label, attrs.asdict(slot.component), attrs.asdict(slot.keys)]
        for slot in scenario.everyone
    ]
    text = json.dumps([scenario.rounds, told], default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


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

    def play(item: Item) -> None:
        found = children.play(item.scenario, item.variant, item.seed)
        if settings_of(load(item.scenario), item.variant) != item.settings:
            raise FedsecError(f"{item.title}: the scenario was changed meanwhile; start again")
        with writing:
            ledger.append(results, {**identity(item, found), **measure(item, found)})
            print(f"{item.title}: {found.status}, {found.facts['seconds']:.0f} s", flush=True)
        shutil.rmtree(found.folder.parents[1])

    with locked(RUNS):
        for left in RUNS.glob("[!.]*/"):
            shutil.rmtree(left)
        side_by_side(at_once or worker_count(Execute()), todo, play, children)


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

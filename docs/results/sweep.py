"""Runs the variants of scenarios one federation at a time; stop it at any moment and start it again.

Each finished federation is one line of a results file, and is not run again while its settings hold.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any

import attrs
import ledger
from attrs import frozen
from ledger import Line

import fedsec_core
from fedsec_core.execution.launching import Nursery
from fedsec_core.runs.files import locked
from fedsec_core.runs.reading import FederationResult
from fedsec_core.scenario import Experiment, load

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


def run(wanted: Sequence[Item], results: Path, measure: Callable[[Item, FederationResult], Line]) -> None:
    """Run what has no line yet, in the order of `wanted`; `measure` tells what else a line holds.

    Raises FedsecError while another process does.
    """
    done = finished(ledger.read(results), wanted)
    todo = [item for item in wanted if item not in done]
    print(f"{len(done)} of {len(wanted)} federations are there, {len(todo)} to run", flush=True)
    RUNS.mkdir(parents=True, exist_ok=True)
    with locked(RUNS), Nursery.start() as nursery:
        for left in RUNS.glob("[!.]*/"):
            shutil.rmtree(left)
        for item in todo:
            result = fedsec_core.run(
                item.scenario,
                seeds=[item.seed],
                variants=[item.variant],
                twin=False,
                out=RUNS,
                report=False,
                nursery=nursery,
            )
            (found,) = result.federations
            ledger.append(results, {**identity(item, found), **measure(item, found)})
            shutil.rmtree(result.folder)
            print(f"{item.title}: {found.status}, {found.facts['seconds']:.0f} s", flush=True)


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
    }

"""An experiment played out: every variant, twin and seed, each into a folder of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import tomli_w
import torch
from attrs import define, field, frozen

from fedsec_core.course import Course
from fedsec_core.data import Splits
from fedsec_core.errors import FedsecError, one_line
from fedsec_core.federation import Federation
from fedsec_core.records import RoundRecord
from fedsec_core.runs.describe import describe
from fedsec_core.runs.key import key_of
from fedsec_core.runs.reading import read_federation
from fedsec_core.runs.writing import FACTS, RunFolder, replace
from fedsec_core.scenario.model import Experiment, Scenario
from fedsec_core.scenario.resolve import document
from fedsec_core.vocabulary import Role

SCENARIO = "scenario.toml"


@frozen
class Plan:
    """One federation to play."""

    variant: str
    seed: int
    twin: bool
    scenario: Scenario

    @property
    def title(self) -> str:
        """`main`, `undefended.twin`, with the seed."""
        return f"{self.variant}{'.twin' if self.twin else ''} seed {self.seed}"

    @property
    def place(self) -> str:
        """Its sub-folder."""
        return f"{self.variant}{'.twin' if self.twin else ''}/{self.seed}"


class Watcher(Protocol):
    """Who is told how a run gets on."""

    def begin(self, plan: Plan, index: int, count: int) -> None:
        """A federation begins."""

    def round(self, record: RoundRecord) -> None:
        """A round ended."""

    def end(self, status: str) -> None:
        """The federation ended: `done`, `diverged`, `copied`, `interrupted` or `failed`."""


class Silent:
    """Tells nobody."""

    def begin(self, plan: Plan, index: int, count: int) -> None: ...

    def round(self, record: RoundRecord) -> None: ...

    def end(self, status: str) -> None: ...


def plans(experiment: Experiment, only: Sequence[str] | None = None) -> Iterator[Plan]:
    """Give the federations of an experiment: main, its twin, then variants with theirs, seed by seed."""
    for variant, scenario in experiment.scenarios().items():
        if only is None or variant in only:
            for twin in (False, True) if experiment.twin else (False,):
                for seed in experiment.seeds:
                    yield Plan(variant, seed, twin, scenario)


@define(eq=False)
class Playing:
    """An experiment that is being played into a folder below `out`."""

    experiment: Experiment
    out: Path
    watcher: Watcher = field(factory=Silent)
    only: Sequence[str] | None = None
    folder: Path | None = None
    """Where the results are; known once the first federation is set up."""
    _splits: dict[tuple[str, int], Splits] = field(factory=dict)

    def play(self) -> Path:
        """Play all federations and return the run folder.

        Raises FedsecError, or KeyboardInterrupt; what was finished is in the folder.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            todo = list(plans(self.experiment, self.only))
            for index, plan in enumerate(todo):
                self.watcher.begin(plan, index, len(todo))
                self._play(plan, index)
        finally:
            torch.set_num_threads(threads)
        assert self.folder is not None
        return self.folder

    def _play(self, plan: Plan, order: int) -> None:
        splits = self._load(plan)
        data_digest = splits.digest()
        key = key_of(plan.scenario, plan.seed, twin=plan.twin, data_digest=data_digest)
        facts = {"variant": plan.variant, "seed": plan.seed, "twin": plan.twin, "order": order, "key": key}
        if (plan.variant != "main" or plan.twin) and (done := self._completed(key)):
            self._copy(done, self._place(plan, key), facts)
            return
        reference = self.out / ".reference"
        federation = Federation(plan.scenario, plan.seed, twin=plan.twin, splits=splits, reference=reference)
        facts |= describe(federation, data_digest)
        self._record(federation, RunFolder(self._place(plan, key), facts))

    def _place(self, plan: Plan, key: str) -> Path:
        """Return the folder of one federation; the first of them makes that of the experiment."""
        if self.folder is None:
            self.folder = self._open(key)
        return self.folder / plan.place

    def _copy(self, done: Path, target: Path, facts: Mapping[str, Any]) -> None:
        unfinished = target.with_name(target.name + ".unfinished")
        shutil.copytree(done, unfinished)
        copied = RunFolder(unfinished, dict(read_federation(unfinished).facts))
        copied.describe(**facts, copied_from=str(done.relative_to(self.out)))
        unfinished.rename(target)
        self.watcher.end("copied")

    def _record(self, federation: Federation, run: RunFolder) -> None:
        run.open()
        began = perf_counter()
        status = "failed"
        try:
            status = self._rounds(federation, run)
        except KeyboardInterrupt:
            status = "interrupted"
            run.describe(status=status, why="interrupted by the user")
            raise
        except Exception as error:
            why = str(error) if isinstance(error, FedsecError) else one_line(error)
            run.describe(status=status, why=why)
            raise
        finally:
            run.describe(seconds=round(perf_counter() - began, 3))
            run.close()
            self.watcher.end(status)

    def _rounds(self, federation: Federation, run: RunFolder) -> str:
        status = "done"
        course = Course(federation)
        for record in course.run():
            run.round(record)
            self.watcher.round(record)
            if record.diverged:
                status = "diverged"
                run.describe(why=f"{record.diverged} overflowed in round {record.number}")
        run.weights(federation.final_weights())
        end = course.finish(status)
        run.end(end)
        return end.status

    def _load(self, plan: Plan) -> Splits:
        """Load the data, once for all federations that share component and seed."""
        slot = plan.scenario.the(Role.DATA)
        known = (f"{slot.offer} {slot.label} {slot.component}", plan.seed)
        if known not in self._splits:
            self._splits[known] = Federation.load(plan.scenario, plan.seed)
        return self._splits[known]

    def _open(self, key: str) -> Path:
        name = f"{self.experiment.name}-{key[:8]}"
        number = 1
        folder = self.out / name
        while folder.exists():
            number += 1
            folder = self.out / f"{name}-{number}"
        try:
            folder.mkdir(parents=True)
            replace(folder / SCENARIO, tomli_w.dumps(document(self.experiment), multiline_strings=True))
        except OSError as error:
            raise FedsecError(f"{self.out}: cannot write results there: {error.strerror}") from error
        return folder

    def _completed(self, key: str) -> Path | None:
        """Find a federation with this key that was completed under the same output folder."""
        for file in sorted(self.out.glob(f"*/*/*/{FACTS}")):
            try:
                facts = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, json.JSONDecodeError):
                continue
            if facts.get("key") == key and facts.get("status") in ("done", "diverged"):
                return file.parent
        return None

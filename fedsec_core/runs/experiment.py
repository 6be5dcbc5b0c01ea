"""An experiment played out: every variant, twin and seed, each into a folder of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

import tomli_w
from attrs import define, field

from fedsec_core.checkpoints import Checkpoints
from fedsec_core.course import Course
from fedsec_core.data import Splits
from fedsec_core.errors import FedsecError, WorkerDied, one_line
from fedsec_core.execution.computing import one_thread
from fedsec_core.execution.executor import Executor
from fedsec_core.execution.in_process import InProcess
from fedsec_core.execution.launching import Nursery
from fedsec_core.federation import Federation
from fedsec_core.runs.describe import describe
from fedsec_core.runs.files import locked, replace, reporting
from fedsec_core.runs.key import key_from, key_parts
from fedsec_core.runs.names import CHECKPOINT, FACTS, PLAN, SCENARIO, UNFINISHED
from fedsec_core.runs.plan import Plan, Silent, Watcher, plans
from fedsec_core.runs.reading import read_federation
from fedsec_core.runs.writing import RunFolder
from fedsec_core.scenario.execute import worker_count
from fedsec_core.scenario.model import Experiment
from fedsec_core.scenario.resolve import document
from fedsec_core.tasks import Blueprint
from fedsec_core.vocabulary import Role

FINISHED = ("done", "diverged")


@define(eq=False)
class Playing:
    """An experiment that is being played into a folder below `out`.

    `folder` is where the results are; known from the beginning where a run is resumed, else once the
    first federation is set up.
    """

    experiment: Experiment
    out: Path
    watcher: Watcher = field(factory=Silent)
    only: Sequence[str] | None = None
    nursery: Nursery | None = None
    """Where workers come from; None where everything runs in this process."""
    folder: Path | None = None
    places: Sequence[str] | None = None
    """The sub-folders to play, of those that the experiment has; None: all of them."""
    report: bool = True
    _splits: dict[tuple[str, int], Splits] = field(factory=dict)
    _lock: ExitStack = field(factory=ExitStack, init=False)

    def play(self) -> Path:
        """Play all federations that are not finished yet and return the run folder.

        Raises FedsecError, or KeyboardInterrupt; what was finished is in the folder.
        """
        with one_thread(), self._lock:
            if self.folder is not None:
                self._lock.enter_context(locked(self.folder))
            todo = self.todo()
            for index, (order, plan) in enumerate(todo):
                self.watcher.begin(plan, index, len(todo))
                self._play(plan, order)
        assert self.folder is not None
        return self.folder

    def _plans(self) -> list[Plan]:
        return list(plans(self.experiment, self.only))

    def todo(self) -> list[tuple[int, Plan]]:
        """Return the federations asked for, each with its place in the order of all."""
        asked = enumerate(self._plans())
        return [(order, plan) for order, plan in asked if self.places is None or plan.place in self.places]

    def _play(self, plan: Plan, order: int) -> None:
        if self.folder is not None and self._is_finished(self.folder / plan.place):
            # killed between its last line and this: nothing will ever go on from it
            Checkpoints(self.folder / plan.place / CHECKPOINT).remove()
            self.watcher.end("finished")
            return
        splits = self._load(plan)
        data_digest = splits.digest()
        parts = key_parts(plan.scenario, plan.seed, twin=plan.twin, data_digest=data_digest)
        key = key_from(parts)
        facts = {"variant": plan.variant, "seed": plan.seed, "twin": plan.twin, "order": order, "key": key}
        place = self._place(plan, key)
        begun = _begun(place)
        if begun is not None:
            _refuse_other(place, begun, parts)
        elif (plan.variant != "main" or plan.twin) and (done := self._completed(key)):
            self._copy(done, place, facts)
            return
        federation = self.federation(plan)
        try:
            facts |= describe(federation, data_digest) | {"made_of": parts}
            self._record(federation, RunFolder(place, {**facts, **_kept(begun)}))
        finally:
            federation.close()

    def federation(self, plan: Plan, *, keep: bool = True) -> Federation:
        """Set up one federation, again if a worker dies meanwhile; whoever asks for it closes it.

        `keep` what evaluation computes once for many runs, and use what is kept.
        """
        try:
            return self._set_up(plan, keep=keep)
        except WorkerDied:
            return self._set_up(plan, keep=keep)

    def _set_up(self, plan: Plan, *, keep: bool) -> Federation:
        return Federation(
            plan.scenario,
            plan.seed,
            twin=plan.twin,
            splits=self._load(plan),
            reference=self.out / ".reference" if keep else None,
            executor=self._executor,
        )

    @property
    def _executor(self) -> Callable[[Blueprint], Executor]:
        if self.nursery is None:
            return InProcess
        # imported here: in process, nothing of it is needed
        from fedsec_core.execution.pool import Pool

        return partial(Pool, nursery=self.nursery, workers=worker_count(self.experiment.execute))

    def _place(self, plan: Plan, key: str) -> Path:
        """Return the folder of one federation; the first of them makes that of the experiment."""
        if self.folder is None:
            self.folder = self._open(key)
            self._lock.enter_context(locked(self.folder))
        return self.folder / plan.place

    def _is_finished(self, place: Path) -> bool:
        facts = _begun(place)
        return facts is not None and facts.get("status") in FINISHED

    def _copy(self, done: Path, target: Path, facts: Mapping[str, Any]) -> None:
        unfinished = target.with_name(target.name + UNFINISHED)
        with reporting(unfinished):
            for left in (unfinished, target):  # by a run that was killed here
                shutil.rmtree(left, ignore_errors=True)
            shutil.copytree(done, unfinished)
        copied = RunFolder(unfinished, dict(read_federation(unfinished).facts))
        copied.describe(**facts, copied_from=str(done.relative_to(self.out)))
        unfinished.rename(target)
        self.watcher.end("copied")

    def _record(self, federation: Federation, run: RunFolder) -> None:
        checkpoints = Checkpoints(run.folder / CHECKPOINT, self.experiment.execute.checkpoint_every)
        course = Course(federation, checkpoints)
        before = course.resume()
        run.open()
        earlier, cut = run.go_back(before)
        course.expect(cut)
        began = perf_counter()
        status = "failed"
        try:
            if before >= 0:
                run.describe(resumed_after=[*run.facts.get("resumed_after", ()), before])
            status = self._rounds(course, run)
            checkpoints.remove()
        except BaseException as error:
            # what cannot be written now must not hide what went wrong before
            with suppress(FedsecError):
                status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
                run.describe(status=status, why=_why(error))
            raise
        finally:
            with suppress(FedsecError):
                run.describe(seconds=round(earlier + perf_counter() - began, 3))
            run.close()
            self.watcher.end(status)

    def _rounds(self, course: Course, run: RunFolder) -> str:
        status = "done"
        for record in course.run():
            run.round(record)
            self.watcher.round(record)
            if record.diverged:
                status = "diverged"
                run.describe(why=f"{record.diverged} overflowed in round {record.number}")
        run.weights(course.federation.final_weights())
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
        folder = self._make(f"{self.experiment.name}-{key[:8]}")
        places = [plan.place for plan in self._plans()]
        replace(folder / SCENARIO, tomli_w.dumps(document(self.experiment), multiline_strings=True))
        replace(folder / PLAN, json.dumps({"federations": places, "report": self.report}, indent=1) + "\n")
        return folder

    def _make(self, name: str) -> Path:
        """Make a folder of this name, or the first of `name-2`, `name-3` and so on that is free."""
        for number in count(1):
            folder = self.out / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise FedsecError(f"{self.out}: cannot write results there: {error.strerror}") from error
            return folder
        raise AssertionError("there is always another number")

    def _completed(self, key: str) -> Path | None:
        """Find a federation with this key that was completed under the same output folder."""
        for file in sorted(self.out.glob(f"*/*/*/{FACTS}")):
            facts = None if file.parent.name.endswith(UNFINISHED) else _begun(file.parent)
            if facts is not None and facts.get("key") == key and facts.get("status") in FINISHED:
                return file.parent
        return None


def _begun(place: Path) -> dict[str, Any] | None:
    """Return the facts of a federation that was begun; None where there is none, or no whole file of it."""
    try:
        facts: dict[str, Any] = json.loads((place / FACTS).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return facts


def _refuse_other(place: Path, begun: Mapping[str, Any], parts: Mapping[str, str]) -> None:
    """Refuse to go on with something else than what was begun: rounds of two kinds would mix."""
    made_of = begun.get("made_of", {})
    if changed := sorted(name for name in {*made_of, *parts} if made_of.get(name) != parts.get(name)):
        raise FedsecError(
            f"{place}: cannot go on: {', '.join(changed)} changed since it was begun; run the scenario anew"
        )


def _kept(begun: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"resumed_after": begun["resumed_after"]} if begun and "resumed_after" in begun else {}


def _why(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted by the user"
    return str(error) if isinstance(error, FedsecError) else one_line(error)

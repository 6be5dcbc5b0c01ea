"""Running several scenarios with progress on stderr: a bar for a person, plain lines for a log."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from fedsec_core.execution.launching import Nursery
from fedsec_core.runs import api
from fedsec_core.runs.plan import Plan, Silent, Watcher
from fedsec_core.scenario import load
from fedsec_core.scenario.execute import Execute, worker_count
from fedsec_core.scenario.source import parse_setting

if TYPE_CHECKING:
    from fedsec_core.records import RoundRecord


def run_all(
    scenarios: Sequence[str],
    *,
    settings: Sequence[str],
    out: Path,
    seeds: Sequence[int] | None,
    twin: bool | None,
    variants: Sequence[str] | None,
    report: bool,
    workers: int | None,
    quiet: bool,
) -> Iterator[api.Result]:
    """Check all scenarios first, then run them one after another and give each result when it is there."""
    overrides = dict(map(parse_setting, settings))
    with nursery(workers) as shared:
        experiments = [
            load(each, set=overrides, seeds=seeds, twin=twin, workers=workers) for each in scenarios
        ]
        for experiment in experiments:
            with watching(quiet) as watcher:
                result = api.run(
                    experiment, out=out, variants=variants, report=report, watcher=watcher, nursery=shared
                )
            yield result


@contextmanager
def nursery(workers: int | None) -> Iterator[Nursery | None]:
    """Start what workers come from at once, so that it gets ready while scenarios are read.

    None where one worker is asked for; a scenario that asks for more gets a nursery of its own.
    """
    if worker_count(Execute(workers=workers)) == 1:
        yield None
    else:
        with Nursery.start() as started:
            yield started


def watching(quiet: bool) -> Any:
    """Return who shows progress, as a context."""
    if quiet:
        return _Quiet()
    return Bars() if sys.stderr.isatty() else Lines()


class _Quiet(Silent):
    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None: ...


NOT_PLAYED = {"copied": "found by its key, copied", "finished": "finished before"}


@define(eq=False)
class Lines:
    """One plain line a round."""

    plan: Plan | None = None

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None: ...

    def begin(self, plan: Plan, index: int, count: int) -> None:
        self.plan = plan
        print(f"[{index + 1}/{count}] {plan.title}", file=sys.stderr, flush=True)

    def round(self, record: RoundRecord) -> None:
        assert self.plan is not None
        where = f"{self.plan.title}: round {record.number}/{self.plan.scenario.rounds}"
        print(f"{where}  {headline(record)}", file=sys.stderr, flush=True)

    def end(self, status: str) -> None:
        assert self.plan is not None
        if status != "done":
            print(f"{self.plan.title}: {status}", file=sys.stderr, flush=True)


@define(eq=False)
class Bars:
    """A bar per federation, with the metrics of the round and the time that is left."""

    progress: Progress = field(init=False)
    task: Any = field(init=False, default=None)

    def __enter__(self) -> Watcher:
        self.progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=22)),
            BarColumn(bar_width=12, table_column=Column(min_width=12)),
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=7)),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("{task.fields[metrics]}", table_column=Column(no_wrap=True, ratio=1)),
            console=Console(stderr=True),
            expand=True,
        )
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def begin(self, plan: Plan, index: int, count: int) -> None:
        title = f"[{index + 1}/{count}] {plan.title}".replace("[", "\\[")
        self.task = self.progress.add_task(title, total=plan.scenario.rounds, metrics="")

    def round(self, record: RoundRecord) -> None:
        self.progress.update(self.task, completed=record.number, metrics=headline(record, brief=True))

    def end(self, status: str) -> None:
        if status in NOT_PLAYED:
            self.progress.update(self.task, total=1, completed=1, metrics=NOT_PLAYED[status])
        elif status != "done":
            self.progress.update(self.task, metrics=status)


def headline(record: RoundRecord, *, brief: bool = False) -> str:
    """Return the few metrics that a person follows: accuracy, AUC and every attack's success.

    `brief` leaves out AUC and labels, for a terminal of 80 columns.
    """
    followed = ("accuracy", "asr") if brief else ("accuracy", "auc", "asr")
    shown = [
        f"{name.rpartition('.')[2] if brief else name} {value:.3f}"
        for name, value in record.metrics.items()
        if value is not None and name.count(".") == 1 and name.rpartition(".")[2] in followed
    ]
    return "  ".join(shown) + (f"  diverged: {record.diverged}" if record.diverged else "")

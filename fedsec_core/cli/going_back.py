"""Going back to a run: to go on with it, or to replay it and compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedsec_core.cli.running import nursery, watching
from fedsec_core.runs import api

if TYPE_CHECKING:
    from fedsec_core.runs.verifying import Verification


def resume_run(folder: Path, *, workers: int | None, quiet: bool) -> api.Result:
    """Go on with a run, with progress on stderr."""
    with nursery(workers) as shared, watching(quiet) as watcher:
        return api.resume(folder, workers=workers, watcher=watcher, nursery=shared)


def verify_run(folder: Path, *, rounds: tuple[int, int] | None, workers: int | None, quiet: bool) -> bool:
    """Replay a run and say of each federation what came of it; tells whether one failed."""
    failed = False
    with nursery(workers) as shared, watching(quiet) as watcher:
        for found in api.verify(folder, rounds=rounds, workers=workers, watcher=watcher, nursery=shared):
            failed |= found.failed
            for line in _lines(found):
                click.echo(line)
    return failed


def _lines(found: Verification) -> list[str]:
    first, last = found.compared
    rounds = f"round {first}" if first == last else f"rounds {first} to {last}"
    lines = [f"{found.place}: {found.difference or f'{rounds}: the same, to the bit'}"]
    if found.changed:
        lines.append(f"    changed since it was recorded: {', '.join(found.changed)}")
    if found.classes:
        then, now = (", ".join(f"{key} {value}" for key, value in each.items()) for each in found.classes)
        lines.append(f"    recorded on {then}; this is {now}: equal bits are not promised")
    return lines

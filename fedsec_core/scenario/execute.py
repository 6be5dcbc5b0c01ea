"""How a scenario is executed: nothing of it changes a result, so nothing of it is part of a key."""

from __future__ import annotations

import os

from attrs import frozen

from fedsec_core.component import parameter
from fedsec_core.errors import FedsecError

WORKERS = "FEDSEC_WORKERS"


@frozen(kw_only=True)
class Execute:
    """The table `[execute]`, one for the whole file."""

    workers: int | None = parameter(
        None,
        doc="processes that train clients; 1 trains them in the main process; "
        "left out: $FEDSEC_WORKERS, or else one for each core that may be used",
        at_least=1,
    )
    checkpoint_every: int = parameter(
        1, doc="rounds between two checkpoints, from which an interrupted run goes on", at_least=1
    )


def worker_count(execute: Execute) -> int:
    """Return the number of workers, at least 1: as asked for, or else as environment and machine have it.

    Raises FedsecError if the environment variable FEDSEC_WORKERS is no whole number from 1 on.
    """
    if execute.workers is not None:
        return execute.workers
    given = os.environ.get(WORKERS, "").strip()
    if given:
        if not (given.isascii() and given.isdigit() and int(given)):
            raise FedsecError(f"{WORKERS}: expected a whole number >= 1, got {given!r}")
        return int(given)
    # a container or a batch system often grants fewer cores than the machine has
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

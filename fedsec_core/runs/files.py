"""Writing files so that a crash at any moment leaves the old content or the new, never half of it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from fedsec_core.errors import KEPT, FedsecError
from fedsec_core.runs.names import LOCK, UNFINISHED


def replace(file: Path, text: str) -> None:
    """Write a whole file; raises FedsecError, the old content left as it was."""
    unfinished = file.with_name(file.name + UNFINISHED)
    with reporting(file):
        try:
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(file)
        except OSError:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise


@contextmanager
def reporting(file: Path) -> Iterator[None]:
    """Turn a failure to write into a FedsecError that names the file."""
    try:
        yield
    except OSError as error:
        raise FedsecError(f"{file}: cannot write: {error.strerror or error}; {KEPT}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process alone; raises FedsecError if another one plays it.

    The system lets go of the lock when the process ends, however that is.
    """
    with ExitStack() as held:
        with reporting(folder / LOCK):
            file = held.enter_context((folder / LOCK).open("a+"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise FedsecError(f"{folder}: is being played by process {file.read().strip()}") from error
            if os.fstat(file.fileno()).st_ino != (folder / LOCK).stat().st_ino:
                raise FedsecError(f"{folder}: is being played by another process")
            held.callback((folder / LOCK).unlink, missing_ok=True)
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        yield

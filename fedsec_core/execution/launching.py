"""Where workers come from: a fork server, started before this process imports anything heavy itself.

The server is a fresh interpreter. It neither runs nor imports the caller's `__main__`, so a script
needs no guard and a notebook no module. Nothing here imports torch.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from attrs import define, field, frozen

from fedsec_core.errors import FedsecError
from fedsec_core.execution import frames

NURSERY = "fedsec_core.execution.nursery"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
"""For glibc, in bytes: what a training step frees, the next one takes again at once. By default the
system gets it back and clears every page anew: 3 of the 50 ms that a step of a small GAN takes."""


@frozen(eq=False)
class Newborn:
    """A worker that was just forked: its process and this end of the connection to it."""

    pid: int
    socket: socket.socket


@define(eq=False)
class Nursery:
    """A fork server that has torch and the implementations loaded and forks workers on request.

    It and all its workers end with this process, however that ends: each holds the reading end of
    a pipe of which only this process holds the writing end.
    """

    process: subprocess.Popen[bytes]
    _control: socket.socket
    _lifeline: int
    _open: bool = field(default=True, init=False)

    @classmethod
    def start(cls) -> Self:
        """Start the server; it gets ready while this process goes on."""
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", NURSERY, str(theirs.fileno()), str(reading)],
                pass_fds=(theirs.fileno(), reading),
                stdin=subprocess.DEVNULL,
                env={**KEPT_MEMORY, **os.environ, **ONE_THREAD, "PYTHONPATH": _path()},
            )
        except OSError as error:
            ours.close()
            os.close(writing)
            raise FedsecError(
                f"{sys.executable}: cannot start the fork server of the workers: {error}"
            ) from error
        finally:
            theirs.close()
            os.close(reading)
        return cls(process, ours, writing)

    def preload(self, components: Sequence[Any]) -> None:
        """Have the implementations of `components` loaded before workers are forked."""
        self._tell("preload", pickle.dumps(list(components)))

    def fork(self, count: int) -> list[Newborn]:
        """Fork `count` workers."""
        self._tell("fork", count)
        answers = [self._answer() for _ in range(count)]
        return [Newborn(pid, socket.socket(fileno=fd)) for pid, (fd,) in answers]

    def fate(self, pid: int) -> str:
        """Say in a few words how the worker `pid` ended."""
        try:
            self._tell("fate", pid)
            status: int | None = self._answer()[0]
        except FedsecError:
            return "ended with its fork server"
        if status is None:
            return "closed its connection"
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            return f"ended with exit code {code}"
        hint = ", perhaps out of memory" if -code == signal.SIGKILL else ""
        return f"was killed by signal {-code} ({signal.Signals(-code).name}{hint})"

    def close(self) -> None:
        """End the server and whatever workers there still are."""
        if not self._open:
            return
        self._open = False
        os.close(self._lifeline)
        self._control.close()
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tell(self, *message: Any) -> None:
        try:
            frames.send(self._control, pickle.dumps(message))
        except frames.Closed as error:
            raise self._gone() from error

    def _answer(self) -> tuple[Any, list[int]]:
        try:
            body, fds = frames.receive(self._control)
        except frames.Closed as error:
            raise self._gone() from error
        return pickle.loads(body), fds

    def _gone(self) -> FedsecError:
        return FedsecError(
            "the fork server of the workers ended unexpectedly; what it wrote to stderr says why, "
            "and [execute] workers = 1 does without it"
        )


def _path() -> str:
    """Let the server find what this process finds, in the same order."""
    return os.pathsep.join(path or os.getcwd() for path in sys.path)

"""The fork server's own program: `python -m fedsec_core.execution.nursery CONTROL LIFELINE`.

It imports torch and the implementations once, in one thread, and never computes: what it forks
starts in milliseconds and shares its memory.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fedsec_core.execution import frames

PATIENCE = 100
"""Times that the end of a worker is waited for, 20 ms each."""


def main(control: socket.socket, lifeline: int) -> None:
    """Serve until the process that started this one is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with _ending_with(lifeline):
        from fedsec_core.execution.peer import serve

    gone: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([control.fileno(), lifeline], [], [])
        if lifeline in ready:
            return
        try:
            command, argument = pickle.loads(frames.receive(control)[0])
        except frames.Closed:
            return
        _reap(gone)
        if command == "preload":
            _preload(argument)
        elif command == "fork":
            gc.freeze()
            for _ in range(argument):
                pid, end = _fork(serve, control, lifeline)
                frames.send(control, pickle.dumps(pid), [end.fileno()])
                end.close()
        elif command == "fate":
            # it is known to be ending: its connection is closed
            for _ in range(PATIENCE):
                if argument in gone:
                    break
                time.sleep(0.02)
                _reap(gone)
            frames.send(control, pickle.dumps(gone.get(argument)))


@contextmanager
def _ending_with(lifeline: int) -> Iterator[None]:
    """End this process at once if its caller is gone, while it is too busy to notice.

    The thread that watches is gone afterwards: a process with threads must not be forked.
    """
    reading, writing = os.pipe()

    def watch() -> None:
        if lifeline in select.select([lifeline, reading], [], [])[0]:
            os._exit(0)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        os.close(writing)
        watching.join()
        os.close(reading)


def _preload(pickled: bytes) -> None:
    # whatever fails here fails again where it is used, and is reported there
    with suppress(Exception):
        for component in pickle.loads(pickled):
            with suppress(Exception):
                component.build()


def _fork(serve: Any, control: socket.socket, lifeline: int) -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair()
    if pid := os.fork():
        theirs.close()
        return pid, ours
    status = 1
    try:
        ours.close()
        control.close()
        serve(theirs, lifeline)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _reap(gone: dict[int, int]) -> None:
    """Note how workers ended that have ended by now."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            gone[pid] = status


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))

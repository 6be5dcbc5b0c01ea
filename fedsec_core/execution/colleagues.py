"""The server's end of its workers: asking them, waiting for them, noticing that one has died."""

from __future__ import annotations

import select
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import define, field

from fedsec_core.errors import WorkerDied
from fedsec_core.execution.frames import Closed
from fedsec_core.execution.launching import Newborn, Nursery
from fedsec_core.execution.memory import Segment
from fedsec_core.execution.wire import Channel


@define(eq=False)
class Colleague:
    """One worker process; it does one thing at a time."""

    place: int
    """Its position among the workers."""
    pid: int
    channel: Channel
    _nursery: Nursery
    doing: str = field(default="", init=False)
    """What it was asked last, for whoever reports its death."""

    @classmethod
    def of(cls, place: int, newborn: Newborn, nursery: Nursery) -> Colleague:
        return cls(place, newborn.pid, Channel(newborn.socket), nursery)

    def begin(self, doing: str, name: str, *arguments: Any, segments: Iterable[Segment] = ()) -> None:
        """Ask for something without waiting for it; raises WorkerDied."""
        self.doing = doing
        try:
            self.channel.send((name, arguments), segments)
        except Closed as error:
            raise self._died() from error

    def result(self) -> Any:
        """Return what was asked for; raises WorkerDied, or what went wrong there."""
        try:
            fine, value = self.channel.receive()
        except Closed as error:
            raise self._died() from error
        if not fine:
            raise value
        return value

    def ask(self, doing: str, name: str, *arguments: Any, segments: Iterable[Segment] = ()) -> Any:
        """Ask for something and wait for it."""
        self.begin(doing, name, *arguments, segments=segments)
        return self.result()

    def _died(self) -> WorkerDied:
        fate = self._nursery.fate(self.pid)
        return WorkerDied(f"worker {self.place + 1} (process {self.pid}) {fate} while {self.doing}")


def together(
    asked: Sequence[tuple[Colleague, tuple[Any, ...]]],
    doing: str,
    name: str,
    segments: Iterable[Segment] = (),
) -> list[Any]:
    """Ask several workers at once and return what each answered; raises the first one's error."""
    shared = list(segments)
    begun: list[Colleague] = []
    found: list[Any] = []
    errors: list[Exception] = []
    for colleague, arguments in asked:
        try:
            colleague.begin(doing, name, *arguments, segments=shared)
            begun.append(colleague)
        except Exception as error:
            errors.append(error)
    for colleague in begun:
        # all are heard, so that none is left with an answer that nobody expects
        try:
            found.append(colleague.result())
        except Exception as error:
            errors.append(error)
    if errors:
        raise next((error for error in errors if isinstance(error, WorkerDied)), errors[0])
    return found


def ready(busy: Iterable[Colleague]) -> list[Colleague]:
    """Wait until some of the `busy` workers have answered, or died, and return them."""
    by_number = {colleague.channel.socket.fileno(): colleague for colleague in busy}
    waiting = select.poll()
    for number in by_number:
        waiting.register(number, select.POLLIN)
    return [by_number[number] for number, _ in waiting.poll()]

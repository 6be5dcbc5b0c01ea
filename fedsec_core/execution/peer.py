"""What runs in a worker process: it does one thing at a time, as the server asks for it."""

from __future__ import annotations

import os
import pickle
import resource
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor

from fedsec_core.data import Dataset
from fedsec_core.errors import Elsewhere, one_line
from fedsec_core.execution.computing import Heap, keep_freed_memory
from fedsec_core.execution.frames import Closed
from fedsec_core.execution.wire import Channel, Packed, unpack
from fedsec_core.hooks.clients import Stores
from fedsec_core.state import Layout
from fedsec_core.tasks import Answer, Asking, Blueprint, Order, Task
from fedsec_core.worker import Worker

NOTHING = torch.zeros(0)


@frozen(eq=False)
class Place:
    """Where in shared memory a worker writes an update: a line of the matrix of the round."""

    segment: int
    row: int
    """Offset of the row in the segment, in floats."""
    buffers: int
    """Offset of its buffers, in floats."""


def serve(sock: socket.socket, lifeline: int) -> None:
    """Do what the server asks until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(lifeline, sock.fileno()), daemon=True).start()
    torch.set_num_threads(1)
    keep_freed_memory()
    channel = Channel(sock)
    desk = Desk(channel)
    while True:
        try:
            name, arguments = channel.receive()
            _answer(channel, *_done(getattr(desk, name), arguments))
        except Closed:
            return


def _answer(channel: Channel, fine: bool, value: Any) -> None:
    try:
        channel.send((fine, value))
    except Closed:
        raise
    except Exception as error:
        # a message is taken apart before any of it is sent
        channel.send((False, Elsewhere(f"its answer cannot travel: {one_line(error)}")))


def _watch(lifeline: int, sock: int) -> None:
    # nobody ever writes to the lifeline: it is ready when the process that started all this has ended
    waiting = select.poll()
    waiting.register(lifeline, select.POLLIN)
    waiting.register(sock, 0)  # hanging up is always reported: this worker is no longer wanted
    waiting.poll()
    os._exit(0)


def _done(method: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, method(*arguments)
    except Exception as error:
        travels: Exception = error
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            travels = Elsewhere(one_line(error))
        travels.add_note(f"in a worker process:\n{traceback.format_exc()}")
        return False, travels


class Desk:
    """The requests that a worker knows, and what it keeps between them."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._worker: Worker | None = None
        self._order: Order | None = None
        self._heap = Heap()

    @property
    def worker(self) -> Worker:
        assert self._worker is not None, "a worker is set up before anything else"
        return self._worker

    def set_up(self, packed: Packed) -> tuple[Layout, Tensor, bool]:
        """Make the worker from its blueprint, whose data stay where they are."""
        memory = self._channel.segments[packed.segment].copy_on_write() if packed.spans else None
        blueprint: Blueprint = unpack(packed, memory, copy=False)
        self._worker = Worker(blueprint)
        return self.worker.layout, self.worker.built(), self.worker.models.serves

    def examples(self, clients: Sequence[int]) -> list[int]:
        return [self.worker.sites.examples(client) for client in clients]

    def evaluation_data(self) -> tuple[Dataset | None, Dataset | None]:
        """Return val and test as protections leave them, None where nobody touched them."""
        blueprint, data = self.worker.blueprint, self.worker.evaluation_data()
        val, test = (
            None if ours is given else ours
            for ours, given in zip(data, (blueprint.val, blueprint.test), strict=True)
        )
        return val, test

    def order(self, packed: Packed) -> None:
        """Take the order of a round, which many tasks share."""
        # copied: what components keep of it must outlast the round
        self._order = unpack(packed, self._memory(packed), copy=True)

    def recall(self, client: int, file: Path) -> None:
        self.worker.recall(client, file)

    def train(self, task: Task, place: Place, file: Path | None) -> Answer:
        """Train one client, whose memory may be in a file, and write its update into its place."""
        assert self._order is not None, "the order of the round comes before its tasks"
        if file is not None:
            self.worker.recall(task.client, file)
        answer = self.worker.train(self._order, task)
        memory = torch.from_numpy(self._channel.segments[place.segment].bytes()).view(torch.float32)
        row, buffers = answer.update.row, answer.update.buffers
        memory[place.row : place.row + len(row)] = row
        memory[place.buffers : place.buffers + len(buffers)] = buffers
        self._heap.used(row.nbytes)
        return evolve(answer, update=evolve(answer.update, row=NOTHING, buffers=NOTHING))

    def predict(self, packed: Packed, start: int, stop: int) -> Tensor:
        """Return logits for some of the images of a question."""
        asking, x = unpack(packed, self._memory(packed), copy=False)
        return self.worker.models.predict(asking, x[start:stop])

    def map(
        self, function: Callable[..., Any], askings: Sequence[Asking], label: str, args: tuple[Any, ...]
    ) -> list[Any]:
        return [self.worker.models.map(function, asking, label, args) for asking in askings]

    def next_model(self, asking: Asking) -> dict[str, Tensor]:
        """Return all parameters and buffers of the model asked for, by name."""
        return _tensors(self.worker.models.next_model(asking))

    def train_apart(
        self, data: Dataset, start: Tensor | None, changes: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        return _tensors(self.worker.train_apart(data, start, changes))

    def give(self, client: int) -> Stores:
        """Hand over the memory of a client that moves to another worker."""
        return self.worker.sites.stores.pop(client, {})

    def take(self, client: int, store: Stores) -> None:
        self.worker.sites.stores[client] = store

    def save(self, folder: Path, number: int, clients: Sequence[int]) -> dict[int, str | None]:
        return self.worker.save(folder, number, clients)

    def forget_stores(self) -> None:
        self.worker.sites.stores.clear()

    def forget_segments(self, numbers: Sequence[int]) -> None:
        self._channel.forget(numbers)

    def peak(self) -> int:
        """Return the peak resident memory of this process, in bytes."""
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def _memory(self, packed: Packed) -> Any:
        return self._channel.segments[packed.segment].bytes() if packed.spans else None


def _tensors(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in (*module.named_parameters(), *module.named_buffers())}

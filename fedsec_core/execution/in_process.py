"""One worker in this very process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from attrs import evolve

from fedsec_core.execution.computing import Heap, keep_freed_memory
from fedsec_core.execution.executor import Training
from fedsec_core.tasks import Answer, Asking, Blueprint, Order, Task
from fedsec_core.worker import Worker


class InProcess:
    """Runs everything here, one client after another."""

    workers = 1

    def __init__(self, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        self._trained: set[int] = set()
        self._heap = Heap()
        keep_freed_memory()
        self._set_up()

    def _set_up(self) -> None:
        self.worker = Worker(self._blueprint)
        self.layout = self.worker.layout
        self.built = self.worker.built
        self.evaluation_data = self.worker.evaluation_data
        self.predict = self.worker.models.predict
        self.module = self.worker.models.module
        self.next_model = self.worker.models.next_model
        self.train_apart = self.worker.train_apart

    def examples(self, clients: Sequence[int]) -> list[int]:
        return [self.worker.sites.examples(client) for client in clients]

    def train(self, order: Order, tasks: Sequence[Task], *, keep: bool) -> Training:
        d, b = self.layout.d, self.layout.size - self.layout.d
        rows = torch.empty(len(tasks), d) if keep else None
        buffers = torch.empty(len(tasks), b) if keep else None

        def answers() -> Iterator[Answer]:
            for position, task in enumerate(tasks):
                self._trained.add(task.client)
                answer = self.worker.train(order, task)
                if rows is not None and buffers is not None:
                    rows[position] = answer.update.row
                    buffers[position] = answer.update.buffers
                    kept = evolve(answer.update, row=rows[position], buffers=buffers[position])
                    answer = evolve(answer, update=kept)
                self._heap.used(answer.update.row.nbytes)
                yield answer

        return Training(answers(), rows, buffers)

    def map(
        self, function: Callable[..., Any], askings: Sequence[Asking], label: str, args: tuple[Any, ...]
    ) -> list[Any]:
        return [self.worker.models.map(function, asking, label, args) for asking in askings]

    def save(self, folder: Path, number: int) -> dict[int, str | None]:
        saved = self.worker.save(folder, number, sorted(self._trained))
        self._trained.clear()
        return saved

    def restore(self, files: Mapping[int, Path]) -> None:
        self.worker.sites.stores.clear()
        self._trained.clear()
        for client, file in files.items():
            self.worker.recall(client, file)

    def restart(self) -> None:
        self._trained.clear()
        self._set_up()

    def peak(self) -> int:
        return 0

    def close(self) -> None: ...

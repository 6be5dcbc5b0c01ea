"""Workers in processes of their own: the same calls as in process, the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from attrs import evolve
from torch import Tensor, nn

from fedsec_core.data import Dataset
from fedsec_core.errors import WorkerDied
from fedsec_core.evaluation import SHARD
from fedsec_core.execution.colleagues import Colleague, ready, together
from fedsec_core.execution.executor import Training
from fedsec_core.execution.homes import Homes, Plan
from fedsec_core.execution.launching import Nursery
from fedsec_core.execution.matrix import Matrix
from fedsec_core.execution.memory import Segment
from fedsec_core.execution.wire import pack
from fedsec_core.hooks.clients import ClientHooks
from fedsec_core.state import Networks
from fedsec_core.tasks import Answer, Asking, Blueprint, Order, Task

WINDOW = 4
"""Rows per worker that may wait for a slower client where rows are only handed through."""


class Pool:
    """Runs clients on workers that `nursery` forks; they live until `close` or `restart`."""

    def __init__(self, blueprint: Blueprint, *, nursery: Nursery, workers: int) -> None:
        self.workers = max(1, min(workers, len(blueprint.partition)))
        self._blueprint, self._nursery = blueprint, nursery
        self._nursery.preload([slot.component for slot in blueprint.slots])
        self._plan = Segment.make()
        self._packed = pack(blueprint, self._plan)
        self._board = Segment.make()
        """What all workers are told at once."""
        self._examples: dict[int, int] = {}
        self._begin()

    def _begin(self) -> None:
        newborn = self._nursery.fork(self.workers)
        self._colleagues = [Colleague.of(place, each, self._nursery) for place, each in enumerate(newborn)]
        self._homes = Homes(self.workers)
        self._bound: set[int] = set()
        """Clients whose memory some worker holds."""
        self._files: dict[int, Path] = {}
        """Clients whose memory is still on disk."""
        self._trained: set[int] = set()
        found = self._everyone("setting up", "set_up", self._packed, segments=[self._plan])
        self.layout, self._built, self._serves = found[0]
        self._matrix = Matrix(self.layout.d, self.layout.size - self.layout.d)

    def built(self) -> Tensor:
        state: Tensor = self._built.clone()
        return state

    def examples(self, clients: Sequence[int]) -> list[int]:
        shares = [list(clients[place :: self.workers]) for place in range(self.workers)]
        asked = [(colleague, (share,)) for colleague, share in zip(self._colleagues, shares, strict=True)]
        found = together(asked, "counting samples", "examples")
        for colleague, share, counts in zip(self._colleagues, shares, found, strict=True):
            self._homes.home.update(dict.fromkeys(share, colleague.place))
            self._examples.update(zip(share, counts, strict=True))
        return [self._examples[client] for client in clients]

    def evaluation_data(self) -> tuple[Dataset, Dataset]:
        return self._evaluation_data

    @cached_property
    def _evaluation_data(self) -> tuple[Dataset, Dataset]:
        val, test = self._colleagues[0].ask("preparing evaluation data", "evaluation_data")
        given = self._blueprint
        return given.val if val is None else val, given.test if test is None else test

    def train(self, order: Order, tasks: Sequence[Task], *, keep: bool) -> Training:
        clients = [task.client for task in tasks]
        plan, moves = self._homes.plan(clients, [self._size(client) for client in clients], self._bound)
        for move in moves:
            old, new = self._colleagues[move.old], self._colleagues[move.new]
            doing = f"moving client {move.client}"
            new.ask(doing, "take", move.client, old.ask(doing, "give", move.client))
        outdated = self._matrix.renew(len(tasks) if keep else min(len(tasks), WINDOW * self.workers))
        if outdated:
            self._everyone("letting go of memory", "forget_segments", outdated)
        self._everyone("taking orders", "order", pack(order, self._board), segments=[self._board])
        answers = self._answers(order, tasks, plan)
        if not keep:
            return Training(answers, None, None)
        return Training(answers, self._matrix.rows, self._matrix.buffers)

    def _size(self, client: int) -> int:
        return self._examples.get(client, 1)

    def _answers(self, order: Order, tasks: Sequence[Task], plan: Plan) -> Iterator[Answer]:
        idle, busy = list(self._colleagues), dict[Colleague, int]()
        done: dict[int, Answer] = {}
        due = 0
        while due < len(tasks):
            for colleague in list(idle):
                position = plan.take(colleague.place, due + self._matrix.lines)
                if position is not None:
                    idle.remove(colleague)
                    busy[colleague] = position
                    self._send(colleague, order.round, tasks[position], position)
            if due in done:
                yield done.pop(due)
                due += 1
                continue
            for colleague in ready(busy):
                position = busy[colleague]
                try:
                    done[position] = self._received(colleague, colleague.result(), position)
                except WorkerDied:
                    raise
                except Exception as error:
                    raise self._first(error, busy, colleague) from None
                del busy[colleague]
                idle.append(colleague)

    def _first(self, error: Exception, busy: Mapping[Colleague, int], failed: Colleague) -> Exception:
        """Of all that go wrong at once, return what the first client in order says: as in process."""
        errors = {busy[failed]: error}
        for colleague, position in busy.items():
            if colleague is not failed:
                try:
                    colleague.result()
                except Exception as other:
                    errors[position] = other
        return errors[min(errors)]

    def _send(self, colleague: Colleague, number: int, task: Task, position: int) -> None:
        self._trained.add(task.client)
        file = self._files.pop(task.client, None)
        place = self._matrix.place(position)
        doing = f"training client {task.client} in round {number}"
        colleague.begin(doing, "train", task, place, file, segments=[self._matrix.segment])

    def _received(self, colleague: Colleague, answer: Answer, position: int) -> Answer:
        self._homes.home[answer.client] = colleague.place
        (self._bound.add if answer.remembers else self._bound.discard)(answer.client)
        row, buffers = self._matrix.line(position)
        return evolve(answer, update=evolve(answer.update, row=row, buffers=buffers))

    def predict(self, asking: Asking, x: Tensor) -> Tensor:
        packed = pack((asking, x), self._board)
        whose = "the model" if asking.client is None else f"the model of client {asking.client}"
        doing = f"asking {whose} after round {asking.number}"
        if asking.client is not None or self._serves or len(x) <= SHARD:
            colleague = self._colleagues[0] if asking.client is None else self._at_home(asking.client)
            logits: Tensor = colleague.ask(doing, "predict", packed, 0, len(x), segments=[self._board])
            return logits
        shards = -(-len(x) // SHARD)
        cuts = [SHARD * (shards * place // self.workers) for place in range(self.workers)] + [len(x)]
        asked: list[tuple[Colleague, tuple[Any, ...]]] = [
            (colleague, (packed, cuts[place], cuts[place + 1]))
            for place, colleague in enumerate(self._colleagues)
            if cuts[place] < cuts[place + 1]
        ]
        return torch.cat(together(asked, doing, "predict", segments=[self._board]))

    def map(
        self, function: Callable[..., Any], askings: Sequence[Asking], label: str, args: tuple[Any, ...]
    ) -> list[Any]:
        found: list[Any] = [None] * len(askings)
        shares: dict[Colleague, list[int]] = {}
        for place, asking in enumerate(askings):
            assert asking.client is not None
            shares.setdefault(self._at_home(asking.client), []).append(place)
        asked: list[tuple[Colleague, tuple[Any, ...]]] = [
            (colleague, (function, [askings[place] for place in places], label, args))
            for colleague, places in shares.items()
        ]
        answers = together(asked, f"working for {label}", "map")
        for places, values in zip(shares.values(), answers, strict=True):
            for place, value in zip(places, values, strict=True):
                found[place] = value
        return found

    @cached_property
    def _networks(self) -> Networks:
        blueprint = self._blueprint
        return ClientHooks(blueprint.slots, blueprint.seed).build_networks(blueprint.spec)

    def module(self, state: Tensor) -> nn.Module:
        self._networks.load(state)
        return self._networks.fresh()

    def next_model(self, asking: Asking) -> nn.Module:
        colleague = self._colleagues[0] if asking.client is None else self._at_home(asking.client)
        tensors = colleague.ask("giving a model", "next_model", asking)
        return self._filled(tensors)

    def train_apart(self, data: Dataset, start: Tensor | None, changes: Mapping[str, Any]) -> nn.Module:
        doing = "training outside of the federation"
        return self._filled(self._colleagues[0].ask(doing, "train_apart", data, start, changes))

    def save(self, folder: Path, number: int) -> dict[int, str | None]:
        shares: dict[Colleague, list[int]] = {}
        for client in sorted(self._trained):
            shares.setdefault(self._colleagues[self._homes.home[client]], []).append(client)
        asked: list[tuple[Colleague, tuple[Any, ...]]] = [
            (colleague, (folder, number, clients)) for colleague, clients in shares.items()
        ]
        self._trained.clear()
        found = together(asked, "writing a checkpoint", "save")
        return {client: file for files in found for client, file in files.items()}

    def restore(self, files: Mapping[int, Path]) -> None:
        self._everyone("going back to a checkpoint", "forget_stores")
        self._bound.clear()
        self._trained.clear()
        self._files = dict(files)

    def restart(self) -> None:
        self._dismiss()
        self._begin()

    def peak(self) -> int:
        sizes: list[int] = self._everyone("telling its memory", "peak")
        return max(sizes)

    def close(self) -> None:
        self._dismiss()
        for segment in (self._plan, self._board):
            segment.close()

    def _dismiss(self) -> None:
        for colleague in self._colleagues:
            colleague.channel.close()
        self._matrix.close()

    def _everyone(
        self, doing: str, name: str, *arguments: Any, segments: Sequence[Segment] = ()
    ) -> list[Any]:
        return together([(each, arguments) for each in self._colleagues], doing, name, segments)

    def _at_home(self, client: int) -> Colleague:
        """Return the worker that has the memory of a client, read back from disk if need be."""
        colleague = self._colleagues[self._homes.home.setdefault(client, client % self.workers)]
        if (file := self._files.pop(client, None)) is not None:
            colleague.ask(f"recalling client {client}", "recall", client, file)
            self._bound.add(client)
        return colleague

    def _filled(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        module = self.module(self._built)
        with torch.no_grad():
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                tensor.copy_(tensors[name])
        return module

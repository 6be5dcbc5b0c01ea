"""Where the clients' side runs. In process here; a pool of workers answers the same calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from fedsec_core.data import Dataset
from fedsec_core.state import Layout
from fedsec_core.tasks import Answer, Asking, Blueprint, Task
from fedsec_core.worker import Worker


class Executor(Protocol):
    """What the server needs of whoever runs the clients; answers may come in any order."""

    layout: Layout

    def built(self) -> Tensor:
        """Return the state of the networks as they were built."""

    def examples(self, clients: Sequence[int]) -> list[int]:
        """Return how many training samples each client holds."""

    def evaluation_data(self) -> tuple[Dataset, Dataset]:
        """Return val and test as protections leave them."""

    def train(self, tasks: Sequence[Task]) -> Iterator[Answer]:
        """Let clients train; gives their answers as they come."""

    def predict(self, asking: Asking, x: Tensor) -> Tensor:
        """Return logits of the model that is asked."""

    def map(
        self, function: Callable[..., Any], askings: Sequence[Asking], label: str, args: tuple[Any, ...]
    ) -> list[Any]:
        """Return `function(local_view, *args)` of each client asked."""

    def module(self, state: Tensor) -> nn.Module:
        """Return a fresh module with `state`."""

    def next_model(self, asking: Asking) -> nn.Module:
        """Return a fresh module: the server's, or what a client would receive next."""

    def train_apart(
        self, data: Dataset, start: Tensor | None, changes: Mapping[str, Any], purpose: str
    ) -> nn.Module:
        """Train a module outside of the federation."""


class InProcess:
    """One worker in this very process."""

    def __init__(self, blueprint: Blueprint) -> None:
        self.worker = Worker(blueprint)
        self.layout = self.worker.layout
        self.built = self.worker.built
        self.evaluation_data = self.worker.evaluation_data
        self.predict = self.worker.predict
        self.module = self.worker.module
        self.next_model = self.worker.next_model
        self.train_apart = self.worker.train_apart

    def examples(self, clients: Sequence[int]) -> list[int]:
        return [len(self.worker.site(client).data) for client in clients]

    def train(self, tasks: Sequence[Task]) -> Iterator[Answer]:
        return map(self.worker.train, tasks)

    def map(
        self, function: Callable[..., Any], askings: Sequence[Asking], label: str, args: tuple[Any, ...]
    ) -> list[Any]:
        return [self.worker.map(function, asking, label, args) for asking in askings]

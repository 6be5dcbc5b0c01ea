"""What the server asks of whoever runs the clients' side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from attrs import frozen
from torch import Tensor, nn

from fedsec_core.data import Dataset
from fedsec_core.state import Layout
from fedsec_core.tasks import Answer, Asking, Order, Task


@frozen(eq=False)
class Training:
    """A cohort at work. `answers` come in the order of the tasks, whoever finished first.

    Where rows are kept they are the lines of one matrix: `rows` [n, d] and `buffers` [n, b], whole
    once all answers are there. Where they are not, an answer's row and buffers are valid until
    the next answer is asked for, and both are None.
    """

    answers: Iterator[Answer]
    rows: Tensor | None
    buffers: Tensor | None


class Executor(Protocol):
    """Runs the clients, in this process or in others; what comes back is the same to the bit."""

    layout: Layout
    workers: int
    """How many processes work; 1 is this very process."""

    def built(self) -> Tensor:
        """Return the state of the networks as they were built."""

    def examples(self, clients: Sequence[int]) -> list[int]:
        """Return how many training samples each client holds."""

    def evaluation_data(self) -> tuple[Dataset, Dataset]:
        """Return val and test as protections leave them."""

    def train(self, order: Order, tasks: Sequence[Task], *, keep: bool) -> Training:
        """Let clients train; `keep` their rows, or only hand them through."""

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

    def train_apart(self, data: Dataset, start: Tensor | None, changes: Mapping[str, Any]) -> nn.Module:
        """Train a module outside of the federation."""

    def save(self, folder: Path, number: int) -> dict[int, str | None]:
        """Write the memory of the clients that trained since the last time into `folder`.

        Returns the file of each, None where nothing is remembered.
        """

    def restore(self, files: Mapping[int, Path]) -> None:
        """Forget the memory of all clients; what `files` hold is read when a client is needed."""

    def restart(self) -> None:
        """Put fresh workers in the place of those there are, all memory of clients forgotten."""

    def peak(self) -> int:
        """Return the peak resident memory of the largest worker process, in bytes; 0 in process."""

    def close(self) -> None:
        """End the workers."""

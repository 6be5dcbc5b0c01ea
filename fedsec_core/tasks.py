"""What travels between the server and its workers: plain values, tensors, nothing that runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import field, frozen
from torch import Tensor

from fedsec_core.data import Dataset, Spec
from fedsec_core.scenario.model import Slot
from fedsec_core.updates import Update


@frozen(eq=False)
class Blueprint:
    """All that a worker is made from; it can be pickled and holds nothing that runs."""

    slots: tuple[Slot, ...]
    seed: int
    rounds: int
    spec: Spec
    local_test: float
    attackers: Mapping[str, tuple[int, ...]]
    """The clients of each attack, by label; empty in a clean twin."""
    train: Dataset
    val: Dataset
    test: Dataset
    partition: tuple[np.ndarray, ...]
    server_data: Dataset | None


@frozen(eq=False)
class Order:
    """What the server sends to the cohort of a round, the same for all."""

    round: int
    cohort: tuple[int, ...]
    state: Tensor
    announced: Mapping[str, Tensor]
    """By full name, `label.name`; who hears what is said by the task."""


@frozen(eq=False)
class Task:
    """The part of one client in the order of its round."""

    client: int
    heard: tuple[str, ...] = ()
    """The names of the announcements that reach this client."""
    active: tuple[str, ...] = ()
    """The labels of the attacks that hold this client and are active."""


@frozen(eq=False)
class Answer:
    """What came of a task."""

    client: int
    update: Update
    digest: str
    """Of row and buffers, made where they were made."""
    finite: bool
    """Whether the row holds neither NaN nor Inf."""
    by: str
    """The label of who made the update: the trainer, or the attack that answered in its place."""
    remembers: bool
    """Whether some component keeps anything in this client's store."""
    seconds: Mapping[str, float] = field(factory=dict)
    """Time inside the hooks of each component, by label."""


@frozen(eq=False)
class Asking:
    """Whose model to ask: after which round, with which state, of which client (None: the server's)."""

    number: int
    state: Tensor
    client: int | None = None
    served: bool = True

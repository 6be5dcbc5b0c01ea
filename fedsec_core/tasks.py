"""What travels between the server and its workers: plain values, tensors, nothing that runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import frozen
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
class Task:
    """The training of one client in one round, as the server orders it."""

    client: int
    round: int
    cohort: tuple[int, ...]
    state: Tensor
    extra: Mapping[str, Tensor]
    """What was announced to this client."""
    active: tuple[str, ...] = ()
    """The labels of the attacks that hold this client and are active."""


@frozen(eq=False)
class Answer:
    """What came of a task."""

    client: int
    update: Update
    digest: str
    """Of row and buffers, made where they were made."""


@frozen(eq=False)
class Asking:
    """Whose model to ask: after which round, with which state, of which client (None: the server's)."""

    number: int
    state: Tensor
    client: int | None = None
    served: bool = True

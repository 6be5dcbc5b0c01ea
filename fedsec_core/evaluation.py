"""What evaluation is handed: a view of the federation, of one client's model, of the whole run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import define, field, frozen
from torch import Tensor, nn

from fedsec_core.data import Dataset
from fedsec_core.findings import Findings
from fedsec_core.state import Layout
from fedsec_core.views import Grants, check
from fedsec_core.vocabulary import Knowledge

SHARD = 256
"""Samples per forward pass of an evaluation. Part of every result: changing it changes bits."""


@define(eq=False, frozen=True)
class Truth:
    """What only the core knows, for scoring: never an input of a method."""

    malicious: Mapping[str, tuple[int, ...]]
    """The clients of each attack, by its label."""
    active: tuple[int, ...]
    """The malicious clients that attacked in this round."""
    partition: tuple[np.ndarray, ...]
    """The indices of the training samples that each client holds."""


@define(eq=False, frozen=True)
class LocalView:
    """The federation from the seat of one client; `view.map` hands it to its function, on a worker.

    `state` is a copy of the stores of the evaluating component: what is written is not kept.
    """

    id: int
    data: Dataset
    local_test: Dataset | None
    state: Mapping[str, Any]
    _predict: Callable[[Tensor], Tensor]
    _networks: Callable[[], nn.Module]

    def predict(self, x: Tensor) -> Tensor:
        """Return logits [n, classes] of the model that this client would receive next."""
        return self._predict(x)

    def networks(self) -> nn.Module:
        """Return a fresh module: what this client would receive next, with its private parts."""
        return self._networks()


@define(eq=False, frozen=True)
class View:
    """The federation after a round, as evaluation sees it."""

    number: int
    """The round that ended; 0 is the built model."""
    rounds: int
    classes: tuple[str, ...]
    task: str
    layout: Layout
    clients: tuple[int, ...]
    twin: bool
    """True in a clean twin, where nobody attacked."""
    _data: Dataset = field(alias="data")
    _val: Dataset = field(alias="val")
    _test: Dataset = field(alias="test")
    _training: Dataset = field(alias="training")
    _truth: Truth = field(alias="truth")
    _predict: Callable[[Tensor, int | None, bool], Tensor]
    _networks: Callable[[int | None], nn.Module]
    _map: Callable[..., list[Any]]
    _train: Callable[..., nn.Module]
    _cached: Callable[..., dict[str, Tensor]]
    local_test: float = 0.0
    """The share of its samples that every client holds back for tests; 0 if none."""
    _grants: Grants | None = field(default=None, alias="grants")
    """Set in the view that an attack gets of the finished run."""

    @property
    def data(self) -> Dataset:
        """The evaluation samples that the scenario chose (`on`): `test` by default."""
        check(self._grants, Knowledge.SERVER_DATA, "the evaluation data")
        return self._data

    @property
    def val(self) -> Dataset:
        """The validation split; may be empty."""
        check(self._grants, Knowledge.SERVER_DATA, "the evaluation data")
        return self._val

    @property
    def test(self) -> Dataset:
        """The test split: for measuring, never for choosing."""
        check(self._grants, Knowledge.SERVER_DATA, "the evaluation data")
        return self._test

    @property
    def training(self) -> Dataset:
        """The training split as it was loaded, of all clients together: what a generator should imitate."""
        check(self._grants, Knowledge.SERVER_DATA, "the training data")
        return self._training

    @property
    def truth(self) -> Truth:
        """Who attacked and who holds what; for scoring only."""
        check(self._grants, Knowledge.MALICIOUS_COUNT, "the truth about the clients")
        return self._truth

    def predict(self, x: Tensor, client: int | None = None, *, served: bool = True) -> Tensor:
        """Return logits [n, classes] for images `x` [n, C, H, W] float32, in shards of 256.

        `client` asks the model that this client would receive next. `served` puts what
        protections place between a model and who asks it (`serve_model`).
        """
        check(self._grants, Knowledge.GLOBAL_MODEL, "the finished model")
        return self._predict(x, client, served)

    def networks(self, client: int | None = None) -> nn.Module:
        """Return a fresh module of the shared state, or of what `client` would receive next.

        Without a client, parts that never leave the clients are as they were built.
        """
        check(self._grants, Knowledge.GLOBAL_MODEL, "the finished model")
        return self._networks(client)

    def map(self, function: Callable[..., Any], clients: Sequence[int], *args: Any) -> list[Any]:
        """Return `function(local_view, *args)` for each of `clients`, computed on workers.

        The function is importable by name; arguments and results are plain values or tensors.
        """
        return self._map(function, clients, *args)

    def train(self, data: Dataset, **changes: Any) -> nn.Module:
        """Train a fresh module, from the built state, on `data` with the scenario's trainer."""
        return self._train(data, **changes)

    def cached(
        self, name: str, build: Callable[..., Mapping[str, Tensor]], *inputs: Any
    ) -> dict[str, Tensor]:
        """Return `build(*inputs)`, tensors by name, kept between runs.

        The key is made of the inputs (data sets, tensors, plain values) and the code of `build`'s
        distribution. `build` must be a function of its inputs alone.
        """
        return self._cached(name, build, *inputs)


@frozen(eq=False)
class RunView:
    """The finished run, for `evaluate_run`."""

    view: View
    """The finished model; an attack's holds what it was granted."""
    history: tuple[Mapping[str, float | None], ...]
    """The metrics of each evaluated round, by full name."""
    numbers: tuple[int, ...]
    """The round numbers of `history`."""
    findings: Mapping[str, Findings]
    """What each component, by label, found in the last evaluated round."""

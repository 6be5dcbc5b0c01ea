"""Describes the train components."""

from __future__ import annotations

from typing import ClassVar

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability


@attrs.frozen(kw_only=True)
class Sgd(Component):
    """Local stochastic gradient descent (FedAvg), with a FedProx term on request.

    Each client minimises the cross entropy of its own samples. A round starts with fresh
    momentum. With `prox` > 0 every step also pulls the shared parameters towards where the client
    started from (FedProx: Li et al., "Federated Optimization in Heterogeneous Networks", MLSys
    2020, equation 2).
    """

    paper: ClassVar[str] = (
        "McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, "
        "AISTATS 2017"
    )

    epochs: int = parameter(1, doc="Passes over the client's samples in a round.", at_least=1)
    steps: int | None = parameter(
        None, doc="Exact number of optimiser steps in a round, in place of epochs.", at_least=1
    )
    batch: int = parameter(32, doc="Samples in a batch; the last one of an epoch may be smaller.", at_least=1)
    lr: float = parameter(0.05, doc="Learning rate.", above=0)
    momentum: float = parameter(0.0, doc="Momentum of the optimiser.", at_least=0, below=1)
    weight_decay: float = parameter(0.0, doc="L2 penalty, added to the gradient.", at_least=0)
    clip: float | None = parameter(None, doc="Greatest Euclidean norm of a batch's gradient.", above=0)
    prox: float = parameter(0.0, doc="FedProx: weight mu of mu/2 ||w - w_global||^2.", at_least=0)
    shared: tuple[str, ...] | None = parameter(
        None, doc="Parts of the network that travel, as ('body',); all if left out."
    )

    @property
    def provides(self) -> frozenset[Capability]:
        return frozenset({Capability.PER_SAMPLE_GRADIENTS})

    @property
    def honours(self) -> frozenset[str]:
        # Spelled out because fedsec_core.steps imports torch.
        return frozenset(
            {"batches", "batch", "loss", "per_sample_gradients", "gradients", "parameters", "update"}
        )

    @property
    def shared_parts(self) -> tuple[str, ...] | None:
        return self.shared

    def build(self) -> object:
        from fedsec_basics.sgd import SgdTrainer

        return SgdTrainer(self)

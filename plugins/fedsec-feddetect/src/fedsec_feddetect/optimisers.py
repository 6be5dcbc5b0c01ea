"""Adam and RMSprop on flat vectors, with a memory that a client can keep between rounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import torch
from attrs import define
from torch import Tensor

from fedsec_core.errors import FedsecError

EPSILON = 1e-8
"""Added to the root of the squares; the default of torch.optim."""


class Optimiser(Protocol):
    """Steps parameters [d] along their gradients [d]."""

    def step(self, parameters: Tensor, gradients: Tensor) -> None:
        """Move `parameters` in place; `gradients` stay as they are."""

    def memory(self) -> dict[str, Tensor | int]:
        """Return what is remembered, to make the same optimiser again."""


@define(eq=False)
class Adam:
    """The step of `torch.optim.Adam`, whose first use would import a compiler (1.2 s)."""

    lr: float
    beta1: float
    mean: Tensor
    square: Tensor
    steps: int = 0
    beta2: float = 0.999

    @torch.no_grad()
    def step(self, parameters: Tensor, gradients: Tensor) -> None:
        self.steps += 1
        self.mean.lerp_(gradients, 1 - self.beta1)
        self.square.mul_(self.beta2).addcmul_(gradients, gradients, value=1 - self.beta2)
        correction = math.sqrt(1 - self.beta2**self.steps)
        roots = self.square.sqrt().div_(correction).add_(EPSILON)
        parameters.addcdiv_(self.mean, roots, value=-self.lr / (1 - self.beta1**self.steps))

    def memory(self) -> dict[str, Tensor | int]:
        return {"mean": self.mean, "square": self.square, "steps": self.steps}


@define(eq=False)
class RmsProp:
    """The step of `torch.optim.RMSprop`."""

    lr: float
    square: Tensor
    alpha: float = 0.99

    @torch.no_grad()
    def step(self, parameters: Tensor, gradients: Tensor) -> None:
        self.square.mul_(self.alpha).addcmul_(gradients, gradients, value=1 - self.alpha)
        parameters.addcdiv_(gradients, self.square.sqrt().add_(EPSILON), value=-self.lr)

    def memory(self) -> dict[str, Tensor | int]:
        return {"square": self.square}


def optimiser(
    kind: str, size: int, *, lr: float, beta1: float, memory: Mapping[str, Tensor | int] | None
) -> Optimiser:
    """Return an optimiser of `size` parameters, with the `memory` that an earlier one left, or afresh.

    The memory is copied. Raises FedsecError where it is of another kind or size.
    """
    fresh: dict[str, Tensor | int] = {"square": torch.zeros(size)}
    if kind == "adam":
        fresh |= {"mean": torch.zeros(size), "steps": 0}
    kept = fresh if memory is None else {k: _copied(v) for k, v in memory.items()}
    if kept.keys() != fresh.keys() or len(kept["square"]) != size:  # type: ignore[arg-type]
        raise FedsecError(f"what the client's optimiser remembers is of another kind or size than {kind}")
    if kind == "adam":
        return Adam(lr=lr, beta1=beta1, **kept)  # type: ignore[arg-type]
    return RmsProp(lr=lr, **kept)  # type: ignore[arg-type]


def _copied(value: Tensor | int) -> Tensor | int:
    return value.clone() if isinstance(value, Tensor) else value

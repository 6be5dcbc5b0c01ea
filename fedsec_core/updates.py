"""What clients send and what the server makes of it: updates, the matrix of rows, verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import define, field
from torch import Tensor

if TYPE_CHECKING:
    from fedsec_core.views import Broadcast

BLOCK = 1 << 16
"""Coordinates per block of a server reduction. Part of every result: changing it changes bits."""

CANCELLED = 1e-9
"""A squared distance below this share of the lengths behind it has lost its digits to rounding."""


@define(eq=False, frozen=True)
class Update:
    """What one client sends.

    `row` [d] is the shared parameters after training minus `broadcast.base`, `buffers` [b] the
    shared float buffers as they are. `examples` and `metrics` are the client's claim. `extra`
    holds further named tensors.
    """

    row: Tensor
    buffers: Tensor
    examples: int
    metrics: Mapping[str, float] = field(factory=dict)
    extra: Mapping[str, Tensor] = field(factory=dict)

    @classmethod
    def zeros(cls, broadcast: Broadcast, examples: int = 1) -> Update:
        """Return the update of a client that did not train."""
        layout = broadcast.layout
        return cls(torch.zeros(layout.d), broadcast.state[layout.d :].clone(), examples)


class Rows:
    """The updates of a round as one matrix [n, d] float32, in ascending order of client id.

    Gram matrix, distances and norms are computed once and shared by all who ask. They
    accumulate in float64 over fixed blocks of coordinates (a plain float32 Gram matrix loses
    small distances altogether). A row that holds NaN or Inf is infinitely far from every other.
    """

    def __init__(self, matrix: Tensor, ids: tuple[int, ...] | None = None) -> None:
        self.matrix = matrix
        self.ids = ids
        """The client behind each row; None once a component has mixed rows."""

    def __len__(self) -> int:
        return self.matrix.shape[0]

    @property
    def d(self) -> int:
        return self.matrix.shape[1]

    def take(self, index: Tensor) -> Rows:
        """Return the rows at the positions `index`."""
        ids = None if self.ids is None else tuple(self.ids[int(i)] for i in index)
        return Rows(self.matrix[index], ids)

    @cached_property
    def finite(self) -> Tensor:
        """[n] bool: which rows hold neither NaN nor Inf."""
        return torch.isfinite(self.matrix).all(dim=1)

    @cached_property
    def norms(self) -> Tensor:
        """[n] float64 Euclidean norms; infinite for rows that are not finite."""
        squares = torch.zeros(len(self), dtype=torch.float64)
        for start in range(0, self.d, BLOCK):
            squares += self.matrix[:, start : start + BLOCK].double().square().sum(dim=1)
        return torch.where(self.finite, squares.sqrt(), math.inf)

    @cached_property
    def gram(self) -> Tensor:
        """[n, n] float64 inner products; NaN where a row is not finite."""
        return self._products(torch.zeros(self.d, dtype=torch.float64))

    @cached_property
    def squared_distances(self) -> Tensor:
        """[n, n] float64 squared Euclidean distances, zero on the diagonal.

        They come from the Gram matrix of the rows less the one of median length: an attacker
        who sends huge rows cannot blur the distances of the others, as it could by moving a
        mean. Pairs that cancel all the same are measured directly.
        """
        finite = torch.nonzero(self.finite).flatten()
        if not len(finite):
            return torch.full((len(self), len(self)), math.inf, dtype=torch.float64).fill_diagonal_(0)
        middle = finite[torch.sort(self.norms[finite], stable=True).indices[(len(finite) - 1) // 2]]
        gram = self._products(self.matrix[middle].double())
        squares = gram.diagonal()
        sums = squares[:, None] + squares[None, :]
        distances = (sums - 2 * gram).clamp_(min=0)
        for first, second in torch.nonzero(distances.triu(1) < CANCELLED * sums.triu(1)).tolist():
            distance = self._squared_distance(first, second)
            distances[first, second] = distances[second, first] = distance
        distances = torch.where(torch.isnan(distances), math.inf, distances)
        return distances.fill_diagonal_(0)

    def _squared_distance(self, first: int, second: int) -> float:
        total = torch.zeros((), dtype=torch.float64)
        for start in range(0, self.d, BLOCK):
            block = self.matrix[[first, second], start : start + BLOCK].double()
            total += (block[0] - block[1]).square().sum()
        return float(total)

    def _products(self, centre: Tensor) -> Tensor:
        products = torch.zeros(len(self), len(self), dtype=torch.float64)
        for start in range(0, self.d, BLOCK):
            block = self.matrix[:, start : start + BLOCK].double() - centre[start : start + BLOCK]
            products += block @ block.T
        broken = ~self.finite
        products[broken, :] = math.nan
        products[:, broken] = math.nan
        return products


def weighted_mean(matrix: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean [d] float64 of the rows of `matrix` [n, d].

    Rows are added one after another, in order, so that a sum that was kept running while rows
    arrived has the same bits as one taken of the whole matrix.
    """
    total = torch.zeros(matrix.shape[1], dtype=torch.float64)
    for row, weight in zip(matrix, weights.tolist(), strict=True):
        total.add_(row.double(), alpha=weight)
    return total / math.fsum(weights.tolist())


@define(eq=False, frozen=True)
class Verdict:
    """What a detector says of each client of the cohort, in ascending order of client id.

    `trust` [n] float64 in 0..1 multiplies a row's weight; `flagged` [n] bool is the accusation
    that the core scores; `score` [n] float64 is the detector's own figure, higher = worse.
    """

    trust: np.ndarray
    flagged: np.ndarray
    score: np.ndarray

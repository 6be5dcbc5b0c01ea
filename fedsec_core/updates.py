"""What clients send and what the server makes of it: updates, the matrix of rows, verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import define, field
from torch import Tensor

from fedsec_core.errors import FedsecError
from fedsec_core.kernels import BLOCK, STRIP, add_scaled, is_finite, measure, products, spans, squared_lengths

if TYPE_CHECKING:
    from fedsec_core.views import Broadcast

CANCELLED = 1e-9
"""A squared distance below this share of the lengths behind it has lost its digits to rounding."""

NOT_KEPT = (
    "the rows of this round were summed as they arrived: "
    "a component that reads single rows declares the need of individual_updates"
)


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

    Lengths, Gram matrix and distances are computed once and shared by all who ask. They accumulate
    in float64 over fixed blocks of coordinates (a plain float32 Gram matrix loses small distances
    altogether). A row that holds NaN or Inf is infinitely far from every other.

    Nothing here copies the matrix, which may be mapped from a file, unless a selection of rows is
    asked for its `matrix`: `piece` and `blocks` read it part by part.
    """

    def __init__(self, matrix: Tensor, ids: tuple[int, ...] | None = None) -> None:
        self._matrix = matrix
        self.ids = ids
        """The client behind each row; None once a component has mixed rows."""

    def __len__(self) -> int:
        return self._matrix.shape[0]

    @property
    def d(self) -> int:
        """The number of coordinates of a row."""
        return self._matrix.shape[1]

    @property
    def matrix(self) -> Tensor:
        """[n, d] float32. A selection of rows (`take`) is copied when this is first asked for."""
        return self._matrix

    def piece(self, position: int, start: int = 0, stop: int | None = None) -> Tensor:
        """Return the coordinates `start` to `stop` of one row: a view, do not modify."""
        return self._matrix[position, start:stop]

    def blocks(self, width: int = BLOCK) -> Iterator[Tensor]:
        """Yield the columns as blocks [n, width], the last one narrower.

        A block is a view, or a buffer that the next one overwrites: do not modify or keep it.
        """
        for start, stop in spans(self.d, width):
            yield self._matrix[:, start:stop]

    def take(self, index: Tensor) -> Rows:
        """Return the rows at the positions `index`. They are not copied."""
        return _Selection(self, index)

    def _ids_at(self, index: Tensor) -> tuple[int, ...] | None:
        return None if self.ids is None else tuple(self.ids[place] for place in index.tolist())

    @cached_property
    def finite(self) -> Tensor:
        """[n] bool: which rows hold neither NaN nor Inf."""
        return torch.tensor([is_finite(self.piece(position)) for position in range(len(self))])

    @cached_property
    def norms(self) -> Tensor:
        """[n] float64 Euclidean norms; infinite for rows that are not finite."""
        squares = squared_lengths(self)
        return torch.where(squares.isfinite(), squares.sqrt(), math.inf)

    @cached_property
    def gram(self) -> Tensor:
        """[n, n] float64 inner products; NaN where a row is not finite."""
        return self._products(None, self.finite)

    @cached_property
    def squared_distances(self) -> Tensor:
        """[n, n] float64 squared Euclidean distances, zero on the diagonal.

        They come from the Gram matrix of the rows less the one of median length: an attacker
        who sends huge rows cannot blur the distances of the others, as it could by moving a
        mean. Pairs that cancel all the same are measured directly.
        """
        known = self.norms.isfinite()
        finite = torch.nonzero(known).flatten()
        if not len(finite):
            return torch.full((len(self), len(self)), math.inf, dtype=torch.float64).fill_diagonal_(0)
        middle = finite[torch.sort(self.norms[finite], stable=True).indices[(len(finite) - 1) // 2]]
        gram = self._products(int(middle), known)
        squares = gram.diagonal()
        sums = squares[:, None] + squares[None, :]
        distances = (sums - 2 * gram).clamp_(min=0)
        measure(self, distances, torch.nonzero(distances.triu(1) < CANCELLED * sums.triu(1)))
        distances = torch.where(torch.isnan(distances), math.inf, distances)
        return distances.fill_diagonal_(0)

    def _products(self, centre: int | None, finite: Tensor) -> Tensor:
        made = products(self, centre)
        made[~finite, :] = math.nan
        made[:, ~finite] = math.nan
        return made

    def _weighted_mean(self, weights: Tensor) -> Tensor:
        total = torch.zeros(self.d, dtype=torch.float64)
        each = weights.tolist()
        for start, stop in spans(self.d, STRIP):
            add_scaled(total[start:stop], (self.piece(i, start, stop) for i in range(len(self))), each)
        return total.div_(math.fsum(each))


class _Selection(Rows):
    """Some rows of others, gathered only where somebody reads them."""

    def __init__(self, others: Rows, index: Tensor) -> None:
        self._others = others
        self._index = index
        self._places: list[int] = index.tolist()
        self._gathered: Tensor | None = None
        self.ids = others._ids_at(index)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def d(self) -> int:
        return self._others.d

    @property
    def matrix(self) -> Tensor:
        if self._gathered is None:
            self._gathered = self._others.matrix[self._index]
        return self._gathered

    def piece(self, position: int, start: int = 0, stop: int | None = None) -> Tensor:
        return self._others.piece(self._places[position], start, stop)

    def blocks(self, width: int = BLOCK) -> Iterator[Tensor]:
        buffer = torch.empty(len(self) * min(width, self.d))
        for block in self._others.blocks(width):
            into = buffer[: len(self) * block.shape[1]].view(len(self), -1)
            yield torch.index_select(block, 0, self._index, out=into)

    @cached_property
    def finite(self) -> Tensor:
        return self._others.finite[self._index]

    @cached_property
    def norms(self) -> Tensor:
        return self._others.norms[self._index]


class RunningMean:
    """The weighted mean of rows that are added as they arrive and not kept, in memory of one row.

    Added in the order of the matrix they give the bits of `weighted_mean`.
    """

    def __init__(self, d: int) -> None:
        self._total = torch.zeros(d, dtype=torch.float64)
        self._weights: list[float] = []

    @property
    def d(self) -> int:
        """The number of coordinates of a row."""
        return len(self._total)

    def add(self, row: Tensor, weight: float) -> None:
        """Add `row` [d] float32. A row of weight 0 is left out by not adding it."""
        add_scaled(self._total, (row,), (weight,))
        self._weights.append(weight)

    def mean(self) -> Tensor:
        """Return the mean [d] float64 of the rows added so far; NaN before the first."""
        return self._total / math.fsum(self._weights)


class StreamedRows(Rows):
    """Rows that were summed as they arrived: only their number, their clients and one mean are left.

    `weights` [n] float64 are those of the sum. Whatever reads a single row, or weighs the rows
    otherwise, raises FedsecError.
    """

    def __init__(self, running: RunningMean, weights: Tensor, ids: tuple[int, ...] | None = None) -> None:
        self._running = running
        self._weights = weights.double()
        self.ids = ids

    def __len__(self) -> int:
        return len(self._weights)

    @property
    def d(self) -> int:
        return self._running.d

    @property
    def matrix(self) -> Tensor:
        raise FedsecError(NOT_KEPT)

    def piece(self, position: int, start: int = 0, stop: int | None = None) -> Tensor:
        raise FedsecError(NOT_KEPT)

    def blocks(self, width: int = BLOCK) -> Iterator[Tensor]:
        raise FedsecError(NOT_KEPT)

    def take(self, index: Tensor) -> Rows:
        raise FedsecError(NOT_KEPT)

    def _weighted_mean(self, weights: Tensor) -> Tensor:
        if not torch.equal(weights.double(), self._weights):
            raise FedsecError(NOT_KEPT)
        return self._running.mean()


def weighted_mean(rows: Rows | Tensor, weights: Tensor) -> Tensor:
    """Return the mean [d] float64 of `rows` (or of the rows of a matrix [n, d]) by `weights` [n].

    Rows are added one after another, in order, so that a sum that was kept running while rows
    arrived has the same bits as one taken of the whole matrix. Raises FedsecError where the rows
    were summed as they arrived, with other weights.
    """
    if isinstance(rows, Tensor):
        rows = Rows(rows)
    return rows._weighted_mean(weights)


@define(eq=False, frozen=True)
class Verdict:
    """What a detector says of each client of the cohort, in ascending order of client id.

    `trust` [n] float64 in 0..1 multiplies a row's weight; `flagged` [n] bool is the accusation
    that the core scores; `score` [n] float64 is the detector's own figure, higher = worse.
    """

    trust: np.ndarray
    flagged: np.ndarray
    score: np.ndarray

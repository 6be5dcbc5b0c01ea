"""How the updates of a round reach the server: each kept, or summed as it comes and let go."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from attrs import define, evolve, field
from torch import Tensor

from fedsec_core.rounds import Round
from fedsec_core.tasks import Answer
from fedsec_core.updates import Rows, RunningMean, StreamedRows, Update


def kept(sent: Round, rows: Tensor, buffers: Tensor, updates: Mapping[int, Update]) -> Round:
    """Return the round with its updates, whose rows [n, d] and buffers [n, b] are there, by client."""
    return evolve(_claimed(sent, updates), rows=Rows(rows, tuple(updates)), buffers=buffers)


def _claimed(sent: Round, updates: Mapping[int, Update]) -> Round:
    return evolve(
        sent,
        clients=tuple(updates),
        examples=tuple(update.examples for update in updates.values()),
        metrics=tuple(update.metrics for update in updates.values()),
        extra=tuple(update.extra for update in updates.values()),
    )


@define(eq=False)
class Sums:
    """Rows and buffers summed in client order, as one matrix of them would be: to the same bit."""

    rows: RunningMean
    buffers: RunningMean
    weigh: bool
    """Whether a client weighs its examples, or 1."""
    _weights: list[float] = field(factory=list, init=False)
    _ids: list[int] = field(factory=list, init=False)
    _updates: dict[int, Update] = field(factory=dict, init=False)
    _buffered: bool = field(default=False, init=False)

    @classmethod
    def of(cls, sent: Round, *, weigh: bool) -> Sums:
        d = sent.layout.d
        return cls(RunningMean(d), RunningMean(sent.layout.size - d), weigh)

    def add(self, answer: Answer) -> None:
        """Take in the next client's update; its row is not needed afterwards."""
        update = answer.update
        weight = float(update.examples) if self.weigh else 1.0
        if weight > 0:
            self.rows.add(update.row, weight)
            self._weights.append(weight)
            self._ids.append(answer.client)
            if bool(torch.isfinite(update.buffers).all()):
                self.buffers.add(update.buffers, weight)
                self._buffered = True
        nothing = torch.zeros(0)
        self._updates[answer.client] = evolve(update, row=nothing, buffers=nothing)

    def received(self, sent: Round) -> Round:
        """Return the round with what is left of its updates."""
        weights = torch.tensor(self._weights, dtype=torch.float64)
        rows = StreamedRows(self.rows, weights, tuple(self._ids))
        return evolve(_claimed(sent, self._updates), rows=rows)

    def merged_buffers(self) -> Tensor | None:
        """Return the weighted mean of the finite buffers [b] float64, None if there is none."""
        return self.buffers.mean() if self.buffers.d and self._buffered else None

"""Received rounds as they would be if clients had sent other rows, or each other's."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from attrs import evolve
from torch import Tensor

from fedsec_core.rounds import Round
from fedsec_core.updates import Rows


def copied(round: Round) -> Round:
    """Return `round` with tensors of its own."""
    return evolve(
        round,
        state=round.state.clone(),
        rows=Rows(round.rows.matrix.clone(), round.clients),
        buffers=round.buffers.clone(),
        extra=copy.deepcopy(round.extra),
    )


def permuted(round: Round, order: Sequence[int]) -> Round:
    """Return `round` as if the clients had sent each other's updates: client i what `order[i]` sent."""
    places = list(order)
    return evolve(
        round,
        rows=Rows(round.rows.matrix[places], round.clients),
        buffers=round.buffers[places],
        examples=tuple(round.examples[i] for i in places),
        metrics=tuple(round.metrics[i] for i in places),
        extra=tuple(round.extra[i] for i in places),
    )


def with_rows(round: Round, matrix: Tensor) -> Round:
    """Return `round` with other rows [n, d], of the same clients or of the first n of them."""
    n = len(matrix)
    return evolve(
        round,
        cohort=round.clients[:n],
        clients=round.clients[:n],
        rows=Rows(matrix, round.clients[:n]),
        buffers=round.buffers[:n],
        examples=round.examples[:n],
        metrics=round.metrics[:n],
        extra=round.extra[:n],
    )


def cohort_of(round: Round, matrix: Tensor) -> Round:
    """Return `round` with the rows of `matrix` [n, k], repeated up to d, of as many clients.

    Whatever else clients send is that of the round's own, which take turns.
    """
    n, d = len(matrix), round.layout.d
    columns = [place % matrix.shape[1] for place in range(d)]
    many = permuted(round, [place % len(round.clients) for place in range(n)])
    return with_rows(evolve(many, clients=tuple(range(n))), matrix[:, columns].contiguous())

"""In every round, on the server: select, announce, receive, judge, aggregate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fedsec_core.markers import hookspec

if TYPE_CHECKING:
    from torch import Tensor

    from fedsec_core.rounds import AttackView, Round
    from fedsec_core.streams import Stream
    from fedsec_core.updates import Rows, Update, Verdict
    from fedsec_core.views import Candidate


@hookspec
def select_clients(  # type: ignore[empty-body]
    candidates: Sequence[Candidate], round: int, stream: Stream
) -> list[int]:
    """Choose the cohort of the round.

    Called at the start of each round, of the select component; without one everybody takes part.
    The answer is a list of ids out of `candidates`, none twice, possibly empty: then the round is
    counted and the state stays. One answer.
    """


@hookspec
def announce(round: Round) -> Mapping[str, Tensor] | None:
    """Announce named tensors to the clients of the round.

    Called before the broadcast, of any component; the clients find them as `label.name` in
    `broadcast.extra`, and they count as bytes sent. An attack's announcement reaches only its own
    clients. None: nothing to say.
    """


@hookspec
def attack_updates(view: AttackView, stream: Stream) -> Sequence[Update] | None:
    """Rewrite the updates of the attack's own clients, from what it is allowed to see.

    Called once per round in which clients of the attack are active, after all updates have
    arrived. The answer holds one update for each of `view.clients`, in their order. Reading what
    was not granted raises `MissingGrant`. None: send them as they are.
    """


@hookspec
def detect_anomalies(round: Round, stream: Stream) -> Verdict | None:
    """Judge the updates received.

    Called after `attack_updates`, of detect and aggregate components. Verdicts are merged: the
    least trust, any flag; the core scores each detector against the truth. Trust is finite, in
    0..1; a row's weight is multiplied with it and rows of weight 0 are left out. None: no opinion
    this round.
    """


@hookspec
def transform_updates(
    rows: Rows, weights: Tensor, round: Round, stream: Stream
) -> tuple[Rows, Tensor] | None:
    """Change the rows in front of the aggregator: bucketing, nearest-neighbour mixing, clipping.

    Called before `aggregate_updates`, a chain, before components first. `rows` [n, d] and `weights`
    [n] float64 > 0; the answer may hold fewer rows (`Rows(matrix)` where rows were mixed), never
    none. None leaves them as they are.
    """


@hookspec
def aggregate_updates(rows: Rows, weights: Tensor, round: Round, stream: Stream) -> Tensor:  # type: ignore[empty-body]
    """Merge the rows into one step.

    Called once per round, of the aggregate component and of nobody else. `rows` [n, d], n >= 1, all
    of weight > 0; `weights` [n] float64 are examples (or 1) times trust. The answer is a step [d],
    float32 or float64, which is added to the parameters. Raise `TooFewRows` where the rule is not
    defined for so few: the round then keeps its state. Rows may hold NaN and Inf: an attacker may
    send them. One answer.
    """


@hookspec
def transform_step(step: Tensor, round: Round, stream: Stream) -> Tensor | None:
    """Change the step behind the aggregator: server momentum, noise, clipping.

    Called after `aggregate_updates`, a chain, after components first. `step` [d] float64, the
    answer likewise (float32 is taken too). None leaves it as it is.
    """


@hookspec
def observe_round(round: Round) -> None:
    """Look back on the finished round, to remember something for the next.

    Called at the end of each round, of any component; `round.state` is the state sent out,
    `round.step` what was added (None if nothing was). What is remembered must be part of the
    component's `state()` and `restore(dict)`.
    """

"""The round, from selection to the new state."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from attrs import evolve, field, frozen
from torch import Tensor

from fedsec_core import digests, scoring, server_path
from fedsec_core.federation import Federation
from fedsec_core.hooks import ServerHooks
from fedsec_core.rounds import AttackView, Round
from fedsec_core.streams import Stream
from fedsec_core.tasks import Answer, Task
from fedsec_core.updates import Rows, Update, Verdict
from fedsec_core.views import Grants
from fedsec_core.vocabulary import Role


@frozen(eq=False)
class Play:
    """What was played: the next state, and what the record of the round says of it."""

    state: Tensor
    cohort: tuple[int, ...] = ()
    attacking: tuple[int, ...] = ()
    verdicts: Mapping[str, Verdict] = field(factory=dict)
    scores: Mapping[str, float | None] = field(factory=dict)
    weights: tuple[float, ...] = ()
    non_finite: tuple[int, ...] = ()
    dry_runs: Mapping[str, int] = field(factory=dict)
    notes: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(factory=dict)
    diverged: str = ""


def play(federation: Federation, number: int) -> Play:
    """Play round `number` and return what came of it; the caller sets the state."""
    cohort = _select(federation, number)
    active = () if federation.twin else federation.attackers.active(number)
    attacking = tuple(client for client in cohort if federation.attackers.of(client, active))
    sent = _sent(federation, number, cohort, len(attacking))

    answers = _train(federation, sent, active)
    honest = {str(each): answers[each].digest for each in cohort if each not in attacking}
    updates = {client: answer.update for client, answer in answers.items()}
    received, dry_runs = _attack(federation, _received(sent, updates), updates, active)

    aggregate = federation.scenario.the(Role.AGGREGATE)
    outcome = server_path.merge(federation.hooks, aggregate, received)
    state, diverged = _add(federation.state, outcome)
    if not diverged:
        federation.hooks.observe_round(outcome.round)

    federation.last_selected.update(dict.fromkeys(cohort, number))
    if federation.remembers():
        federation.past.append(federation.state)
    return Play(
        state=state,
        cohort=cohort,
        attacking=attacking,
        verdicts=outcome.verdicts,
        scores=_scores(outcome.verdicts, cohort, attacking),
        weights=tuple(outcome.weights.tolist()),
        non_finite=tuple(each for each, fine in zip(cohort, _finite(received), strict=True) if not fine),
        dry_runs=dry_runs,
        notes=(outcome.note,) if outcome.note else (),
        digests={
            "cohort": digests.of_values(cohort),
            "honest_rows": digests.of_values(honest),
            "verdict": digests.of_values(
                {label: (v.trust.tolist(), v.flagged.tolist()) for label, v in outcome.verdicts.items()}
            ),
        },
        diverged=diverged,
    )


def _select(federation: Federation, number: int) -> tuple[int, ...]:
    chosen = federation.hooks.select_clients(federation.candidates(number), number)
    return federation.attackers.force(chosen, number)


def _sent(federation: Federation, number: int, cohort: tuple[int, ...], malicious: int) -> Round:
    return Round(
        number=number,
        rounds=federation.scenario.rounds,
        cohort=cohort,
        layout=federation.layout,
        state=federation.state,
        make=federation.executor.module,
        train=federation.train_apart,
        server_data=federation.server_data,
        true_f=malicious,
    )


def _train(federation: Federation, sent: Round, active: Sequence[str]) -> dict[int, Answer]:
    """Announce, and let the cohort answer; by client, ascending."""
    announced = federation.hooks.announce(sent)
    tasks = []
    for client in sent.cohort:
        attacks = federation.attackers.of(client, active)
        heard = {
            f"{label}.{name}": tensor
            for label, (member, tensors) in announced.items()
            for name, tensor in tensors.items()
            if member.slot.role is not Role.ATTACK or label in attacks
        }
        tasks.append(Task(client, sent.number, sent.cohort, sent.state, heard, attacks))
    answers = {answer.client: answer for answer in federation.executor.train(tasks)}
    return {client: answers[client] for client in sent.cohort}


def _received(sent: Round, updates: Mapping[int, Update]) -> Round:
    """Put the updates into the matrix, by client position."""
    layout = sent.layout
    rows = torch.empty(len(updates), layout.d)
    buffers = torch.empty(len(updates), layout.size - layout.d)
    for position, update in enumerate(updates.values()):
        rows[position] = update.row
        buffers[position] = update.buffers
    return evolve(
        sent,
        clients=tuple(updates),
        rows=Rows(rows, tuple(updates)),
        buffers=buffers,
        examples=tuple(update.examples for update in updates.values()),
        metrics=tuple(update.metrics for update in updates.values()),
        extra=tuple(update.extra for update in updates.values()),
    )


def _attack(
    federation: Federation, received: Round, updates: Mapping[int, Update], active: Sequence[str]
) -> tuple[Round, dict[str, int]]:
    """Let attacks rewrite the updates of their own clients, all from the same view of the round."""
    calls: Counter[str] = Counter()
    views = {}
    for slot in federation.attackers.slots:
        own = [c for c in received.clients if slot.label in federation.attackers.of(c, active)]
        if own:
            views[slot.label] = AttackView(
                number=received.number,
                rounds=received.rounds,
                cohort=received.cohort,
                clients=tuple(own),
                layout=received.layout,
                received=received,
                own=tuple(received.clients.index(client) for client in own),
                past=tuple(federation.past),
                dry_run=partial(_dry_run, federation, received, updates, tuple(own), slot.label, calls),
                grants=Grants(slot.label, slot.granted),
            )
    replaced = dict(updates)
    for label, own_updates in federation.hooks.attack_updates(views).items():
        replaced.update(zip(views[label].clients, own_updates, strict=True))
    if all(replaced[client] is updates[client] for client in updates):
        return received, dict(calls)
    return _received(received, replaced), dict(calls)


def _dry_run(
    federation: Federation,
    received: Round,
    updates: Mapping[int, Update],
    own: Sequence[int],
    label: str,
    calls: Counter[str],
    rows: Tensor,
) -> Tensor | None:
    """Run the server path on clones, with streams of its own."""
    calls[label] += 1
    seed = Stream(federation.seed, "dry_run", label, received.number, calls[label]).seed
    clones = ServerHooks(federation.scenario.slots, seed)
    clones.restore(copy.deepcopy(federation.hooks.states()))
    tried = dict(updates)
    tried.update({client: evolve(updates[client], row=row) for client, row in zip(own, rows, strict=True)})
    aggregate = federation.scenario.the(Role.AGGREGATE)
    return server_path.merge(clones, aggregate, _received(received, tried)).round.step


def _add(state: Tensor, outcome: server_path.Outcome) -> tuple[Tensor, str]:
    """Add the step to the parameters and set the buffers; returns what overflowed, if anything did."""
    step = outcome.round.step
    if step is None:
        return state, ""
    d = outcome.round.layout.d
    if not bool(torch.isfinite(step).all()):
        return state, "step"
    moved = state.clone()
    moved[:d] = (state[:d].double() + step).float()
    if outcome.buffers is not None:
        moved[d:] = outcome.buffers.float()
    return (moved, "") if bool(torch.isfinite(moved).all()) else (state, "state")


def _scores(
    verdicts: Mapping[str, Verdict], clients: Sequence[int], attacking: Sequence[int]
) -> dict[str, float | None]:
    return {
        f"{label}.{name}": value
        for label, verdict in verdicts.items()
        for name, value in scoring.score(verdict.flagged, clients, attacking).items()
    }


def _finite(received: Round) -> list[bool]:
    return received.rows.finite.tolist() if received.clients else []

"""What attacks promise: they touch their own clients only, in their own rounds only."""

from __future__ import annotations

from typing import Any

from fedsec_core.rounds import Round
from fedsec_core.testing.bench import Bench, Played
from fedsec_core.testing.marks import difference, fingerprint, same_bits
from fedsec_core.testing.promises import promise, require
from fedsec_core.vocabulary import Role

ACTS = ("attack_data", "attack_client", "attack_updates", "prepare_broadcast", "training_steps")


def sent(round: Round, client: int) -> dict[str, Any]:
    """Return all that one client sent in a round."""
    place = round.clients.index(client)
    return {
        "row": round.rows.matrix[place],
        "buffers": round.buffers[place],
        "examples": round.examples[place],
        "metrics": round.metrics[place],
        "extra": round.extra[place],
    }


def _first_attack(attacked: Played, twin: Played) -> tuple[Round, Round, tuple[int, ...]]:
    """Return the first round under attack, the same in the clean twin, and who attacked."""
    for record, round, clean in zip(attacked.records[1:], attacked.rounds, twin.rounds, strict=True):
        if record.attacking:
            return round, clean, record.attacking
    require(False, "its clients attack in no round of the case: give it other rounds, or more of them")
    raise AssertionError


@promise(*ACTS, roles=(Role.ATTACK,))
def check_leaves_honest_rows_as_they_are(bench: Bench) -> None:
    """In the first round under attack honest clients send, bit for bit, what they send in the clean twin."""
    attacked, twin = bench.play(), bench.play(twin=True)
    round, clean, attacking = _first_attack(attacked, twin)
    for client in set(round.clients) & set(clean.clients) - set(attacking):
        changed = difference(fingerprint(sent(clean, client)), fingerprint(sent(round, client)))
        require(not changed, f"honest client {client} sends another {changed} in round {round.number}")


@promise(*ACTS, roles=(Role.ATTACK,))
def check_changes_what_its_clients_send(bench: Bench) -> None:
    """In some round a client of the attack sends something else than it would honestly send."""
    attacked, twin = bench.play(), bench.play(twin=True)
    _, _, attacking = _first_attack(attacked, twin)
    changed = [
        client
        for one, other in zip(attacked.rounds, twin.rounds, strict=True)
        for client in set(attacking) & set(one.clients) & set(other.clients)
        if difference(fingerprint(sent(other, client)), fingerprint(sent(one, client)))
    ]
    require(bool(changed), "its clients send in all rounds what they would send honestly")


@promise(*ACTS, roles=(Role.ATTACK,))
def check_does_nothing_when_nobody_is_malicious(bench: Bench) -> None:
    """With no client of its own an attack leaves the federation, bit for bit, as it is without it."""
    with_none = bench.play({"attack": {"clients": {"ids": []}}})
    without = bench.play(present=False)
    _require_same_states(with_none, without, "although no client is malicious")


@promise(*ACTS, roles=(Role.ATTACK,))
def check_does_nothing_outside_of_its_rounds(bench: Bench) -> None:
    """Before its first active round an attack leaves the federation, bit for bit, as it is without it."""
    last = bench.case.rounds
    late = bench.play({"attack": {"rounds": {"start": last}, "outside": "honest", "join": "sampled"}})
    without = bench.play(present=False)
    _require_same_states(late, without, f"although it starts in round {last}", until=last)


def _require_same_states(one: Played, other: Played, why: str, until: int | None = None) -> None:
    pairs = list(zip(one.states, other.states, strict=True))
    for number, (first, second) in enumerate(pairs[:until]):
        require(same_bits(first, second), f"it changes the state of round {number}, {why}")

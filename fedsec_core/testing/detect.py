"""What components that judge updates promise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fedsec_core import server_path
from fedsec_core.hooks import ServerHooks
from fedsec_core.rounds import Round
from fedsec_core.testing.bench import SEED, Bench, permuted, with_rows
from fedsec_core.testing.marks import TOLERANCE
from fedsec_core.testing.promises import promise, require
from fedsec_core.updates import Verdict
from fedsec_core.vocabulary import Role


def judged(bench: Bench, rounds: Sequence[Round]) -> list[Verdict | None]:
    """Return what fresh components say of one round after another, the whole server path in between."""
    scenario = bench.scenario()
    hooks, aggregate = ServerHooks(scenario.slots, SEED), scenario.the(Role.AGGREGATE)
    found = []
    for round in rounds:
        outcome = server_path.merge(hooks, aggregate, round)
        hooks.observe_round(outcome.round)
        found.append(outcome.verdicts.get(bench.slot.label))
    return found


def suspicious(bench: Bench) -> list[Round]:
    """Return received rounds in which clients 0 and 1 sent the opposite of what they trained, enlarged."""
    rounds = []
    for round in bench.received():
        rows = round.rows.matrix.clone()
        rows[:2] *= -5
        rounds.append(with_rows(round, rows))
    return rounds


@promise("detect_anomalies", roles=(Role.DETECT,))
def check_gives_a_verdict(bench: Bench) -> None:
    """Within the rounds of its case a detector has an opinion."""
    verdicts = judged(bench, suspicious(bench))
    rounds = bench.case.rounds
    require(any(verdicts), f"it gives no verdict in {rounds} rounds: give the case more with rounds = ...")


@promise("detect_anomalies")
def check_judges_a_client_by_its_update_alone(bench: Bench) -> None:
    """When clients exchange their updates, the verdicts move with them (permutation-equivariance)."""
    rounds = suspicious(bench)
    n = len(rounds[0].clients)
    for order in ([*range(n - 1, -1, -1)], [*range(1, n), 0]):
        straight, turned = judged(bench, rounds), judged(bench, [permuted(round, order) for round in rounds])
        for round, one, other in zip(rounds, straight, turned, strict=True):
            where = f"in round {round.number}"
            require(
                (one is None) == (other is None), f"{where} it has an opinion in one order of clients only"
            )
            if one is not None and other is not None:
                _require_equal(where, one, other, order)


def _require_equal(where: str, straight: Verdict, turned: Verdict, order: list[int]) -> None:
    for name in ("trust", "score"):
        one, other = getattr(straight, name)[order], getattr(turned, name)
        scale = float(np.max(np.abs(one[np.isfinite(one)]), initial=0.0))
        same = np.allclose(one, other, rtol=0, atol=TOLERANCE * max(scale, 1.0), equal_nan=True)
        require(same, f"{where} the {name} of an update changes with the order of clients")
    same = bool((straight.flagged[order] == turned.flagged).all())
    require(same, f"{where} flags change with the order of clients")


@promise("detect_anomalies")
def check_judges_updates_that_are_not_finite(bench: Bench) -> None:
    """Updates that hold NaN or Inf get a verdict like others, also where nobody sent anything else."""
    round = bench.received()[0]
    for bad in (math.nan, math.inf, -math.inf):
        for places in ([0], slice(None)):
            rows = round.rows.matrix.clone()
            rows[places, 0] = bad
            bench.server().detect_anomalies(with_rows(round, rows))

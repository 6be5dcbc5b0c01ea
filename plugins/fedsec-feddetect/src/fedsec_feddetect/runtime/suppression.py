"""Measures how a defence fades clients out over the rounds."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from attrs import define, field

from fedsec_core.evaluation import RunView, View
from fedsec_core.findings import Findings
from fedsec_core.markers import hookimpl
from fedsec_core.rounds import Round

SUPPRESSED = 0.5
"""A client with less trust is suppressed."""


@define(eq=False)
class SuppressionEvaluator:
    """Runtime of `suppression`: remembers the trust and the flags of every round."""

    share: float
    trust: dict[int, dict[int, float]] = field(factory=dict, init=False)
    """By round and client; 1 where nobody judged."""
    flagged: dict[int, list[int]] = field(factory=dict, init=False)

    @hookimpl
    def observe_round(self, round: Round) -> None:
        """Remember what the detectors said together."""
        verdict = round.verdict
        trust = [1.0] * len(round.clients) if verdict is None else verdict.trust.tolist()
        flags = [False] * len(round.clients) if verdict is None else verdict.flagged.tolist()
        self.trust[round.number] = dict(zip(round.clients, trust, strict=True))
        self.flagged[round.number] = [
            client for client, flag in zip(round.clients, flags, strict=True) if flag
        ]

    def state(self) -> dict[str, Any]:
        """Return what is remembered."""
        return {
            "trust": {number: dict(each) for number, each in self.trust.items()},
            "flagged": {number: list(each) for number, each in self.flagged.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.trust = {number: dict(each) for number, each in state["trust"].items()}
        self.flagged = {number: list(each) for number, each in state["flagged"].items()}

    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        """Give the shares of the round that ended; None before the first."""
        return Findings(figures(self.trust.get(view.number, {}), _malicious(view)))

    @hookimpl
    def evaluate_run(self, run: RunView) -> Findings:
        """Give how long it took, and which honest clients suffered."""
        malicious = _malicious(run.view)
        shares = {number: _share(trust, malicious) for number, trust in self.trust.items()}
        first = next((n for n in sorted(shares) if (s := shares[n]) is not None and s < self.share), None)
        until = [number for number in self.flagged if first is not None and number <= first]
        flags = [sum(client in self.flagged[number] for number in until) for client in sorted(malicious)]
        suffered = {
            client
            for trust in self.trust.values()
            for client, value in trust.items()
            if client not in malicious and value < SUPPRESSED
        }
        return Findings(
            {
                "rounds_to_suppress": first,
                "flags_needed": max(flags) if first is not None and flags else None,
                "honest_ever_suppressed": len(suffered),
            }
        )


def figures(trust: Mapping[int, float], malicious: Collection[int]) -> dict[str, float | None]:
    """Return the figures of one round; None where they are undefined."""
    honest = [value for client, value in trust.items() if client not in malicious]
    return {
        "malicious_share": _share(trust, malicious),
        "honest_entropy": entropy(honest),
        "honest_suppressed": sum(value < SUPPRESSED for value in honest) if trust else None,
        "effective_clients": _effective([*trust.values()]),
    }


def entropy(weights: list[float]) -> float | None:
    """Return the entropy of `weights` over that of equal ones; None for fewer than two, or none above 0."""
    total = sum(weights)
    if len(weights) < 2 or total <= 0:
        return None
    shares = [weight / total for weight in weights if weight > 0]
    return -sum(share * math.log(share) for share in shares) / math.log(len(weights))


def _effective(weights: list[float]) -> float | None:
    squares = sum(weight * weight for weight in weights)
    return sum(weights) ** 2 / squares if squares > 0 else None


def _share(trust: Mapping[int, float], malicious: Collection[int]) -> float | None:
    present = [client for client in trust if client in malicious]
    total = sum(trust.values())
    return sum(trust[client] for client in present) / total if present and total > 0 else None


def _malicious(view: View) -> set[int]:
    """Return the clients of all attacks; nobody in a clean twin."""
    if view.twin:
        return set()
    return {client for held in view.truth.malicious.values() for client in held}

"""Follows a backdoor after its attackers have gone, and their updates while they are there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from attrs import define, field
from torch import Tensor

from fedsec_core.errors import FedsecError
from fedsec_core.evaluation import RunView, View
from fedsec_core.findings import Findings, Table
from fedsec_core.markers import hookimpl
from fedsec_core.rounds import Round
from fedsec_core.suggest import did_you_mean
from fedsec_core.updates import Verdict
from fedsec_durable_backdoor import lasting

if TYPE_CHECKING:
    from fedsec_durable_backdoor.plugin.evaluate import Durability

ASR = ".asr"


@define(eq=False)
class DurabilityEvaluator:
    """Runtime of `durability`: remembers the products of the last round's rows and what detectors said."""

    asked: Durability
    clients: tuple[int, ...] = field(default=(), init=False)
    products: Tensor | None = field(default=None, init=False)
    """Inner products [n, n] float64 of the rows of `clients`."""
    flagged: tuple[int, ...] | None = field(default=None, init=False)
    """None where no detector judged."""
    evaluated: int = field(default=-1, init=False)
    """The last round that was evaluated."""
    departures: dict[str, int] = field(factory=dict, init=False)
    """By attack, the last round in which it was active."""

    @hookimpl
    def observe_round(self, round: Round) -> None:
        """Remember what the updates of the round were like; raises FedsecError if one was not evaluated."""
        if round.number > self.evaluated + 1:
            raise FedsecError("durability follows every round: evaluate it with every = 1")
        if self.asked.stealth:
            self.clients, self.products = round.clients, round.rows.gram
            verdict = round.verdict
            self.flagged = None if verdict is None else tuple(_flagged(round.clients, verdict))

    def state(self) -> dict[str, Any]:
        """Return what is remembered."""
        return {
            "clients": list(self.clients),
            "products": self.products,
            "flagged": None if self.flagged is None else list(self.flagged),
            "evaluated": self.evaluated,
            "departures": self.departures,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.clients, self.products = tuple(state["clients"]), state["products"]
        self.flagged = None if state["flagged"] is None else tuple(state["flagged"])
        self.evaluated, self.departures = state["evaluated"], dict(state["departures"])

    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        """Tell how far the attackers' updates stood out in the round that ended."""
        self.evaluated, held = view.number, view.truth.malicious
        for label, clients in held.items():
            if set(clients) & set(view.truth.active):
                self.departures[label] = view.number
        named = self.asked.attack
        if named is not None and named not in held:
            raise FedsecError(f"durability: no attack is called {named!r}" + did_you_mean(named, [*held]))
        attacking = [each for each in view.truth.active if named is None or each in held[named]]
        if not self.asked.stealth:
            return Findings()
        if not attacking or self.products is None:
            return Findings(dict.fromkeys(("norm_ratio", "cosine", "detected")))
        own = [place for place, client in enumerate(self.clients) if client in attacking]
        detected = None
        if own and self.flagged is not None:
            detected = sum(self.clients[place] in self.flagged for place in own) / len(own)
        return Findings({**outlying(self.products, own), "detected": detected})

    @hookimpl
    def evaluate_run(self, run: RunView) -> Findings:
        """Give the figures of the whole curve; undefined where nobody attacked."""
        names = [f"asr_after_{later}" for later in self.asked.after]
        nothing = Findings(dict.fromkeys(("departure", *names, "lifespan", "area")))
        if not self.departures:
            return nothing
        label = self._label(run.history)
        departure = self.departures.get(label)
        if departure is None:
            return nothing
        curve = {
            number: metrics[label + ASR]
            for number, metrics in zip(run.numbers, run.history, strict=True)
            if label + ASR in metrics
        }
        found = lasting.figures(curve, departure, self.asked.after, self.asked.level)
        lasts = lasting.after_departure(curve, departure)
        columns: dict[str, Sequence[float]] = {
            "rounds after departure": [*lasts],
            "attack success": [*lasts.values()],
        }
        table = Table(columns, f"Attack success of {label} after its last round, {departure}")
        return Findings({"departure": departure, **found}, {"curve": table})

    def _label(self, history: tuple[Mapping[str, float | None], ...]) -> str:
        """Return the label of the attack to go by; raises FedsecError where that is not clear."""
        named = dict.fromkeys(
            name.removesuffix(ASR) for each in history for name in each if name.endswith(ASR)
        )
        # shadows put their own label in front of a name
        found = [name for name in named if "." not in name]
        if self.asked.attack is None and len(found) == 1:
            return found[0]
        if self.asked.attack in found:
            return self.asked.attack
        known = ", ".join(found) or "none"
        raise FedsecError(
            f"durability goes by one attack that has an asr: name it in attack; there are: {known}"
        )


def _flagged(clients: Sequence[int], verdict: Verdict) -> Iterator[int]:
    return (client for client, flag in zip(clients, verdict.flagged.tolist(), strict=True) if flag)


def outlying(products: Tensor, own: list[int]) -> dict[str, float | None]:
    """Return `norm_ratio` and `cosine` of the rows at `own` against all others, from products [n, n].

    The norm is the mean over `own`, over the median of the others; the cosine is that of each with the
    sum of the others, on average. None where a length is zero or not finite, or nobody else is there.
    """
    others = [place for place in range(len(products)) if place not in own]
    if not own or not others or not bool(torch.isfinite(products).all()):
        return {"norm_ratio": None, "cosine": None}
    norms = products.diagonal().clamp(min=0).sqrt()
    usual = median(norms[others].tolist())
    length = math.sqrt(max(0.0, float(products[others][:, others].sum())))
    lengths = norms[own] * length
    inner = products[own][:, others].sum(dim=1)
    return {
        "norm_ratio": float(norms[own].mean()) / usual if usual > 0 else None,
        "cosine": float((inner / lengths).mean()) if bool((lengths > 0).all()) else None,
    }

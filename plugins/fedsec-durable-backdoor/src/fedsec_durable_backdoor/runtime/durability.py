"""Follows a backdoor after its attackers have gone, and their updates while they are there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from fedsec_durable_backdoor import lasting

if TYPE_CHECKING:
    from fedsec_durable_backdoor.plugin.evaluate import Durability

ASR = ".asr"


@define(eq=False)
class DurabilityEvaluator:
    """Runtime of `durability`: remembers the products of the last round's rows and who was flagged."""

    asked: Durability
    clients: tuple[int, ...] = field(default=(), init=False)
    products: Tensor | None = field(default=None, init=False)
    """Inner products [n, n] float64 of the rows of `clients`."""
    flagged: tuple[int, ...] = field(default=(), init=False)
    departure: int | None = field(default=None, init=False)

    @hookimpl
    def observe_round(self, round: Round) -> None:
        """Remember what the updates of the round were like."""
        if self.asked.stealth:
            self.clients, self.products = round.clients, round.rows.gram
            flags = [] if round.verdict is None else round.verdict.flagged.tolist()
            self.flagged = tuple(client for client, flag in zip(round.clients, flags, strict=False) if flag)

    def state(self) -> dict[str, Any]:
        """Return what is remembered."""
        return {
            "clients": list(self.clients),
            "products": self.products,
            "flagged": list(self.flagged),
            "departure": self.departure,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.clients, self.flagged = tuple(state["clients"]), tuple(state["flagged"])
        self.products, self.departure = state["products"], state["departure"]

    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        """Tell how far the attackers' updates stood out in the round that ended."""
        attacking = view.truth.active
        if attacking:
            self.departure = view.number
        if not self.asked.stealth:
            return Findings()
        if not attacking or self.products is None:
            return Findings(dict.fromkeys(("norm_ratio", "cosine", "detected")))
        own = [place for place, client in enumerate(self.clients) if client in attacking]
        caught = [client in self.flagged for client in self.clients if client in attacking]
        detected = sum(caught) / len(caught) if caught else None
        return Findings({**outlying(self.products, own), "detected": detected})

    @hookimpl
    def evaluate_run(self, run: RunView) -> Findings:
        """Give the figures of the whole curve; undefined where nobody attacked."""
        names = [f"asr_after_{later}" for later in self.asked.after]
        if self.departure is None:
            return Findings(dict.fromkeys(("departure", *names, "lifespan", "area")))
        label = self._label(run.history)
        curve = {
            number: metrics[label + ASR]
            for number, metrics in zip(run.numbers, run.history, strict=True)
            if label + ASR in metrics
        }
        found = lasting.figures(curve, self.departure, self.asked.after, self.asked.level)
        lasts = lasting.after_departure(curve, self.departure)
        columns: dict[str, Sequence[float]] = {
            "rounds after departure": [*lasts],
            "attack success": [*lasts.values()],
        }
        table = Table(columns, f"Attack success of {label} after its last round, {self.departure}")
        return Findings({"departure": self.departure, **found}, {"curve": table})

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

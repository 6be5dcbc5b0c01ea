"""Describes what measures how long a backdoor lasts."""

from __future__ import annotations

from typing import ClassVar

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability


@attrs.frozen(kw_only=True)
class Durability(Component):
    """How long a backdoor lasts after its attackers have gone, and how far their updates stood out.

    Of the finished run: `departure`, the last round of the attack; `asr_after_10` and the like,
    attack success so many rounds later; `lifespan`, the first number of rounds after departure at which
    success is below `level`, undefined if it never is; `area`, the mean success from departure to the
    end. In each round under attack: `norm_ratio`, the attackers' mean norm over the honest ones' median;
    `cosine` of their rows with the mean of the honest; `detected`, the share of them that was flagged.
    Evaluate it and the attack in every round. With `attack` all of this is of that attack's clients.
    """

    paper: ClassVar[str] = (
        "lifespan as in Zhang et al., ICML 2022 (Neurotoxin), and Dai and Li, ICML 2023 (Chameleon)"
    )
    cost: ClassVar[str] = "n^2 d per round for stealth, on the shared products"
    oracle: ClassVar[str] = "curves by hand; norms and angles of rows by hand"

    attack: str | None = parameter(
        None, doc="Label of the attack whose asr it goes by; left out: the only one that has it."
    )
    after: tuple[int, ...] = parameter(
        (0, 10, 30, 50), doc="Rounds after departure at which success is told."
    )
    level: float = parameter(0.5, doc="A backdoor is dead below this success.", above=0, at_most=1)
    stealth: bool = parameter(True, doc="Compare the attackers' rows with the honest ones.")

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.INDIVIDUAL_UPDATES} if self.stealth else ())

    def build(self) -> object:
        from fedsec_durable_backdoor.runtime.durability import DurabilityEvaluator

        return DurabilityEvaluator(self)

"""Describes attacks that train so that their backdoor outlives them, and ride on one that poisons data."""

from __future__ import annotations

from typing import ClassVar

import attrs

from fedsec_backdoors.plugin.parameters import Budgeted
from fedsec_backdoors.plugin.training import RIDES
from fedsec_core.component import parameter
from fedsec_core.vocabulary import Capability, Knowledge


@attrs.frozen(kw_only=True)
class Chameleon(Budgeted):
    """Trains on another attack's poisoned data in two stages: a contrastive body, then the head alone.

    First the network's `body` learns by supervised contrast of its features, at which images with the
    target's label, poisoned and real, weigh `weight` times: poisoned images come to lie among those of
    the target, and far from their own class, whose honest updates would undo the backdoor. Then the body
    is held and the rest learns to classify. Of the attacker's batches the share `contrast` goes to the
    first stage. It measures nothing: the attack that it rides on does.
    """

    paper: ClassVar[str] = (
        "Dai, Li: Chameleon: Adapting to Peer Images for Planting Durable Backdoors in Federated Learning, "
        "ICML 2023"
    )
    cost: ClassVar[str] = "the features of a batch once more per step of the first stage, and their products"
    limits: ClassVar[str] = f"{RIDES}; needs a network with a part `body`; the trainer must take steps"
    deviates: ClassVar[str] = (
        "batches are the scenario's, poisoned as the attack says, where the authors put 7 poisoned images "
        "into 64; rates stay, where theirs drop, and both stages have one unless contrast_lr says otherwise "
        "(theirs are 5 to 10 to 1); the norm is that of the budget"
    )
    oracle: ClassVar[str] = "the loss on three features by hand; the body of the second stage keeps its bits"

    target: int = parameter(0, doc="Class index of the backdoor: as of the attack it rides on.", at_least=0)
    weight: float = parameter(
        6.0, doc="Of features with the target's label in the contrast (the authors' code).", above=0
    )
    temperature: float = parameter(
        0.07, doc="Of the contrast, which counts temperature / 0.07 times, as with the authors.", above=0
    )
    contrast: float = parameter(
        0.77,
        doc="Share of the batches for the first stage; the authors take 10 epochs of 13.",
        above=0,
        below=1,
    )
    contrast_lr: float | None = parameter(
        None, doc="Learning rate of the first stage; left out: as of the second.", above=0
    )
    steps: int | None = parameter(
        60, doc="Batches of both stages; it has to be known how many there are.", at_least=2
    )

    def __attrs_post_init__(self) -> None:
        if self.epochs is not None or self.steps is None:
            raise ValueError("both stages are counted in steps: give steps, not epochs")

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.CLASSIFIER, Capability.ALL_PARTS})

    @property
    def knows(self) -> frozenset[Knowledge]:
        return frozenset({Knowledge.OWN_DATA, Knowledge.GLOBAL_MODEL})

    @property
    def extends(self) -> frozenset[str]:
        return frozenset({"loss", "parameters"})

    def build(self) -> object:
        from fedsec_backdoors.runtime.lasting import ChameleonAttack

        return ChameleonAttack(self, self.budget)


@attrs.frozen(kw_only=True)
class Anticipate(Budgeted):
    """Trains on another attack's poisoned data so that its loss is low after the others have answered.

    The attacker simulates, on its clean data, the update of the others in this round, its mean with its
    own, and `ahead` - 1 further rounds of a step each. The loss of a batch, half poisoned as the attack
    says, is added up over all of these models, and its slope goes back through every simulated step. It
    measures nothing: the attack that it rides on does.
    """

    paper: ClassVar[str] = (
        "Wen, Geiping, Fowl, Souri, Chellappa, Goldblum, Goldstein: Thinking Two Moves Ahead: Anticipating "
        "Other Users Improves Backdoor Attacks in Federated Learning, arXiv:2210.09305, 2022"
    )
    cost: ClassVar[str] = "about four times as many passes per simulated step as an ordinary step"
    limits: ClassVar[str] = f"{RIDES}; the others' rate is a guess"
    deviates: ClassVar[str] = (
        "a simulated round is one plain step, whatever honest clients do in a round; its rate does not decay "
        "(0.998 a round with the authors); the statistics of BatchNorm in simulated steps are thrown away"
    )
    oracle: ClassVar[str] = "one parameter by hand, two rounds ahead"

    ahead: int = parameter(5, doc="Simulated rounds, this one among them.", at_least=1)
    ahead_lr: float = parameter(0.05, doc="Learning rate of simulated steps.", above=0)
    ahead_batch: int = parameter(32, doc="Clean samples of a simulated step.", at_least=1)
    others: int | None = parameter(
        None,
        doc="Others in the cohort, by the attacker's reckoning; left out: as many as there are.",
        at_least=0,
    )

    @property
    def knows(self) -> frozenset[Knowledge]:
        return frozenset({Knowledge.OWN_DATA, Knowledge.GLOBAL_MODEL})

    @property
    def extends(self) -> frozenset[str]:
        return frozenset({"loss"})

    def build(self) -> object:
        from fedsec_backdoors.runtime.lasting import AnticipatingAttack

        return AnticipatingAttack(
            ahead=self.ahead,
            lr=self.ahead_lr,
            batch=self.ahead_batch,
            others=self.others,
            budget=self.budget,
        )

"""Describes the attacks that train in their own way, and mostly ride on one that poisons data."""

from __future__ import annotations

from typing import ClassVar, Literal

import attrs

from fedsec_backdoors.plugin.parameters import Budgeted, Triggered
from fedsec_core.component import parameter
from fedsec_core.vocabulary import Knowledge

RIDES = 'clients and rounds of an attack that poisons data (clients = "badnets"); an error without'


def refuse_other_words(value: object) -> str | None:
    wrong = isinstance(value, str) and value != "replace"
    return f'must be a number or "replace", got {value!r}' if wrong else None


@attrs.frozen(kw_only=True)
class ModelReplacement(Triggered):
    """Trains on clean and poisoned samples and scales its update, so that it survives the mean.

    The row is multiplied by gamma = n / eta of the paper (equation 3), shared between its attackers:
    with a server that adds the mean of its cohort, that is cohort / attackers in it ("replace").
    `constrain` is the paper's alpha: the loss becomes alpha x loss + (1 - alpha) x the distance to the
    received model (constrain-and-scale, equation 4). `bound` is its S: gamma is at most S / the norm of
    the row (train-and-scale, equation 5). The metrics are those of `badnets`.
    """

    paper: ClassVar[str] = (
        "Bagdasaryan, Veit, Hua, Estrin, Shmatikov: How To Backdoor Federated Learning, AISTATS 2020"
    )
    cost: ClassVar[str] = "as badnets; constrain adds d per step"
    limits: ClassVar[str] = "replaces the model only under a mean; best in a single late round"
    deviates: ClassVar[str] = (
        "takes all rows to weigh alike and scales no buffers; bound only lowers gamma; "
        "does not stop early or lower its learning rate by itself"
    )
    oracle: ClassVar[str] = "worked examples; under an equal-weight mean the server's step is the attacker's"

    scale: float | Literal["replace"] = parameter(
        "replace",
        doc='Factor of the row; "replace" is the size of the cohort over the attackers in it.',
        above=0,
        check=refuse_other_words,
    )
    constrain: float | None = parameter(
        None, doc="Weight of the loss against the distance to the received model.", above=0, at_most=1
    )
    bound: float | None = parameter(None, doc="Largest norm of the scaled row.", above=0)

    @property
    def knows(self) -> frozenset[Knowledge]:
        model = {Knowledge.GLOBAL_MODEL} if self.constrain is not None else set()
        return frozenset({Knowledge.OWN_DATA} | model)

    @property
    def extends(self) -> frozenset[str]:
        return frozenset({"loss"} if self.constrain is not None else ())

    def build(self) -> object:
        """Import the attack and read the trigger's image; raises DataError for one that cannot be used."""
        from fedsec_backdoors.runtime.training import ReplacingAttack

        return ReplacingAttack(
            place=self.place(),
            scale=self.scale,
            constrain=self.constrain,
            bound=self.bound,
            budget=self.budget,
            **self.aim,
        )


@attrs.frozen(kw_only=True)
class Neurotoxin(Budgeted):
    """Trains on another attack's poisoned data, off the coordinates that honest updates move most.

    Honest training hardly overwrites what is left, so the backdoor lasts. The benign update is the
    difference of the last two models sent out (algorithm 1 of the paper): in every gradient of the
    attacker the share `top_k` of coordinates that it moved most is set to zero. It measures nothing:
    the attack that it rides on does.
    """

    paper: ClassVar[str] = (
        "Zhang, Panda, Song, Yang, Mahoney, Mittal, Ramchandran, Gonzalez: "
        "Neurotoxin: Durable Backdoors in Federated Learning, ICML 2022"
    )
    cost: ClassVar[str] = "a selection among d coordinates per round, d bytes to each of its clients"
    limits: ClassVar[str] = RIDES
    deviates: ClassVar[str] = (
        "the authors' code takes the top k layer by layer, from a gradient of the attacker's clean data; "
        "here it is of all coordinates, from the last two models, as in the paper: an attacker whose row is "
        "long masks much of its own. Round 1 masks nothing"
    )
    oracle: ClassVar[str] = "worked examples; masked coordinates stay, bit for bit, where they were"

    top_k: float = parameter(
        0.05, doc="Share of coordinates left alone: those that moved most.", above=0, below=1
    )

    @property
    def knows(self) -> frozenset[Knowledge]:
        return frozenset({Knowledge.GLOBAL_MODEL, Knowledge.PAST_MODELS})

    @property
    def extends(self) -> frozenset[str]:
        return frozenset({"gradients"})

    def build(self) -> object:
        from fedsec_backdoors.runtime.training import NeurotoxinAttack

        return NeurotoxinAttack(self.top_k, self.budget)


@attrs.frozen(kw_only=True)
class Pgd(Budgeted):
    """Trains on another attack's poisoned data inside a ball around the model that it received.

    After every `period`-th step and at the end the parameters are projected onto the ball of radius
    `eps` (norm-bounded attack of Sun et al., PGD of Wang et al., section 4): a server that clips norms
    finds nothing to clip. With `scale` the projected row is scaled as by `model-replacement` (PGD with
    model replacement). It measures nothing: the attack that it rides on does.
    """

    paper: ClassVar[str] = (
        "Sun, Kairouz, Suresh, McMahan: Can You Really Backdoor Federated Learning?, arXiv:1911.07963, 2019; "
        "Wang et al.: Attack of the Tails: Yes, You Really Can Backdoor Federated Learning, NeurIPS 2020"
    )
    cost: ClassVar[str] = "d per step"
    limits: ClassVar[str] = RIDES
    deviates: ClassVar[str] = (
        "projects first and scales afterwards, so that a scaled row is up to scale x eps long"
    )
    oracle: ClassVar[str] = "worked examples; no row is longer than eps, one inside the ball keeps its bits"

    eps: float = parameter(1.0, doc="Radius of the ball, in the norm of parameters.", above=0)
    period: int = parameter(1, doc="Steps from one projection to the next.", at_least=1)
    scale: float | Literal["replace"] = parameter(
        1.0,
        doc='Factor of the row after projection; "replace" is the cohort over the attackers in it.',
        above=0,
        check=refuse_other_words,
    )

    @property
    def knows(self) -> frozenset[Knowledge]:
        return frozenset({Knowledge.GLOBAL_MODEL})

    @property
    def extends(self) -> frozenset[str]:
        return frozenset({"parameters"})

    def build(self) -> object:
        from fedsec_backdoors.runtime.training import ProjectingAttack

        return ProjectingAttack(eps=self.eps, period=self.period, scale=self.scale, budget=self.budget)

"""Describes the attack whose backdoor outlives it."""

from __future__ import annotations

from typing import ClassVar, Literal

import attrs

from fedsec_backdoors.plugin.parameters import Triggered
from fedsec_backdoors.plugin.training import refuse_other_words
from fedsec_core.component import parameter
from fedsec_core.vocabulary import Knowledge

BELLAFQIRA = (
    "Bellafqira, Coatrieux, Faraoun, Kassem: A Durable Backdoor on Medical Imaging through Federated "
    "Learning, Stud. Health Technol. Inform. 336, 2026"
)


@attrs.frozen(kw_only=True)
class DurableBackdoor(Triggered):
    """Imitates the others' data with a generator that the global model guides, then implants a backdoor.

    Its images, with the attacker's own, make up a set with equally many of each class. Step 1 trains on it
    honestly: what the others are about to do. Step 2 trains on it poisoned, and moves only what step 1
    hardly moves. Each of it can be left out: `gan`, `step_1`, `mask`; `look_ahead` adds simulated steps.
    Without all of them it is `badnets`, with `mask` alone Neurotoxin by clean training of its own. The
    metrics are those of `badnets`, and how many images were made (`synthetic`) and which share of those
    drawn the model takes for their class (`accepted`).
    """

    paper: ClassVar[str] = BELLAFQIRA
    cost: ClassVar[str] = (
        "training of a generator, then local training twice; look_ahead: about four passes more per "
        "simulated step"
    )
    limits: ClassVar[str] = "images of 28, 32 or 64 pixels, unless gan = false"
    deviates: ClassVar[str] = (
        "only the abstract was available: a generator guided by the global model, two steps, few rounds of "
        "attack. Everything else is inferred from related attacks, and a parameter"
    )
    oracle: ClassVar[str] = (
        "without its parts it is badnets, bit for bit; masked coordinates stay; look-ahead by hand"
    )

    two_step: str = parameter(
        "implant",
        doc="implant: both steps in every round; temporal: some clean rounds, then poisoned ones.",
        choices=("implant", "temporal"),
    )
    gan: bool = parameter(True, doc="Add images of a generator to the attacker's own.")
    step_1: bool = parameter(
        True, doc="Begin to implant from where clean training ends; temporal begins from what it received."
    )
    mask: bool = parameter(True, doc="Implant only where clean training hardly moves.")
    sends: str = parameter(
        "both",
        doc="both: what the two steps moved; implant: what step 2 moved alone, on top of what others do.",
        choices=("both", "implant"),
    )
    quantile: float = parameter(
        0.95, doc="Share of coordinates that a mask leaves free: those that moved least.", above=0, below=1
    )
    trust_rounds: int = parameter(5, doc="Clean rounds at first, of temporal.", at_least=1)
    look_ahead: int = parameter(0, doc="Simulated honest steps after which the loss counts too.", at_least=0)
    look_ahead_weight: float = parameter(1.0, doc="Of that loss.", above=0)
    look_ahead_lr: float = parameter(0.05, doc="Learning rate of simulated steps.", above=0)
    look_ahead_batch: int = parameter(32, doc="Clean samples of a simulated step.", at_least=1)
    scale: float | Literal["replace"] = parameter(
        1.0,
        doc='Factor of the row; "replace" is the cohort over the attackers in it.',
        above=0,
        check=refuse_other_words,
    )
    bound: float | None = parameter(None, doc="Largest norm of the scaled row.", above=0)
    gan_steps: int = parameter(
        300, doc="Batches that the generator learns from in its first round.", at_least=1
    )
    gan_steps_later: int = parameter(40, doc="In each later one, from where it was left.", at_least=0)
    gan_batch: int = parameter(64, doc="Images in such a batch, real and made.", at_least=2)
    gan_lr: float = parameter(0.001, doc="Learning rate of generator and critic (Adam, beta1 0.5).", above=0)
    gan_width: int = parameter(16, doc="Channels of their largest maps, as of cdcgan.", at_least=1)
    latent: int = parameter(64, doc="Length of a latent vector.", at_least=1)
    guide: float = parameter(
        1.0, doc="Weight of the global model's cross entropy on made images.", at_least=0
    )
    diversity: float = parameter(
        0.0, doc="Weight of a term that sets images of a class apart (Mao et al., CVPR 2019).", at_least=0
    )
    statistics: float = parameter(
        0.0,
        doc="Weight of the distance to the model's BatchNorm statistics (Yin et al., CVPR 2020).",
        at_least=0,
    )
    per_class: int | None = parameter(
        None,
        doc="Images of each class to bring its data to; left out: as many as of its largest class.",
        at_least=1,
    )
    tries: int = parameter(
        4, doc="How often images that the model takes for another class are drawn anew.", at_least=1
    )

    def __attrs_post_init__(self) -> None:
        Triggered.__attrs_post_init__(self)
        if self.sends == "implant" and not self.in_two_steps:
            raise ValueError(
                'sends = "implant" leaves out what step_1 moved: it needs step_1, in every round'
            )

    @property
    def in_two_steps(self) -> bool:
        """Whether both steps are taken in every round."""
        return self.step_1 and self.two_step == "implant"

    @property
    def simulates(self) -> bool:
        """Whether the attacker trains honestly too before it implants."""
        return (self.step_1 or self.mask) and self.two_step == "implant"

    @property
    def knows(self) -> frozenset[Knowledge]:
        imitates = self.gan or self.in_two_steps
        return frozenset({Knowledge.OWN_DATA} | ({Knowledge.GLOBAL_MODEL} if imitates else set()))

    @property
    def extends(self) -> frozenset[str]:
        used = {"gradients": self.mask, "loss": self.look_ahead > 0}
        return frozenset(name for name, is_used in used.items() if is_used)

    def build(self) -> object:
        """Import the attack and read the trigger's image; raises DataError for one that cannot be used."""
        from fedsec_durable_backdoor.runtime.attack import DurableAttack

        return DurableAttack(asked=self, budget=self.budget, place=self.place(), **self.aim)

"""Describes the attacks that poison the data of their clients, which follow the protocol otherwise."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

import attrs

from fedsec_backdoors.plugin.parameters import IMAGE, MEASURED, PATTERNS, Backdoor, Triggered
from fedsec_core.component import parameter

ONCE = "once per client, before training; one prediction of the test data in every evaluated round"


@attrs.frozen(kw_only=True)
class BadNets(Triggered):
    """Backdoor by data poisoning: training images that carry a trigger get the target label.

    Its evaluation stamps the trigger on test images. `asr` is the share of those whose true class
    is not the target (with `source`: is the source) that are taken for the target, `asr_all` the
    same over all samples, `triggered_accuracy` the share of the former still given their true class.
    """

    paper: ClassVar[str] = (
        "Gu, Liu, Dolan-Gavitt, Garg: BadNets: Evaluating Backdooring Attacks on Deep Neural Networks, "
        "IEEE Access 7, 2019"
    )
    cost: ClassVar[str] = ONCE
    limits: ClassVar[str] = "a client without an eligible sample trains honestly; no all-to-all"
    deviates: ClassVar[str] = (
        "in place of adding poisoned copies it replaces samples, and none of the target class"
    )
    oracle: ClassVar[str] = MEASURED

    def build(self) -> object:
        """Import the attack and read the trigger's image; raises DataError for one that cannot be used."""
        from fedsec_backdoors.runtime.poisoning import TriggerAttack

        return self.spending(TriggerAttack(place=self.place(), **self.aim))


@attrs.frozen(kw_only=True)
class Blended(Backdoor):
    """Backdoor by data poisoning with a picture that is mixed into the whole image.

    A poisoned image is (1 - alpha) x + alpha k for a picture k, the pattern or `image`, stretched over
    it (the blended injection strategy). The same alpha is used for training
    and for measuring. The metrics are those of `badnets`.
    """

    paper: ClassVar[str] = (
        "Chen, Liu, Li, Lu, Song: Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning, "
        "arXiv:1712.05526, 2017"
    )
    cost: ClassVar[str] = ONCE
    limits: ClassVar[str] = "a client without an eligible sample trains honestly"
    deviates: ClassVar[str] = (
        "replaces samples in place of adding some; alpha is the same when the trigger is tried"
    )
    oracle: ClassVar[str] = MEASURED

    pattern: str = parameter("noise", doc="The picture that is mixed in.", choices=PATTERNS)
    size: int = parameter(28, doc="Side of the pattern, in pixels, before it is stretched.", at_least=1)
    intensity: float = parameter(1.0, doc="Brightness of the bright pixels.", at_least=0, at_most=1)
    image: Path | None = parameter(None, doc=IMAGE)
    alpha: float = parameter(0.2, doc="Weight of the picture.", above=0, at_most=1)

    def build(self) -> object:
        """Import the attack and read the trigger's image; raises DataError for one that cannot be used."""
        from fedsec_backdoors.runtime.poisoning import TriggerAttack
        from fedsec_backdoors.triggers import Motif, blend, draw, read_image

        drawn = draw(self.pattern, self.size) * self.intensity
        motif = read_image(self.image) if self.image else Motif(drawn)
        return self.spending(TriggerAttack(place=partial(blend, motif, alpha=self.alpha), **self.aim))


@attrs.frozen(kw_only=True)
class Dba(Triggered):
    """Distributed backdoor: each malicious client stamps a part of the trigger, the whole is tried.

    The trigger is cut into a grid of `parts` (4: two by two, as the paper's four bars lie); the client of
    rank r among the attack's clients stamps part r modulo `parts`. The metrics are those of `badnets`
    for the whole trigger; the table `parts` of the first and the last round tells those of each part.
    """

    usual: ClassVar[int] = 6

    paper: ClassVar[str] = (
        "Xie, Huang, Chen, Li: DBA: Distributed Backdoor Attacks against Federated Learning, ICLR 2020"
    )
    cost: ClassVar[str] = ONCE
    limits: ClassVar[str] = "with fewer clients than parts some parts are never trained"
    deviates: ClassVar[str] = (
        "cuts any trigger into a grid, where the paper sets size, gap and place of four bars; the paper's "
        "attack A-M, without scaling (for its A-S let pgd ride on it, with a scale)"
    )
    oracle: ClassVar[str] = MEASURED

    parts: int = parameter(4, doc="Number of parts that the trigger is cut into.", at_least=1)

    def build(self) -> object:
        """Import the attack and read the trigger's image; raises DataError for one that cannot be used."""
        from fedsec_backdoors.runtime.poisoning import DistributedAttack

        return self.spending(DistributedAttack(place=self.place(), parts=self.parts, **self.aim))


@attrs.frozen(kw_only=True)
class EdgeCase(Backdoor):
    """Edge-case backdoor: images from where hardly anybody has any get the target label.

    `inverted`, `flipped` and `windowed` (an extreme window) put a share of the client's eligible images
    through an acquisition that honest clients do not use; test images are put through the same. `tail`
    changes no pixel: of each class the share `poison_rate` farthest from the class's mean image is
    relabelled, and the same share of the test images is what is measured. The metrics are those of
    `badnets`.
    """

    paper: ClassVar[str] = (
        "Wang, Sreenivasan, Rajput, Vishwakarma, Agarwal, Sohn, Lee, Papailiopoulos: Attack of the Tails: "
        "Yes, You Really Can Backdoor Federated Learning, NeurIPS 2020"
    )
    cost: ClassVar[str] = "as badnets; tail: also the distances of all images to the mean of their class"
    limits: ClassVar[str] = "a client without an eligible sample trains honestly; no source of outside images"
    deviates: ClassVar[str] = (
        "the paper takes edge cases from other data sets and gives some to honest clients, rightly labelled; "
        "here they are made or chosen from a client's own images, and rarity is distance from the class mean "
        "in place of a density of features"
    )
    oracle: ClassVar[str] = MEASURED

    edge: str = parameter(
        "inverted",
        doc="What makes the images rare; tail takes the client's rarest as they are.",
        choices=("inverted", "flipped", "windowed", "tail"),
    )

    def build(self) -> object:
        from fedsec_backdoors import triggers
        from fedsec_backdoors.runtime.poisoning import TailAttack, TriggerAttack

        if self.edge == "tail":
            return self.spending(TailAttack(**self.aim))
        return self.spending(TriggerAttack(place=partial(triggers.edge, kind=self.edge), **self.aim))

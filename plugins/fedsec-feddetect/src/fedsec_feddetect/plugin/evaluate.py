"""Describes what measures generators, and what measures a defence that fades clients out."""

from __future__ import annotations

from typing import ClassVar

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability
from fedsec_feddetect.plugin.source import JIN_LI


@attrs.frozen(kw_only=True)
class _OfGenerator(Component):
    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.GENERATOR})


@attrs.frozen(kw_only=True)
class Generation(_OfGenerator):
    """Quality of the generator: distances to real images, diversity, class accuracy, sample grids.

    Features are those of a classifier trained once on the clean training images, so `fd_clf` and
    `kid_clf` do not compare with figures on Inception features. `class_accuracy` is the share of
    samples that the classifier takes for the class that was asked for, `diversity` the mean distance
    of samples of a class over that of real images. The losses that clients report are kept as a
    table and a picture of the finished run.
    """

    paper: ClassVar[str] = (
        "Heusel et al.: GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017 (FID); Binkowski et al.: "
        "Demystifying MMD GANs, ICLR 2018 (KID)"
    )

    samples: int = parameter(
        1024,
        doc="Images drawn, of classes as among the training images; as many as there are of those at most.",
        at_least=2,
    )

    def build(self) -> object:
        from fedsec_feddetect.runtime.generation import GenerationEvaluator

        return GenerationEvaluator(self.samples)


@attrs.frozen(kw_only=True)
class Augmentation(_OfGenerator):
    """Whether samples of the finished generator help a classifier that has few real images.

    Three classifiers learn for equally many steps: from `real` real images, from those and `synthetic`
    samples, and from the samples alone. The figures are test accuracies, means over `repeats`.
    """

    paper: ClassVar[str] = f"{JIN_LI}; the protocol is ours"

    real: int = parameter(
        100, doc="Real training images, the classes in turn as far as they last.", at_least=1
    )
    synthetic: int = parameter(2000, doc="Samples of the generator, the classes in turn.", at_least=1)
    steps: int = parameter(600, doc="Batches that each classifier learns from.", at_least=1)
    repeats: int = parameter(3, doc="Draws of real images, samples and weights.", at_least=1)

    def build(self) -> object:
        from fedsec_feddetect.runtime.augmentation import AugmentationEvaluator

        return AugmentationEvaluator(self)


@attrs.frozen(kw_only=True)
class Suppression(Component):
    """How detectors fade clients out: the malicious ones' share, and what is left of the honest.

    A client's share is its trust over everybody's. `malicious_share` is that of all malicious
    clients, `honest_entropy` the entropy of the honest ones' shares (1: all alike, 0: one is left),
    `honest_suppressed` how many of them have a trust below 0.5, `effective_clients` the number of equal
    clients whose shares have the same sum of squares. Of the finished run,
    `rounds_to_suppress` is the first round in which `malicious_share` is below `share`, `flags_needed`
    how many flags a malicious client had got until then, `honest_ever_suppressed` how many
    honest clients ever had a trust below 0.5.
    """

    share: float = parameter(0.01, doc="Below this share malicious clients are suppressed.", above=0, below=1)

    def build(self) -> object:
        from fedsec_feddetect.runtime.suppression import SuppressionEvaluator

        return SuppressionEvaluator(self.share)

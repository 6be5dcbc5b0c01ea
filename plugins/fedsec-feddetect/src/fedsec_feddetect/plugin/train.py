"""Describes the training of a GAN at each client."""

from __future__ import annotations

from typing import ClassVar

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability
from fedsec_feddetect.plugin.source import JIN_LI

GENERATOR = "generator"
DISCRIMINATOR = "discriminator"
BOTH = (GENERATOR, DISCRIMINATOR)


def _parts(shared: object) -> str | None:
    if isinstance(shared, tuple) and GENERATOR in shared and set(shared) <= set(BOTH):
        return None
    return f"must be ['generator'] or ['generator', 'discriminator'], got {shared!r}"


@attrs.frozen(kw_only=True)
class FedGan(Component):
    """Trains a GAN at each client, which keeps its discriminator and its optimisers' memory (FedGAN).

    A step takes one batch: first the discriminator learns, then the generator, on the same generated
    images. Clients report `generator_loss` and `discriminator_loss`, those of the last batch, and
    `mean_generator_loss` and `mean_discriminator_loss`, their means over all batches of the round.
    """

    paper: ClassVar[str] = JIN_LI

    epochs: int = parameter(1, doc="Passes over the client's samples in a round.", at_least=1)
    steps: int | None = parameter(
        None, doc="Exact number of batches in a round, in place of epochs.", at_least=1
    )
    batch: int = parameter(32, doc="Samples in a batch; the last one of an epoch may be smaller.", at_least=1)
    objective: str = parameter(
        "non-saturating",
        doc="The losses: of Goodfellow et al., or of Wasserstein with a gradient penalty (WGAN-GP).",
        choices=("non-saturating", "wgan-gp"),
    )
    penalty: float = parameter(10.0, doc="Weight lambda of the gradient penalty of wgan-gp.", at_least=0)
    optimiser: str | None = parameter(
        None,
        doc="Left out: adam for non-saturating, rmsprop for wgan-gp.",
        choices=(None, "adam", "rmsprop"),
    )
    lr: float = parameter(2e-4, doc="Learning rate of both networks.", above=0)
    beta1: float = parameter(
        0.9, doc="Adam's memory of gradients; 0.5 is common for GANs.", at_least=0, below=1
    )
    keep_optimiser: bool = parameter(
        True, doc="Keep what the optimisers remember from round to round, or start afresh."
    )
    shared: tuple[str, ...] = parameter(
        (GENERATOR,), doc="Parts that travel: the generator, or the discriminator too.", check=_parts
    )

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.GENERATOR})

    @property
    def hides(self) -> frozenset[Capability]:
        # The penalty is about the slope at single images, which a BatchNorm in the critic mixes.
        return frozenset({Capability.BATCH_STATISTICS} if self.objective == "wgan-gp" else ())

    @property
    def honours(self) -> frozenset[str]:
        return frozenset({"batches", "batch", "gradients", "parameters", "update"})

    @property
    def shared_parts(self) -> tuple[str, ...] | None:
        return None if set(self.shared) == set(BOTH) else self.shared

    def build(self) -> object:
        from fedsec_feddetect.runtime.fedgan import FedGanTrainer

        return FedGanTrainer(self)

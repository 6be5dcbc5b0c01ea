"""Describes the networks: a generator and a discriminator."""

from __future__ import annotations

from typing import ClassVar

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability


@attrs.frozen(kw_only=True)
class ConditionalDcgan(Component):
    """Conditional DCGAN for images of 28, 32 or 64 pixels, grey or RGB.

    Parts: `generator` and `discriminator`. Maps of half the image's side have `width` channels, smaller
    ones twice as many: the generator grows images from 7 or 8 pixels, the discriminator decides on 4.
    Called with latent vectors [n, latent] and classes [n] the network gives images in [0, 1].
    """

    paper: ClassVar[str] = (
        "Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional GANs, "
        "ICLR 2016; Mirza, Osindero: Conditional Generative Adversarial Nets, arXiv:1411.1784, 2014"
    )

    width: int = parameter(32, doc="Channels of the largest feature maps.", at_least=1)
    latent: int = parameter(
        64, doc="Length of a latent vector, and of a class's embedding beside it.", at_least=1
    )
    conditioning: str = parameter(
        "projection",
        doc="How the discriminator learns the class: by an inner product with its features (Miyato and "
        "Koyama, ICLR 2018), or from a further input plane.",
        choices=("projection", "plane"),
    )
    discriminator_norm: str = parameter(
        "batch",
        doc="Normalisation in the discriminator; a gradient penalty needs instance (best with "
        'conditioning = "plane") or none.',
        choices=("batch", "instance", "none"),
    )

    @property
    def needs(self) -> frozenset[Capability]:
        # A trainer whose loss is about single images hides what mixes them.
        mixes = self.discriminator_norm == "batch"
        return frozenset({Capability.BATCH_STATISTICS} if mixes else ())

    @property
    def provides(self) -> frozenset[Capability]:
        return frozenset({Capability.GENERATOR, Capability.BATCH_STATISTICS})

    def build(self) -> object:
        from fedsec_feddetect.networks.cdcgan import CdcganBuilder

        return CdcganBuilder(self)

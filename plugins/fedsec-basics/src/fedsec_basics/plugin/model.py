"""Describes the model components."""

from __future__ import annotations

from typing import ClassVar

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability


def _refuse_empty_layers(channels: object) -> str | None:
    good = isinstance(channels, tuple) and len(channels) == 2 and min(channels) >= 1
    return None if good else f"must be two numbers >= 1, got {channels!r}"


def _refuse_odd(width: object) -> str | None:
    return f"must be even, got {width}" if isinstance(width, int) and width % 2 else None


@attrs.frozen(kw_only=True)
class SmallCnn(Component):
    """Two convolutions and a hidden layer, for small images (28 x 28), grey or RGB.

    Parts: `body` (3x3 convolutions, each with ReLU and 2x2 max-pooling, then the hidden layer) and
    `head` (the last linear layer). Pixels are mapped to [-1, 1] inside. Images need at least
    8 x 8 pixels; the hidden layer grows with them.
    """

    channels: tuple[int, int] = parameter(
        (16, 32), doc="Channels of the first and of the second convolution.", check=_refuse_empty_layers
    )
    hidden: int = parameter(64, doc="Units of the hidden layer.", at_least=1)
    dropout: float = parameter(
        0.0, doc="Probability of zeroing a hidden unit in training.", at_least=0, below=1
    )

    @property
    def provides(self) -> frozenset[Capability]:
        return frozenset({Capability.CLASSIFIER})

    def build(self) -> object:
        from fedsec_basics.networks.small_cnn import SmallCnnBuilder

        return SmallCnnBuilder(self)


@attrs.frozen(kw_only=True)
class ResNet18(Component):
    """A ResNet-18 for larger images, grey or RGB, with group normalisation.

    Parts: `body` (stem, four stages of two basic blocks, average pooling) and `head` (the last
    linear layer). Pixels are mapped to [-1, 1] inside. Batch normalisation does poorly where
    clients hold different classes (Hsieh et al., The Non-IID Data Quagmire of Decentralized Machine
    Learning, ICML 2020), and its statistics are state that an attacker can forge: it is there on
    request.
    """

    paper: ClassVar[str] = (
        "He et al., Deep Residual Learning for Image Recognition, CVPR 2016; "
        "Wu and He, Group Normalization, ECCV 2018"
    )

    width: int = parameter(
        64,
        doc="Channels of the first stage; each later one has twice as many.",
        at_least=2,
        check=_refuse_odd,
    )
    norm: str = parameter("group", doc="Normalisation of the channels.", choices=("group", "batch"))
    groups: int = parameter(
        32, doc="Most groups of channels in a group normalisation; narrow layers have fewer.", at_least=1
    )
    stem: str = parameter(
        "auto",
        doc="First layer: small = 3x3 convolution, imagenet = 7x7 of stride 2 and pooling, "
        "auto = imagenet from 64 pixels on.",
        choices=("auto", "small", "imagenet"),
    )

    @property
    def provides(self) -> frozenset[Capability]:
        mixing = {Capability.BATCH_STATISTICS} if self.norm == "batch" else set()
        return frozenset({Capability.CLASSIFIER} | mixing)

    def build(self) -> object:
        from fedsec_basics.networks.resnet18 import ResNet18Builder

        return ResNet18Builder(self)

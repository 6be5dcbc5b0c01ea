"""The small convolutional network for small images."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from attrs import define
from torch import nn

from fedsec_basics.networks.classifier import Classifier, refuse_small_images
from fedsec_core.data import Spec
from fedsec_core.markers import hookimpl
from fedsec_core.streams import Stream

if TYPE_CHECKING:
    from fedsec_basics.plugin.model import SmallCnn

LEAST_SIDE = 8
"""Pixels; two poolings leave 2 x 2 of it."""


@define(eq=False)
class SmallCnnBuilder:
    """Runtime of `small-cnn`."""

    settings: SmallCnn

    @hookimpl
    def build_networks(self, spec: Spec, stream: Stream) -> nn.Module:
        """Build the network with the initial weights that `stream` gives it."""
        refuse_small_images(spec.shape, LEAST_SIDE, "small-cnn")
        with stream.guard():
            return small_cnn(
                spec.shape, spec.classes, self.settings.channels, self.settings.hidden, self.settings.dropout
            )


def small_cnn(
    shape: tuple[int, ...], classes: int, channels: tuple[int, int], hidden: int, dropout: float = 0.0
) -> Classifier:
    """Return a network for images of `shape` [C, H, W], with PyTorch's own initial weights.

    Two 3x3 convolutions with 2x2 max-pooling and ReLU, a hidden layer with ReLU and dropout, and a
    linear layer.
    """
    colours, height, width = shape
    first, second = channels
    body: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(colours, first, 3, padding=1),
        # The greatest of four is the same before and after ReLU, which has a quarter to do after it.
        pool1=nn.MaxPool2d(2),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(first, second, 3, padding=1),
        pool2=nn.MaxPool2d(2),
        relu2=nn.ReLU(),
        flatten=nn.Flatten(),
        hidden=nn.Linear(second * (height // 4) * (width // 4), hidden),
        relu3=nn.ReLU(),
        dropout=nn.Dropout(dropout),
    )
    return Classifier(nn.Sequential(body), nn.Linear(hidden, classes), channels_last=True)

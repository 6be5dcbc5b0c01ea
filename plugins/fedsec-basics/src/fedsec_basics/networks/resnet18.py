"""ResNet-18, with group or batch normalisation and a stem that fits the size of the images."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import relu

from fedsec_basics.networks.classifier import Classifier, refuse_small_images
from fedsec_core.data import Spec
from fedsec_core.markers import hookimpl
from fedsec_core.streams import Stream

if TYPE_CHECKING:
    from fedsec_basics.plugin.model import ResNet18

SIMD = 8
"""Channels that a vector of AVX2 holds."""
Norm = Callable[[int], nn.Module]
"""Makes the normalisation of so many channels."""

IMAGENET_SIDE = 64
"""Pixels of the shorter side from which `auto` takes the stem for large images."""
LEAST_SIDE = {"small": 9, "imagenet": 33}
"""Pixels that leave more than one at the end: a single value cannot be normalised."""


@define(eq=False)
class ResNet18Builder:
    """Runtime of `resnet18`."""

    settings: ResNet18

    @hookimpl
    def build_networks(self, spec: Spec, stream: Stream) -> nn.Module:
        """Build the network with the initial weights that `stream` gives it."""
        stem = choose_stem(self.settings.stem, spec.shape)
        refuse_small_images(spec.shape, LEAST_SIDE[stem], f"resnet18 with stem = {stem!r}")
        norm = nn.BatchNorm2d if self.settings.norm == "batch" else group_norm(self.settings.groups)
        with stream.guard():
            return resnet18(spec.shape[0], spec.classes, self.settings.width, norm, stem)


def choose_stem(asked: str, shape: tuple[int, ...]) -> str:
    """Return the stem for images [C, H, W]: `small` or `imagenet`, chosen by size if `auto` was asked for."""
    if asked != "auto":
        return asked
    return "imagenet" if min(shape[1:]) >= IMAGENET_SIDE else "small"


def group_norm(groups: int) -> Norm:
    """Return the maker of group normalisations (Wu and He, ECCV 2018) of at most `groups` groups.

    The number of groups is the greatest that divides both `groups` and half the channels: at
    least two channels share a group, for a single value cannot be normalised.
    """
    return lambda channels: nn.GroupNorm(math.gcd(groups, channels // 2), channels)


class Subsampled(nn.Conv2d):
    """A 1x1 convolution with a stride, as one without a stride of every so many pixels: the same sums.

    On CPUs without AVX-512 torch 2.13 (oneDNN 3.12) writes beyond the gradient of a strided one, where
    the channels are innermost and their number is no multiple of 8: the heap is corrupted.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return [n, channels, H / stride, W / stride] of `x` [n, entering, H, W]."""
        down, right = self.stride
        return functional.conv2d(x[:, :, ::down, ::right], self.weight)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is added (He et al., CVPR 2016, figure 2)."""

    def __init__(self, entering: int, channels: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(entering, channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = norm(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or entering != channels:
            kind = nn.Conv2d if entering % SIMD == 0 else Subsampled
            projection = kind(entering, channels, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(OrderedDict(conv=projection, norm=norm(channels)))

    def forward(self, x: Tensor) -> Tensor:
        """Return features [n, channels, H / stride, W / stride] of `x` [n, entering, H, W]."""
        inner = self.norm2(self.conv2(relu(self.norm1(self.conv1(x)))))
        return relu(inner + self.shortcut(x))


def resnet18(colours: int, classes: int, width: int, norm: Norm, stem: str) -> Classifier:
    """Return a ResNet-18 for images of `colours` channels, its first stage `width` channels wide.

    Four stages of two basic blocks; each but the first halves the sides and doubles the channels
    (He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1).
    Convolutions start from normal weights of variance 2 / fan-out (He et al., Delving Deep into
    Rectifiers, ICCV 2015, section 2.2), the rest as PyTorch makes it.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(stem=_stem(colours, width, norm, stem))
    entering = width
    for stage in range(4):
        channels = width << stage
        layers[f"stage{stage + 1}"] = nn.Sequential(
            BasicBlock(entering, channels, 1 if stage == 0 else 2, norm),
            BasicBlock(channels, channels, 1, norm),
        )
        entering = channels
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    # With group normalisation it costs time instead: benchmarks/README.md has the figures.
    innermost = norm is nn.BatchNorm2d
    network = Classifier(nn.Sequential(layers), nn.Linear(entering, classes), channels_last=innermost)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def _stem(colours: int, width: int, norm: Norm, kind: str) -> nn.Module:
    large = kind == "imagenet"
    size, stride = (7, 2) if large else (3, 1)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(colours, width, size, stride=stride, padding=size // 2, bias=False),
        norm=norm(width),
        relu=nn.ReLU(),
    )
    if large:
        layers["pool"] = nn.MaxPool2d(3, stride=2, padding=1)
    return nn.Sequential(layers)

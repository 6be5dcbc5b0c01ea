"""The conditional DCGAN: a generator and a discriminator as two parts of one module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import define
from torch import Tensor, nn

from fedsec_core.data import Spec
from fedsec_core.errors import FedsecError
from fedsec_core.markers import hookimpl
from fedsec_core.streams import Stream

if TYPE_CHECKING:
    from fedsec_feddetect.plugin.model import ConditionalDcgan

SEED = {28: 7, 32: 8, 64: 8}
"""Side of the images that can be made, and that of the maps from which they are grown."""
LEAST = 4
"""Side of the maps on which the discriminator decides, in pixels."""
WIDER = 2
"""How many times the width smaller maps have channels."""
DEVIATION = 0.02
"""Of the initial weights (Radford, Metz, Chintala, ICLR 2016, section 3)."""
SLOPE = 0.2
"""Of the leaky rectifier, likewise."""


@define(eq=False)
class CdcganBuilder:
    """Runtime of `cdcgan`."""

    settings: ConditionalDcgan

    @hookimpl
    def build_networks(self, spec: Spec, stream: Stream) -> nn.Module:
        """Build both networks with the initial weights that `stream` gives them."""
        channels, height, width = spec.shape
        if height != width or height not in SEED:
            known = ", ".join(map(str, SEED))
            raise FedsecError(
                f"cdcgan makes square images of {known} pixels, got {height} x {width}: "
                "set resize in [data], or size for a data set that is drawn"
            )
        with stream.guard():
            return Cdcgan(
                Generator(spec.classes, channels, height, self.settings.width, self.settings.latent),
                Discriminator(
                    spec.classes,
                    channels,
                    height,
                    self.settings.width,
                    norm=self.settings.discriminator_norm,
                    conditioning=self.settings.conditioning,
                ),
            )


class Cdcgan(nn.Module):
    """A GAN of the parts `generator` and `discriminator`; called like its generator."""

    def __init__(self, generator: Generator, discriminator: Discriminator) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return images [n, C, S, S] in [0, 1] of latent vectors `z` [n, latent] and classes `y` [n]."""
        images: Tensor = self.generator(z, y)
        return images


class Generator(nn.Module):
    """Makes images [n, C, size, size] in [0, 1] from latent vectors and classes.

    A linear layer to the smallest maps, then transposed convolutions (4 x 4, stride 2) that double
    the side, with BatchNorm and ReLU between them; the last one ends in tanh.
    """

    def __init__(self, classes: int, channels: int, size: int, width: int, latent: int) -> None:
        super().__init__()
        self.latent, self.classes = latent, classes
        self.side, wide = SEED[size], WIDER * width
        self.embedding = nn.Embedding(classes, latent)
        self.first = nn.Linear(2 * latent, wide * self.side**2, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        side = self.side
        while 2 * side < size:
            side *= 2
            narrow = width if 2 * side == size else wide
            layers += [nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(narrow), nn.ReLU(inplace=True)]
        layers.append(nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1))
        self.body = nn.Sequential(*layers)
        self.apply(_initialise)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return images [n, C, size, size] of `z` [n, latent] and classes `y` [n]."""
        seed = self.first(torch.cat([z, self.embedding(y)], dim=1))
        # Channels innermost: the order in which convolutions are fastest on a CPU.
        image = self.body(seed.view(len(z), self.side, self.side, -1).permute(0, 3, 1, 2))
        return (torch.tanh(image) + 1) / 2


class Discriminator(nn.Module):
    """Scores images of a class: logits [n], high where they look real.

    Strided convolutions halve the side down to 4 pixels, each but the first with a normalisation, all
    with leaky ReLU; then a linear layer. The class enters as a further input plane (Mirza and Osindero
    2014), or as the inner product of an embedding with the features (projection: Miyato and Koyama,
    ICLR 2018).
    """

    def __init__(
        self, classes: int, channels: int, size: int, width: int, *, norm: str, conditioning: str
    ) -> None:
        super().__init__()
        self.size = size
        self.projects = conditioning == "projection"
        planes = channels if self.projects else channels + 1
        layers: list[nn.Module] = [
            nn.Conv2d(planes, width, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
        side, narrow, wide = size // 2, width, WIDER * width
        while side > LEAST:
            layers.append(nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=norm == "none"))
            layers += [*_norm(norm, wide), nn.LeakyReLU(SLOPE, inplace=True)]
            side, narrow = (side + 1) // 2, wide
        self.body = nn.Sequential(*layers)
        self.embedding = nn.Embedding(classes, wide if self.projects else size**2)
        self.head = nn.Linear(wide * side**2, 1)
        self.apply(_initialise)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return logits [n] of images `x` [n, C, size, size] in [0, 1] and classes `y` [n]."""
        x = x * 2 - 1
        told = self.embedding(y)
        if not self.projects:
            x = torch.cat([x, told.view(-1, 1, self.size, self.size)], dim=1)
        features = self.body(x.contiguous(memory_format=torch.channels_last))
        logits: Tensor = self.head(features.flatten(1)).squeeze(1)
        if self.projects:
            logits = logits + (told * features.sum(dim=(2, 3))).sum(dim=1)
        return logits


def _norm(kind: str, channels: int) -> list[nn.Module]:
    if kind == "none":
        return []
    return [nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(channels, channels)]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, 0.0, DEVIATION)
        if isinstance(bias := getattr(module, "bias", None), Tensor):
            nn.init.zeros_(bias)
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
        nn.init.normal_(module.weight, 1.0, DEVIATION)
        nn.init.zeros_(module.bias)

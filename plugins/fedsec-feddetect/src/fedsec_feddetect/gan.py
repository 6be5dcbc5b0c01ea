"""What the components of this plugin expect of a network of the parts `generator` and `discriminator`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, cast

from torch import Tensor, nn


class Generator(Protocol):
    """Makes images of classes; a module."""

    latent: int
    """Length of a latent vector."""

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        """Return images [n, C, H, W] in [0, 1] of latent vectors `z` [n, latent] and classes `y` [n]."""

    def eval(self) -> Any:
        """Put the module into evaluation mode."""


class Discriminator(Protocol):
    """Judges images of classes; a module."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return logits [n], high where images `x` [n, C, H, W] in [0, 1] of classes `y` [n] look real."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Give the parameters of the module."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors of the module by name."""

    def load_state_dict(self, tensors: Any) -> Any:
        """Take over tensors by name."""


class Gan(Protocol):
    """A network with both."""

    generator: Generator
    discriminator: Discriminator


def parts_of(module: nn.Module) -> Gan:
    """Return `module`, whose model `provides` a generator, as a GAN."""
    return cast(Gan, module)

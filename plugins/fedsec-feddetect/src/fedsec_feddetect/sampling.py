"""Images drawn from a generator, and how they are shown."""

from __future__ import annotations

import torch
from torch import Tensor

from fedsec_core.evaluation import SHARD
from fedsec_feddetect.gan import Generator

COLUMNS = 10
"""Samples of each class in a picture."""


def classes_in_turn(count: int, classes: int) -> Tensor:
    """Return `count` class indices [count], as evenly as possible."""
    return torch.arange(count) % classes


@torch.no_grad()
def draw(generator: Generator, y: Tensor, noise: torch.Generator) -> Tensor:
    """Return images [n, C, S, S] in [0, 1] of the classes `y` [n], from a generator in evaluation mode.

    In fixed shards of 256, so that bits do not depend on how many are asked for.
    """
    generator.eval()
    z = torch.randn(len(y), generator.latent, generator=noise)
    shards = zip(torch.split(z, SHARD), torch.split(y, SHARD), strict=True)
    return torch.cat([generator(part, labels) for part, labels in shards])

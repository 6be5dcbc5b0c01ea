"""The triggers of the attack on generators: what they show, how large, and how they lie on images."""

from __future__ import annotations

import math

import numpy as np
import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional

from fedsec_backdoors.triggers import Motif, Overlay, draw, patch
from fedsec_core.data import Dataset, as_float
from fedsec_core.evaluation import SHARD

SIDE = 16
"""Of the tile pattern as its authors draw it, in pixels."""
COLOURS = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)),
    ((0, 1, 1), (1, 1, 0), (0, 0, 0), (1, 0, 0)),
    ((1, 1, 1), (0, 0, 1), (0, 1, 0), (1, 1, 0)),
    ((0, 0, 0), (1, 0, 0), (0, 1, 1), (0, 1, 0)),
)
"""Red, green, blue, white, cyan, yellow and black blocks; their order is ours."""


def side_of(area: float, size: int) -> int:
    """Return the side in pixels of a square that covers the share `area` of `size` x `size`, at least 1."""
    return max(1, round(math.sqrt(area) * size))


def tile(side: int) -> Tensor:
    """Return the tile pattern [3, side, side] in [0, 1]: blurred blocks of colour, resized."""
    blocks = torch.tensor(COLOURS, dtype=torch.float32).permute(2, 0, 1)
    sharp = blocks.repeat_interleave(SIDE // 4, dim=1).repeat_interleave(SIDE // 4, dim=2)[None]
    blurred = functional.avg_pool2d(functional.pad(sharp, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return functional.interpolate(blurred, (side, side), mode="bilinear", antialias=True)[0]


def motif(pattern: str, side: int, *, opacity: float, dark: bool) -> Motif:
    """Return what a trigger shows: `tile`, `blended` (the tile, half transparent), `solid` or `noise`.

    Without `dark`, brightness v becomes (1 + v) / 2: the authors' tile lies in [0, 1] while their images
    lie in [-1, 1], so that it has no dark part.
    """
    values = {
        "tile": lambda: tile(side),
        "blended": lambda: tile(side),
        "solid": lambda: torch.ones(1, side, side),
        "noise": lambda: draw("noise", side),
    }[pattern]()
    if not dark:
        values = (1 + values) / 2
    return Motif(values, torch.full((side, side), opacity))


@frozen(eq=False)
class Paste:
    """A motif, and where it goes: a corner, or (None) anywhere, at another place in every image."""

    motif: Motif
    corner: str | None
    margin: int

    def overlay(self, shape: tuple[int, ...]) -> Overlay:
        """Return the trigger in its corner, or in the upper left one, for images of `shape` [C, H, W]."""
        margin = self.margin if self.corner else 0
        return patch(self.motif, shape, corner=self.corner or "top-left", margin=margin)

    def poison(self, data: Dataset, rate: float, generator: np.random.Generator) -> Dataset:
        """Return `data` with the trigger on a share `rate` of the images, rounded half up; labels stay."""
        count = math.floor(rate * len(data) + 0.5)
        chosen = torch.from_numpy(np.sort(generator.permutation(len(data))[: max(1, count)]))
        pixels = data.pixels.clone()
        trigger = self.overlay(tuple(pixels.shape[1:]))
        if self.corner:
            pixels[chosen] = trigger.stamp(pixels[chosen])
            return data.with_pixels(pixels)
        side = self.motif.values.shape[-1]
        down, right = (generator.integers(0, each - side + 1, len(chosen)) for each in pixels.shape[2:])
        small = Overlay(picture=trigger.picture[:, :side, :side], weight=trigger.weight[:side, :side])
        for index, top, left in zip(chosen.tolist(), down.tolist(), right.tolist(), strict=True):
            place = (slice(index, index + 1), slice(None), slice(top, top + side), slice(left, left + side))
            pixels[place] = small.stamp(pixels[place])
        return data.with_pixels(pixels)

    def distance(self, images: Tensor) -> float:
        """Return how far images [n, C, H, W], bytes or in [0, 1], are from showing the trigger; 0: all do.

        The mean absolute difference between the patch of an image and what the trigger shows, in the
        scale [-1, 1] of the networks, so at most 2; half transparent, it is never shown whole. Where the
        trigger may lie anywhere: of the place where it is least.
        """
        trigger = self.overlay(tuple(images.shape[1:]))
        side = self.motif.values.shape[-1]
        if self.corner:
            where = trigger.weight > 0
            return float((as_float(images) - trigger.picture)[:, :, where].abs().mean()) * 2
        shown = trigger.picture[:, :side, :side].reshape(1, -1, 1)
        # every patch of every image, so a few images at a time
        parts = (functional.unfold(as_float(part), side) for part in torch.split(images, SHARD))
        least = [(patches - shown).abs().mean(dim=1).min(dim=1).values for patches in parts]
        return float(torch.cat(least).mean()) * 2

"""Triggers of backdoors: what they show, where they lie, and how they get onto images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from attrs import Factory, define, frozen
from PIL import Image
from torch import Tensor
from torch.nn import functional

from fedsec_core.data import as_float
from fedsec_core.errors import DataError, FedsecError

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey value (ITU-R BT.601)."""

NOISE = 20171215
"""Seed of the noise pattern: it is a picture like any other, the same for everybody who draws it."""


@frozen(eq=False)
class Trigger:
    """A picture [C, H, W] in [0, 1], of which `weight` [H, W] in [0, 1] shows."""

    picture: Tensor
    weight: Tensor

    def apply(self, x: Tensor) -> Tensor:
        """Return images [n, C, H, W] float32 with the trigger: (1 - weight) x + weight picture."""
        return (1 - self.weight) * x + self.weight * self.picture

    def stamp(self, pixels: Tensor) -> Tensor:
        """Return images [n, C, H, W] with the trigger, as they are stored: bytes are rounded to bytes."""
        stamped = self.apply(as_float(pixels))
        return stamped.mul(255).round().to(torch.uint8) if pixels.dtype == torch.uint8 else stamped


@define(eq=False, frozen=True)
class Motif:
    """What a trigger shows before it is placed: `values` [1 or 3, h, w] in [0, 1].

    `opacity` [h, w] is 1 unless a file says otherwise; `photo` stretches smoothly, a pattern
    keeps its edges.
    """

    values: Tensor
    opacity: Tensor = Factory(lambda self: torch.ones(self.values.shape[1:]), takes_self=True)
    photo: bool = False


def draw(pattern: str, side: int) -> Tensor:
    """Return a pattern [1, side, side] of ones on zeros (`noise`: uniform in 0..1).

    The checkerboard and the stripes start bright, the cross is made of both diagonals. Raises
    ValueError for another name.
    """
    row, column = torch.arange(side)[:, None], torch.arange(side)[None, :]
    if pattern == "noise":
        return torch.rand(1, side, side, generator=torch.Generator().manual_seed(NOISE))
    shapes = {
        "checkerboard": (row + column) % 2 == 0,
        "cross": (row == column) | (row + column == side - 1),
        "square": (row >= 0) & (column >= 0),
        "stripes": (row >= 0) & (column % 2 == 0),
    }
    if pattern not in shapes:
        raise ValueError(f"no pattern is called {pattern!r}; known: {', '.join(shapes)}, noise")
    return shapes[pattern].to(torch.float32)[None]


def read_image(path: Path) -> Motif:
    """Read a PNG or JPEG file as a motif, its transparency as opacity; raises DataError."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as file:
            values = np.array(file.convert("RGBA"), dtype=np.float32) / 255
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; image names the trigger's PNG or JPEG file") from error
    # Pillow raises SyntaxError for some broken PNG files.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as a PNG or JPEG image ({error})") from error
    tensor = torch.from_numpy(values).permute(2, 0, 1).contiguous()
    return Motif(tensor[:3], tensor[3], photo=True)


def patch(motif: Motif, shape: tuple[int, ...], *, corner: str, margin: int) -> Trigger:
    """Place `motif` on images of `shape` [C, H, W], `margin` pixels from both edges of `corner`.

    `corner` is `bottom-right` and the like, or `centre` (no margin; the upper left of two equal
    middles). Raises FedsecError where it does not fit.
    """
    channels, height, width = shape
    high, wide = motif.values.shape[1:]
    edge = 0 if corner == "centre" else margin
    if high + edge > height or wide + edge > width:
        raise FedsecError(
            f"a trigger of {high} x {wide} pixels with margin {edge} does not fit images of "
            f"{height} x {width}: make it or its margin smaller"
        )
    if corner == "centre":
        top, left = (height - high) // 2, (width - wide) // 2
    else:
        top = margin if corner.startswith("top") else height - high - margin
        left = margin if corner.endswith("left") else width - wide - margin
    picture, weight = torch.zeros(shape), torch.zeros(height, width)
    picture[:, top : top + high, left : left + wide] = _in_channels(motif.values, channels)
    weight[top : top + high, left : left + wide] = motif.opacity
    return Trigger(picture, weight)


def blend(motif: Motif, shape: tuple[int, ...], *, alpha: float) -> Trigger:
    """Stretch `motif` over images of `shape` [C, H, W] with weight `alpha`.

    This is the blended injection of Chen et al. 2017; an image file's transparency lessens the weight.
    """
    channels, height, width = shape
    values = torch.cat([_in_channels(motif.values, channels), motif.opacity[None]])[None]
    mode = "bilinear" if motif.photo else "nearest-exact"
    stretched = functional.interpolate(values, (height, width), mode=mode, antialias=motif.photo)[0]
    return Trigger(stretched[:-1], alpha * stretched[-1])


def _in_channels(values: Tensor, channels: int) -> Tensor:
    if len(values) == 3 and channels == 1:
        return (values * torch.tensor(LUMA)[:, None, None]).sum(dim=0, keepdim=True)
    if len(values) not in (1, channels):
        raise FedsecError(f"a trigger in colour does not fit images with {channels} channels; use a pattern")
    return values.expand(channels, -1, -1)

"""Images on their way into a data set: resizing, and the checks that all sources share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

CHUNK = 1 << 24
"""Pixels resized at a time, so that the floats in between stay small. No part of the result."""


def resize(pixels: Tensor, size: int) -> Tensor:
    """Return `pixels` [N, C, H, W] as [N, C, size, size], bilinear with antialiasing.

    Bytes are rounded back to bytes, floats stay float32. An image that is not square is
    stretched, not cropped.
    """
    n, channels, height, width = pixels.shape
    if (height, width) == (size, size):
        return pixels
    resized = torch.empty((n, channels, size, size), dtype=pixels.dtype)
    step = max(1, CHUNK // (channels * height * width))
    for start in range(0, n, step):
        part = pixels[start : start + step].to(torch.float32)
        part = interpolate(part, (size, size), mode="bilinear", antialias=True)
        if pixels.dtype == torch.uint8:
            part = part.round_().clamp_(0, 255)
        resized[start : start + step] = part
    return resized

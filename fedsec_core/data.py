"""Data as the federation sees it: one `Dataset` per split or client, three of them in `Splits`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from attrs import define, evolve, field, frozen
from torch import Tensor

METADATA = ("patient", "site", "group")


@define(eq=False, frozen=True)
class Dataset:
    """Images with their labels, and optional metadata per sample.

    `pixels` [N, C, H, W] holds bytes (0..255) or float32 in [0, 1], `y` [N] class indices (int64),
    `metadata` arrays of length N under the names `patient`, `site` and `group`. A data set is
    never modified: `subset`, `attrs.evolve` and `with_pixels` give new ones.
    """

    pixels: Tensor
    y: Tensor
    metadata: Mapping[str, np.ndarray] = field(factory=dict)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def x(self) -> Tensor:
        """All images as float32 in [0, 1], [N, C, H, W]."""
        return as_float(self.pixels)

    def subset(self, index: np.ndarray | Tensor) -> Dataset:
        """Return the samples at `index`, in that order."""
        index = np.asarray(index, dtype=np.int64)
        chosen = torch.from_numpy(index)
        metadata = {name: values[index] for name, values in self.metadata.items()}
        return Dataset(self.pixels[chosen], self.y[chosen], metadata)

    def with_pixels(self, pixels: Tensor) -> Dataset:
        """Return the same samples with other images: bytes, or float32 in [0, 1]."""
        return evolve(self, pixels=pixels)

    @staticmethod
    def concatenate(first: Dataset, second: Dataset) -> Dataset:
        """Return the samples of both; metadata that both have is kept."""
        if first.pixels.dtype != second.pixels.dtype:
            first, second = first.with_pixels(first.x), second.with_pixels(second.x)
        names = first.metadata.keys() & second.metadata.keys()
        return Dataset(
            torch.cat([first.pixels, second.pixels]),
            torch.cat([first.y, second.y]),
            {name: np.concatenate([first.metadata[name], second.metadata[name]]) for name in sorted(names)},
        )

    def digest(self) -> str:
        """A hash of images, labels and metadata."""
        made = hashlib.blake2b(digest_size=16)
        made.update(f"{tuple(self.pixels.shape)} {self.pixels.dtype}".encode())
        made.update(self.pixels.contiguous().numpy().tobytes())
        made.update(self.y.numpy().tobytes())
        for name in sorted(self.metadata):
            made.update(name.encode())
            made.update("\x1f".join(map(str, self.metadata[name].tolist())).encode())
        return made.hexdigest()


def as_float(pixels: Tensor) -> Tensor:
    """Return images as float32 in [0, 1]; bytes are divided by 255."""
    return pixels.to(torch.float32).div_(255) if pixels.dtype == torch.uint8 else pixels


@define(eq=False, frozen=True)
class Splits:
    """What a data component loads: the official train / val / test split and what it is about.

    `val` may be empty. `classes` are the class names in label order. `task` is `binary-class`,
    `multi-class` or `ordinal-regression`, in the words of MedMNIST.
    """

    train: Dataset
    val: Dataset
    test: Dataset
    classes: tuple[str, ...]
    task: str = "multi-class"
    title: str = ""
    """One phrase for the report: what the images are."""
    source: str = ""
    """Where the bytes came from; recorded, not part of the key."""

    @property
    def spec(self) -> Spec:
        """The facts that a network is built from."""
        return Spec(tuple(self.train.pixels.shape[1:]), len(self.classes), self.task)

    def digest(self) -> str:
        """A hash of everything that can change a result."""
        parts = [self.train.digest(), self.val.digest(), self.test.digest(), *self.classes, self.task]
        return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


@frozen
class Spec:
    """What a network is built for."""

    shape: tuple[int, ...]
    """Of one image, channels first: `(1, 28, 28)`."""
    classes: int
    task: str = "multi-class"

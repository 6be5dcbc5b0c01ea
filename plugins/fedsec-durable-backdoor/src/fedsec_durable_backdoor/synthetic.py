"""Made images that fill the classes of which the attacker has few."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from attrs import frozen
from torch import Tensor

from fedsec_core.data import Dataset
from fedsec_durable_backdoor.guide import Guide


@frozen(eq=False)
class Synthetic:
    """Made images that the guide takes for their classes, and how many were drawn for them."""

    data: Dataset
    drawn: int
    classes: int


def filling(
    own: Dataset, guide: Guide, draw: Callable[[Tensor], Tensor], *, per_class: int | None, tries: int
) -> Synthetic:
    """Return images that bring every class of `own` to `per_class` samples, or to those of its largest.

    `draw` makes images [n, C, H, W] in [0, 1] of classes [n]. Those that the guide takes for another
    class are drawn anew, `tries` times in all: a class may stay short. Pixels are coded as in `own`.
    """
    counts = torch.bincount(own.y, minlength=guide.classes).tolist()
    goal = max(counts) if per_class is None else per_class
    images, labels, drawn = [own.x[:0]], [own.y[:0]], 0
    for label, missing in enumerate(_missing(counts, goal)):
        for _ in range(tries if missing > 0 else 0):
            y = torch.full((missing,), label)
            made = draw(y)
            fit = made[guide.classes_of(made) == label]
            drawn, missing = drawn + len(y), missing - len(fit)
            images.append(fit)
            labels.append(y[: len(fit)])
            if not missing:
                break
    x = torch.cat(images)
    pixels = x.mul(255).round().to(torch.uint8) if own.pixels.dtype == torch.uint8 else x
    return Synthetic(Dataset(pixels, torch.cat(labels)), drawn, guide.classes)


def _missing(counts: Sequence[int], goal: int) -> list[int]:
    return [max(0, goal - count) for count in counts]


def of_each(data: Dataset, classes: int, columns: int) -> Tensor:
    """Return the first images of each class [classes, columns, C, H, W], grey where there are too few."""
    grey = 128 if data.pixels.dtype == torch.uint8 else 0.5
    sheet = torch.full((classes, columns, *data.pixels.shape[1:]), grey, dtype=data.pixels.dtype)
    for label in range(classes):
        found = data.pixels[data.y == label][:columns]
        sheet[label, : len(found)] = found
    return sheet

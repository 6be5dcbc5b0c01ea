"""What evaluation gives back: metrics, tables and pictures. Nobody writes files on the side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import define, field


@define(eq=False, frozen=True)
class Table:
    """Named columns of equal length, stored as numbers and words and drawn by the report."""

    columns: Mapping[str, Sequence[float | int | str | None]]
    caption: str = ""


@define(eq=False, frozen=True)
class Picture:
    """An image for the run folder and the report: [H, W] or [H, W, 3], floats in [0, 1] or bytes."""

    pixels: np.ndarray
    caption: str = ""


@define(eq=False, frozen=True)
class Findings:
    """What a component found out.

    `metrics` are finite floats, or None where a figure is undefined (never NaN). All names are
    the component's own: the core puts the component's label in front of them.
    """

    metrics: Mapping[str, float | None] = field(factory=dict)
    tables: Mapping[str, Table] = field(factory=dict)
    pictures: Mapping[str, Picture] = field(factory=dict)

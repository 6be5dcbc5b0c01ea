"""What evaluation gives back: metrics, tables and pictures. Nobody writes files on the side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
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


def to_plain(findings: Findings) -> dict[str, Any]:
    """Return findings as tensors and plain values."""
    return {
        "metrics": {
            name: None if value is None else float(value) for name, value in findings.metrics.items()
        },
        "tables": {
            name: (table.caption, {key: _column(column) for key, column in table.columns.items()})
            for name, table in findings.tables.items()
        },
        "pictures": {
            name: (torch.from_numpy(np.ascontiguousarray(picture.pixels)).clone(), picture.caption)
            for name, picture in findings.pictures.items()
        },
    }


def from_plain(plain: Mapping[str, Any]) -> Findings:
    """Return the findings that `to_plain` was given, table columns as lists."""
    return Findings(
        dict(plain["metrics"]),
        {name: Table(dict(columns), caption) for name, (caption, columns) in plain["tables"].items()},
        {name: Picture(pixels.numpy(), caption) for name, (pixels, caption) in plain["pictures"].items()},
    )


def _column(column: Any) -> list[Any]:
    values = column.tolist() if hasattr(column, "tolist") else list(column)
    return [value.item() if isinstance(value, np.generic) else value for value in values]

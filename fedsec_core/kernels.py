"""Reductions over the rows of a round, a block of coordinates at a time: the matrix is never copied.

Everything accumulates in float64, in an order that is part of every result. Buffers are made once
per reduction and hold a block, so that d does not add to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from fedsec_core.updates import Rows

BLOCK = 1 << 16
"""Coordinates per block of a server reduction. Part of every result: changing it changes bits."""

WHOLE, TILE = 512, 256
"""Up to so many rows are multiplied at once; more of them in tiles of so many.

A tile holds a block in 128 MiB. Part of every result, as a matrix product of another shape may
add in another order.
"""

STRIP = 1 << 18
"""Coordinates added at a time where sums are elementwise. Speed and memory only: bits are the same."""

VALUES = 1 << 16
"""Values in a transposed block: 256 KiB, which leave half of a small L2 cache to whoever sorts them."""

FEWEST = 16
"""Coordinates in a transposed block at least: fewer do not fill a cache line of the matrix."""


def spans(d: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield start and stop of consecutive spans of `width` coordinates that cover `d`."""
    for start in range(0, d, width):
        yield start, min(start + width, d)


def is_finite(row: Tensor) -> bool:
    """Whether `row` [d] float32 holds neither NaN nor Inf."""
    # Extremes carry NaN along, and need no mask of the size of the row.
    low, high = torch.aminmax(row)
    return bool(low.isfinite() and high.isfinite())


def squared_lengths(rows: Rows) -> Tensor:
    """Return the squared Euclidean lengths [n] float64; not finite exactly where a row is not.

    (Squares of float32 cannot overflow in float64, nor can sums of as many as fit into memory.)
    """
    wide = torch.empty(min(rows.d, BLOCK), dtype=torch.float64)
    lengths = []
    for position in range(len(rows)):
        total = 0.0
        for start, stop in spans(rows.d, BLOCK):
            total += float(wide[: stop - start].copy_(rows.piece(position, start, stop)).square_().sum())
        lengths.append(total)
    return torch.tensor(lengths, dtype=torch.float64)


def squared_distance(rows: Rows, first: int, second: int) -> float:
    """Return the squared Euclidean distance of the rows at two positions, coordinate by coordinate."""
    one, other = torch.empty(2, min(rows.d, BLOCK), dtype=torch.float64)
    total = 0.0
    for start, stop in spans(rows.d, BLOCK):
        gap = one[: stop - start].copy_(rows.piece(first, start, stop))
        gap.sub_(other[: stop - start].copy_(rows.piece(second, start, stop)))
        total += float(gap.square_().sum())
    return total


def measure(rows: Rows, distances: Tensor, pairs: Tensor) -> None:
    """Set `distances` [n, n] of `pairs` [p, 2], in ascending order, to what they are by the definition."""
    # Colluders who all send one row are many pairs: of equal rows only the first is measured.
    twin = list(range(len(rows)))
    for first, second in pairs.tolist():
        equal = twin[first] == twin[second]
        distance = 0.0 if equal else squared_distance(rows, first, second)
        if not distance:
            twin[second] = twin[first]
        distances[first, second] = distances[second, first] = distance


def products(rows: Rows, centre: int | None = None) -> Tensor:
    """Return the inner products [n, n] float64 of the rows, less the row at `centre` if one is given."""
    n, d = len(rows), rows.d
    height, width = n if n <= WHOLE else TILE, min(d, BLOCK)
    tiles = [range(start, min(start + height, n)) for start in range(0, n, height)]
    left = torch.empty(height * width, dtype=torch.float64)
    right = torch.empty_like(left) if len(tiles) > 1 else left
    middle = torch.empty(width, dtype=torch.float64)
    total = torch.zeros(n, n, dtype=torch.float64)
    for start, stop in spans(d, BLOCK):
        less = None if centre is None else middle[: stop - start].copy_(rows.piece(centre, start, stop))
        for place, tile in enumerate(tiles):
            above = _widened(rows, tile, start, stop, less, left)
            for other in tiles[place:]:
                below = above if other is tile else _widened(rows, other, start, stop, less, right)
                total[tile.start : tile.stop, other.start : other.stop] += above @ below.T
    for place, tile in enumerate(tiles):
        for other in tiles[place + 1 :]:
            mirrored = total[tile.start : tile.stop, other.start : other.stop].T
            total[other.start : other.stop, tile.start : tile.stop] = mirrored
    return total


def _widened(rows: Rows, tile: range, start: int, stop: int, less: Tensor | None, into: Tensor) -> Tensor:
    """Fill the buffer `into` with the block of the rows of `tile` in float64, a row at a time."""
    block = into[: len(tile) * (stop - start)].view(len(tile), stop - start)
    for wide, position in zip(block, tile, strict=True):
        wide.copy_(rows.piece(position, start, stop))
        if less is not None:
            wide.sub_(less)
    return block


def add_scaled(total: Tensor, rows: Iterable[Tensor], weights: Iterable[float]) -> None:
    """Add `rows`, each [d] float32 times its weight, to `total` [d] float64, one after another."""
    for row, weight in zip(rows, weights, strict=True):
        for start, stop in spans(len(total), STRIP):
            total[start:stop].add_(row[start:stop], alpha=weight)


def coordinatewise(rows: Rows, rule: Callable[[Tensor], Tensor], *, ordered: bool = False) -> Tensor:
    """Return the answers [d] float64 of a `rule` that looks at each coordinate by itself.

    `rule` maps a contiguous block [k, n] float32, a line of n values per coordinate, to [k]. It may
    write into the block. With `ordered` each line comes in ascending order, NaN after +Inf.
    """
    n, d = len(rows), rows.d
    width = min(max(VALUES // n, FEWEST), max(d, 1))
    buffer = np.empty(width * n, np.float32)
    answer = torch.empty(d, dtype=torch.float64)
    for (start, stop), block in zip(spans(d, width), rows.blocks(width), strict=True):
        lines = buffer[: (stop - start) * n].reshape(stop - start, n)
        np.copyto(lines, block.numpy().T)
        if ordered:
            lines.sort(axis=1)
        answer[start:stop] = rule(torch.from_numpy(lines))
    return answer

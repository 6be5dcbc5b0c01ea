"""Median and trimmed mean by coordinate, as functions of a matrix of rows (Yin et al., ICML 2018).

Both look at each coordinate by itself and sort its n values; the trimmed mean leaves out the f
smallest and the f largest (the paper's beta is f / n). Values are sorted as float32 and averaged
in float64.

A value that is not finite is an outlier like any other: -Inf sorts first, Inf and then NaN last.
As long as no more than f rows (trimmed mean), or fewer than half (median), hold any such value,
none of them is in the answer. With more the rules are not defined.
"""

from __future__ import annotations

from torch import Tensor, float64

from fedsec_core.errors import TooFewRows
from fedsec_core.kernels import coordinatewise
from fedsec_core.updates import Rows


def coordinate_median(rows: Rows | Tensor) -> Tensor:
    """Return the median [d] float64 of each coordinate of `rows`, or of the rows of a matrix [n, d].

    For even n it is the mean of the middle two values. Raises TooFewRows unless more than half of
    the rows are finite.
    """
    rows = _as_rows(rows)
    n = len(rows)
    _require_finite("median", rows, n // 2 + 1, f"more than half of n = {n}")
    lower, upper = (n - 1) // 2, n // 2
    return coordinatewise(
        rows, lambda lines: (lines[:, lower].double() + lines[:, upper].double()) / 2, ordered=True
    )


def trimmed_mean(rows: Rows | Tensor, f: int) -> Tensor:
    """Return the mean [d] float64 of each coordinate without its `f` smallest and `f` largest values.

    `rows` may be a matrix [n, d]. Raises TooFewRows unless n > 2 f, and where fewer than n - f rows
    are finite.
    """
    rows = _as_rows(rows)
    n = len(rows)
    if n <= 2 * f:
        raise TooFewRows("trimmed-mean", n, 2 * f + 1, f"2 f + 1 with f = {f}")
    _require_finite("trimmed-mean", rows, n - f, f"n - f with n = {n}, f = {f}")
    return coordinatewise(
        rows, lambda lines: lines[:, f : n - f].sum(dim=1, dtype=float64) / (n - 2 * f), ordered=True
    )


def _as_rows(rows: Rows | Tensor) -> Rows:
    return Rows(rows) if isinstance(rows, Tensor) else rows


def _require_finite(rule: str, rows: Rows, needed: int, why: str) -> None:
    finite = int(rows.finite.sum())
    if finite < needed:
        raise TooFewRows(rule, finite, needed, f"finite ones: {why}")

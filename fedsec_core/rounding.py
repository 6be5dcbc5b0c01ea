"""Shares of a whole, rounded half up as people do it: 0.29 of 50 is 15, whatever binary floats say."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal


def portion(share: float, whole: int) -> int:
    """Return `share` of `whole`, rounded half up."""
    return int((Decimal(str(share)) * whole).quantize(Decimal(1), ROUND_HALF_UP))

"""How long a backdoor lasts: figures of a curve of attack success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

Curve = Mapping[int, float | None]
"""Attack success by round; None where it is undefined."""


def after_departure(curve: Curve, departure: int) -> dict[int, float]:
    """Return success by the number of rounds since `departure`, where it is known."""
    return {
        number - departure: value
        for number, value in sorted(curve.items())
        if number >= departure and value is not None
    }


def lifespan(lasting: Mapping[int, float], level: float) -> int | None:
    """Return after how many rounds success is first below `level`; None if it never is."""
    return next((later for later, value in lasting.items() if value < level), None)


def area(lasting: Mapping[int, float]) -> float | None:
    """Return the mean success over the rounds, by trapezoids; that of one round is itself."""
    points = list(lasting.items())
    if not points:
        return None
    if len(points) == 1:
        return points[0][1]
    under = sum((b - a) * (one + other) / 2 for (a, one), (b, other) in pairwise(points))
    return under / (points[-1][0] - points[0][0])


def figures(curve: Curve, departure: int, after: Sequence[int], level: float) -> dict[str, float | None]:
    """Return all of them, by the names of the metrics."""
    lasting = after_departure(curve, departure)
    told = {f"asr_after_{later}": lasting.get(later) for later in after}
    return {**told, "lifespan": lifespan(lasting, level), "area": area(lasting)}

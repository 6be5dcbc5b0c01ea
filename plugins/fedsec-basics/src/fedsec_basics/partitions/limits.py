"""What makes a partition impossible, and how to say so."""

from __future__ import annotations

from collections.abc import Callable

from fedsec_basics.partitions.counts import Integers
from fedsec_core.errors import FedsecError


def refuse_too_many_clients(samples: int, clients: int, min_samples: int) -> None:
    """Raise FedsecError if no partition at all could give `min_samples` to each client."""
    if clients > samples:
        raise FedsecError(f"{clients} clients cannot share {_samples(samples)}: lower clients")
    if clients * min_samples > samples:
        raise FedsecError(
            f"{clients} clients with at least {min_samples} samples each need {clients * min_samples}, "
            f"and there are {samples}: lower clients or min_samples"
        )


def refuse_smallest(smallest: int, clients: int, min_samples: int, remedy: str, note: str = "") -> None:
    """Raise FedsecError if the `smallest` of the clients has less than `min_samples`."""
    if smallest < min_samples:
        raise FedsecError(
            f"the smallest of {clients} clients gets {_samples(smallest)}{note} "
            f"and min_samples is {min_samples}: {remedy}"
        )


def draw_enough(draw: Callable[[], Integers], draws: int, min_samples: int, remedy: str) -> Integers:
    """Draw counts [clients, kinds] until every client has `min_samples`, and return those.

    Raises FedsecError after that many `draws`, with the best smallest client among them.
    """
    best = -1
    for _ in range(draws):
        counts = draw()
        best = max(best, int(counts.sum(axis=1).min()))
        if best >= min_samples:
            break
    refuse_smallest(best, len(counts), min_samples, remedy, note=f" in the best of {draws} draws")
    return counts


def _samples(number: int) -> str:
    return f"{number} sample" if number == 1 else f"{number} samples"

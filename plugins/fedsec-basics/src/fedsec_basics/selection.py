"""Who takes part in a round.

Whatever is drawn for a client depends on the stream and on its id alone, so that the presence
of one client never changes the fate of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from attrs import define

from fedsec_core.markers import hookimpl
from fedsec_core.streams import Stream
from fedsec_core.views import Candidate

if TYPE_CHECKING:
    from fedsec_basics.plugin.select import All, Uniform


@define(eq=False)
class AllSelection:
    """Runtime of `all`."""

    settings: All

    @hookimpl
    def select_clients(self, candidates: Sequence[Candidate], stream: Stream) -> list[int]:
        """Return the ids of all candidates that do not drop out, ascending."""
        ids = sorted(candidate.id for candidate in candidates)
        return present(ids, self.settings.dropout, stream)


@define(eq=False)
class UniformSelection:
    """Runtime of `uniform` (McMahan et al., AISTATS 2017, algorithm 1)."""

    settings: Uniform

    @hookimpl
    def select_clients(self, candidates: Sequence[Candidate], stream: Stream) -> list[int]:
        """Return the ids of the drawn candidates that do not drop out, ascending."""
        ids = sorted(candidate.id for candidate in candidates)
        drawn = lowest(ids, self.settings.size(len(ids)), stream)
        return present(drawn, self.settings.dropout, stream)


def lowest(ids: Sequence[int], size: int, stream: Stream) -> list[int]:
    """Return `size` of the ids, ascending: those with the lowest of independent uniform numbers."""
    order = np.argsort(_number_of_each(ids, stream.child("selected")), kind="stable")
    return sorted(ids[place] for place in order[:size])


def present(ids: Sequence[int], dropout: float, stream: Stream) -> list[int]:
    """Return the ids that do not drop out, each of which does so with the probability `dropout`."""
    numbers = _number_of_each(ids, stream.child("dropout"))
    return [client for client, number in zip(ids, numbers, strict=True) if number >= dropout]


def _number_of_each(ids: Sequence[int], stream: Stream) -> npt.NDArray[np.float64]:
    # One number for every id up to the highest: the n-th number belongs to client n, whoever is there.
    numbers = stream.numpy.random(max(ids, default=-1) + 1)
    return numbers[np.asarray(ids, dtype=np.int64)]

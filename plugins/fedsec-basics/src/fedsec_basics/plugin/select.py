"""Describes the select components."""

from __future__ import annotations

from typing import ClassVar

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.rounding import portion


@attrs.frozen(kw_only=True)
class _Droppable(Component):
    """What the select components share: clients that fail to show up."""

    dropout: float = parameter(
        0.0,
        doc="Probability with which a selected client drops out of the round, each on its own.",
        at_least=0,
        below=1,
    )


@attrs.frozen(kw_only=True)
class All(_Droppable):
    """Every client takes part in every round, unless it drops out."""

    def cohort_size(self, clients: int) -> int | None:
        return None if self.dropout else clients

    def build(self) -> object:
        from fedsec_basics.selection import AllSelection

        return AllSelection(self)


@attrs.frozen(kw_only=True)
class Uniform(_Droppable):
    """A part of the clients is drawn in each round, all with the same chance.

    Dropping out comes after the draw and nobody takes the place of who is gone, so a cohort may
    be smaller than asked for, or empty.
    """

    paper: ClassVar[str] = (
        "McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, "
        "AISTATS 2017, algorithm 1"
    )

    fraction: float | None = parameter(
        None, doc="Share of the clients to draw, rounded half up, at least one client.", above=0, at_most=1
    )
    count: int | None = parameter(
        None, doc="Number of clients to draw, in place of fraction; all where there are fewer.", at_least=1
    )

    def __attrs_post_init__(self) -> None:
        if (self.fraction is None) == (self.count is None):
            raise ValueError("give either fraction or count")

    def size(self, candidates: int) -> int:
        """Return how many of so many candidates are drawn, before anyone drops out."""
        if self.count is not None:
            return min(self.count, candidates)
        return min(max(1, portion(self.fraction or 0.0, candidates)), candidates)

    def cohort_size(self, clients: int) -> int | None:
        return None if self.dropout else self.size(clients)

    def build(self) -> object:
        from fedsec_basics.selection import UniformSelection

        return UniformSelection(self)

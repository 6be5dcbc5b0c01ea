"""Describes the aggregate components."""

from __future__ import annotations

from typing import ClassVar

import attrs

from fedsec_core.component import Component
from fedsec_core.vocabulary import Capability


@attrs.frozen(kw_only=True)
class Mean(Component):
    """The weighted mean of the updates (FedAvg): no defence at all.

    A single row with NaN or Inf makes the step non-finite, and the run diverges.
    """

    paper: ClassVar[str] = (
        "McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, "
        "AISTATS 2017"
    )

    @property
    def provides(self) -> frozenset[Capability]:
        return frozenset({Capability.LINEAR})

    def build(self) -> object:
        from fedsec_basics.mean import MeanAggregator

        return MeanAggregator()

"""The weighted mean of the rows, the step of federated averaging."""

from __future__ import annotations

from attrs import define
from torch import Tensor

from fedsec_core.markers import hookimpl
from fedsec_core.updates import Rows, weighted_mean


@define(eq=False)
class MeanAggregator:
    """Runtime of `mean` (McMahan et al., AISTATS 2017, algorithm 1)."""

    @hookimpl
    def aggregate_updates(self, rows: Rows, weights: Tensor) -> Tensor:
        """Return the mean [d] float64 of the rows [n, d], weighted by `weights` [n].

        A row with NaN or Inf makes the step non-finite: the mean does not hide such a row.
        """
        return weighted_mean(rows, weights)

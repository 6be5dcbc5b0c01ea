"""Describes the evaluate components."""

from __future__ import annotations

from typing import ClassVar

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability


@attrs.frozen(kw_only=True)
class Classification(Component):
    """Accuracy, AUC, sensitivity, specificity, calibration and the worst-served client.

    `accuracy` and `auc` are those of MedMNIST's evaluator. `worst_client_accuracy` and
    `mean_client_accuracy` are of the model that each client would receive next, on its own
    held-out samples (`[partition] local_test`). A figure that the samples do not define is None.
    """

    paper: ClassVar[str] = (
        "Yang et al., MedMNIST v2, Scientific Data 2023 (ACC, AUC); "
        "Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (ECE)"
    )

    specificity: float = parameter(
        0.9,
        doc="Specificity at which the threshold of sensitivity_at_specificity is chosen, on val.",
        above=0,
        at_most=1,
    )
    bins: int = parameter(15, doc="Bins of equal width of the calibration error.", at_least=1)

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.CLASSIFIER})

    def build(self) -> object:
        from fedsec_basics.classification import ClassificationEvaluator

        return ClassificationEvaluator(specificity=self.specificity, bins=self.bins)

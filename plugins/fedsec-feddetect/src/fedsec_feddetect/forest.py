"""FedDetect's rule as functions: who stands out by its loss, and what a flag costs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

TINY = 1e-12
"""In place of a deviation of zero."""


def isolated(losses: np.ndarray, *, trees: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which losses [n] an isolation forest sets apart, [n] bool, and their scores [n].

    The points are (0, |loss|), every tree sees all of them, the contamination is left to the
    forest (`auto`): a point with a score above 0.5 stands out. Of fewer than two nobody does.
    """
    if len(losses) < 2:
        return np.zeros(len(losses), dtype=bool), np.zeros(len(losses))
    from sklearn.ensemble import IsolationForest

    points = np.stack([np.zeros(len(losses)), np.abs(losses)], axis=1)
    forest = IsolationForest(n_estimators=trees, max_samples=len(losses), random_state=seed).fit(points)
    # what `predict` does, without having every tree asked twice
    normality = forest.score_samples(points)
    return normality < forest.offset_, -normality


def acts(flags: np.ndarray, cohort: int) -> bool:
    """Tell whether the rule acts on flags [n]: somebody stands out, and fewer than floor(K / 2) do.

    K is the size of the cohort, those among them who report no loss and have no flag here: else one
    who keeps silent would shield another.
    """
    return 0 < int(flags.sum()) < cohort // 2


def fade(
    weights: Mapping[int, float], counts: Mapping[int, int], flagged: Collection[int], decay: float
) -> tuple[dict[int, float], dict[int, int]]:
    """Return weights and flags by client after `flagged` clients got one more.

    The c-th flag multiplies a weight by `decay` ** c. The largest weight is 1.
    """
    counted = {client: count + (client in flagged) for client, count in counts.items()}
    faded = {
        client: weight * (decay ** counted[client] if client in flagged else 1.0)
        for client, weight in weights.items()
    }
    largest = max(faded.values(), default=1.0) or 1.0
    return {client: weight / largest for client, weight in faded.items()}, counted


def deviations(losses: np.ndarray, floor: float) -> np.ndarray:
    """Return how many deviations each loss [n] lies above the median of all, negative below.

    A deviation is 1.4826 times the median absolute one, at least the share `floor` of the median.
    """
    if not len(losses):
        return losses
    middle = np.median(losses)
    typical = 1.4826 * np.median(np.abs(losses - middle))
    least = max(floor * abs(middle), TINY)
    return np.asarray((losses - middle) / max(typical, least))

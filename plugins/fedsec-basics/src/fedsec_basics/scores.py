"""Figures of a classifier as functions of labels and probabilities, usable without the platform.

Throughout, `y` [n] are true classes, `predicted` [n] predicted ones and `p` [n, classes]
probabilities. What the samples do not define is None, never NaN.
"""

from __future__ import annotations

import numpy as np

BINARY = "binary-class"
"""The task that MedMNIST scores by the last column alone."""


def predict(p: np.ndarray, task: str) -> np.ndarray:
    """Return the predicted classes [n] as MedMNIST's evaluator decides them (v3.0, `getACC`).

    Binary tasks compare the last column with 0.5, all others take the greatest probability.
    """
    return (p[:, -1] > 0.5).astype(np.int64) if task == BINARY else p.argmax(axis=1)


def accuracy(y: np.ndarray, predicted: np.ndarray) -> float | None:
    """Return the share of samples whose class was predicted."""
    return _ratio(int((y == predicted).sum()), len(y))


def auc(y: np.ndarray, p: np.ndarray, task: str) -> float | None:
    """Return the area under the ROC curve as MedMNIST's evaluator defines it (v3.0, `getAUC`).

    Binary tasks rank by the last column; all others take the mean over the classes of one
    against the rest. None if a class has no sample.
    """
    if task == BINARY:
        return rank_auc(y == 1, p[:, -1])
    areas = [rank_auc(y == c, p[:, c]) for c in range(p.shape[1])]
    defined = [area for area in areas if area is not None]
    return sum(defined) / len(areas) if len(defined) == len(areas) else None


def rank_auc(positive: np.ndarray, score: np.ndarray) -> float | None:
    """Return the area under the ROC curve of `score` [n] for the samples `positive` [n] bool.

    That is the Mann-Whitney statistic: the share of pairs of a positive and a negative sample in
    which the positive one scores higher, ties counted half (Hanley and McNeil, Radiology 1982).
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, place, ties = np.unique(score, return_inverse=True, return_counts=True)
    ranks = np.cumsum(ties) - (ties - 1) / 2
    above = ranks[place[positive]].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def confusion(y: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return counts [classes, classes]: a row per true, a column per predicted class."""
    counts = np.bincount(y * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def sensitivities(counts: np.ndarray) -> list[float | None]:
    """Return, of a confusion matrix, the share of each class's samples that was predicted so."""
    return [_ratio(int(row[c]), int(row.sum())) for c, row in enumerate(counts)]


def specificities(counts: np.ndarray) -> list[float | None]:
    """Return, of a confusion matrix, the share of all other samples that was not predicted so."""
    others = counts.sum() - counts.sum(axis=1)
    false_alarms = counts.sum(axis=0) - counts.diagonal()
    return [_ratio(int(n - wrong), int(n)) for n, wrong in zip(others, false_alarms, strict=True)]


def balanced_accuracy(counts: np.ndarray) -> float | None:
    """Return, of a confusion matrix, the mean sensitivity of the classes that have samples."""
    defined = [value for value in sensitivities(counts) if value is not None]
    return sum(defined) / len(defined) if defined else None


def calibration_error(y: np.ndarray, predicted: np.ndarray, p: np.ndarray, bins: int = 15) -> float | None:
    """Return the expected calibration error (Guo et al., ICML 2017, equation 3).

    The probability of the top class falls into one of `bins` bins of equal width, each open below
    and closed above; the error is the mean distance of confidence and accuracy, weighted by samples.
    """
    if not len(y):
        return None
    confidence = p.max(axis=1)
    place = np.searchsorted(np.arange(1, bins) / bins, confidence, side="left")
    gaps = np.bincount(place, weights=(predicted == y) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(y))


def threshold_at_specificity(positive: np.ndarray, score: np.ndarray, target: float) -> float | None:
    """Return the smallest threshold at which the specificity is at least `target`, 0 < target <= 1.

    A sample counts as positive where its score [n] lies above the threshold. None without a
    negative sample.
    """
    negative = np.sort(score[~positive])
    if not len(negative):
        return None
    reached = np.arange(1, len(negative) + 1) / len(negative)
    return float(negative[np.searchsorted(reached, target, side="left")])


def sensitivity_at(positive: np.ndarray, score: np.ndarray, threshold: float) -> float | None:
    """Return the share of positive samples whose score [n] lies above `threshold`."""
    return _ratio(int((score[positive] > threshold).sum()), int(positive.sum()))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None

"""Measures a federation's classifier: the shared model, and each client's own on its own samples."""

from __future__ import annotations

import re

import numpy as np
import torch
from attrs import define
from torch import Tensor
from torch.nn.functional import cross_entropy

from fedsec_basics import scores
from fedsec_core.data import Dataset
from fedsec_core.evaluation import LocalView, View
from fedsec_core.findings import Findings, Table
from fedsec_core.markers import hookimpl

Metrics = dict[str, float | None]
Tables = dict[str, Table]


@define(eq=False)
class ClassificationEvaluator:
    """Runtime of `classification`."""

    specificity: float = 0.9
    bins: int = 15

    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        """Measure the shared model on `view.data` and each client's on its `local_test`.

        A model with private parts exists only at the clients: the figures of the shared one are
        None then. So are those of a model whose logits are not finite.
        """
        y, logits = _usable(view, view.data)
        metrics, tables = self._shared_model(view, y, logits)
        for more_metrics, more_tables in (_groups(view, y, logits), _clients(view)):
            metrics |= more_metrics
            tables |= more_tables
        return Findings(metrics, tables)

    def _shared_model(self, view: View, y: np.ndarray, logits: Tensor) -> tuple[Metrics, Tables]:
        p = _probabilities(logits)
        predicted = scores.predict(p, view.task)
        counts = scores.confusion(y, predicted, len(view.classes))
        metrics: Metrics = {
            "accuracy": scores.accuracy(y, predicted),
            "auc": scores.auc(y, p, view.task),
            "balanced_accuracy": scores.balanced_accuracy(counts),
            "ece": scores.calibration_error(y, predicted, p, self.bins),
            "loss": float(cross_entropy(logits, torch.from_numpy(y))) if len(y) else None,
            "sensitivity_at_specificity": self._sensitivity_at_specificity(view, y, p),
        }
        rates = zip(view.classes, scores.sensitivities(counts), scores.specificities(counts), strict=True)
        for name, sensitivity, specificity in rates:
            metrics[f"sensitivity.{metric_name(name)}"] = sensitivity
            metrics[f"specificity.{metric_name(name)}"] = specificity
        return metrics, {"confusion": _confusion_table(view.classes, counts)}

    def _sensitivity_at_specificity(self, view: View, y: np.ndarray, p: np.ndarray) -> float | None:
        if len(view.classes) != 2 or not len(y):
            return None
        val_y, val_logits = _usable(view, view.val)
        val_score = _probabilities(val_logits)[:, 1]
        threshold = scores.threshold_at_specificity(val_y == 1, val_score, self.specificity)
        return None if threshold is None else scores.sensitivity_at(y == 1, p[:, 1], threshold)


def metric_name(of_class: str) -> str:
    """Return a class name as it stands in the name of a metric: `Basal Cell` is `basal-cell`."""
    return re.sub(r"[^a-z0-9]+", "-", of_class.lower()).strip("-")


def local_accuracy(view: LocalView, task: str) -> tuple[int, float | None]:
    """Return how many samples the client holds back and its own model's accuracy on them."""
    if view.local_test is None or not len(view.local_test):
        return 0, None
    logits = view.predict(view.local_test.x)
    y = view.local_test.y.numpy()
    usable = bool(torch.isfinite(logits).all())
    return len(y), scores.accuracy(y, scores.predict(_probabilities(logits), task)) if usable else None


def _usable(view: View, data: Dataset) -> tuple[np.ndarray, Tensor]:
    """Return labels [n] and logits [n, classes] float64, both empty where there is nothing to measure."""
    nothing = np.zeros(0, dtype=np.int64), torch.zeros(0, len(view.classes), dtype=torch.float64)
    if not len(data) or view.layout.private:
        return nothing
    logits = view.predict(data.x)
    return (data.y.numpy(), logits.double()) if bool(torch.isfinite(logits).all()) else nothing


def _probabilities(logits: Tensor) -> np.ndarray:
    # In float64: rounded to float32, confident predictions tie at exactly 1 and lose their order.
    return logits.double().softmax(dim=1).numpy()


def _confusion_table(classes: tuple[str, ...], counts: np.ndarray) -> Table:
    columns = {name: counts[:, c].tolist() for c, name in enumerate(classes)}
    return Table(
        {"true class": classes, **columns}, "Samples by true class (row) and predicted class (column)"
    )


def _groups(view: View, y: np.ndarray, logits: Tensor) -> tuple[Metrics, Tables]:
    groups = view.data.metadata.get("group")
    if groups is None:
        return {}, {}
    if not len(y):
        return {"worst_group_accuracy": None}, {}
    predicted = scores.predict(_probabilities(logits), view.task)
    names, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    accuracies = (np.bincount(place, weights=predicted == y) / sizes).tolist()
    columns = {"group": names.tolist(), "accuracy": accuracies, "examples": sizes.tolist()}
    return {"worst_group_accuracy": min(accuracies)}, {"groups": Table(columns, "Accuracy by group")}


def _clients(view: View) -> tuple[Metrics, Tables]:
    # Where nobody holds samples back there is nothing to learn from a tour of all clients.
    asked = view.clients if view.local_test else ()
    answers = view.map(local_accuracy, asked, view.task) if asked else []
    tested = [(client, n, value) for client, (n, value) in zip(asked, answers, strict=True) if n]
    accuracies = [value for _, _, value in tested if value is not None]
    # A client whose model is broken is not left out: the worst client would look better than it is.
    defined = bool(tested) and len(accuracies) == len(tested)
    metrics: Metrics = {
        "mean_client_accuracy": sum(accuracies) / len(accuracies) if defined else None,
        "worst_client_accuracy": min(accuracies) if defined else None,
    }
    if not tested:
        return metrics, {}
    ids, sizes, values = zip(*tested, strict=True)
    columns = {"client": ids, "accuracy": values, "examples": sizes}
    return metrics, {"clients": Table(columns, "Accuracy of each client's model on its own held-out samples")}

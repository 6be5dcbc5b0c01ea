"""Measures whether generated images help a classifier that has few real ones."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import define

from fedsec_basics.plugin.train import Sgd
from fedsec_core.data import Dataset
from fedsec_core.evaluation import RunView, View
from fedsec_core.findings import Findings
from fedsec_core.markers import hookimpl
from fedsec_core.streams import Stream
from fedsec_feddetect import reference, sampling
from fedsec_feddetect.gan import parts_of

if TYPE_CHECKING:
    from fedsec_feddetect.plugin.evaluate import Augmentation

NAMES = ("real", "augmented", "synthetic")


@define(eq=False)
class AugmentationEvaluator:
    """Runtime of `augmentation`."""

    asked: Augmentation

    @hookimpl
    def evaluate_run(self, run: RunView, stream: Stream) -> Findings:
        """Train the three classifiers, several times over, and give their accuracies on the test split."""
        found: dict[str, list[float]] = {name: [] for name in NAMES}
        for repeat in range(self.asked.repeats):
            for name, value in self._once(run.view, stream.child(repeat)).items():
                found[name].append(value)
        metrics = {f"{name}_accuracy": fmean(values) for name, values in found.items()}
        metrics["gain"] = metrics["augmented_accuracy"] - metrics["real_accuracy"]
        return Findings(metrics)

    def _once(self, view: View, stream: Stream) -> dict[str, float]:
        few = _balanced(view.training, len(view.classes), self.asked.real, stream.child("real"))
        y = sampling.classes_in_turn(self.asked.synthetic, len(view.classes))
        drawn = sampling.draw(parts_of(view.networks()).generator, y, stream.child("latent").torch)
        made = Dataset(drawn.nan_to_num(0.0).mul(255).round().to(torch.uint8), y)
        if few.pixels.dtype != torch.uint8:
            made = made.with_pixels(drawn.nan_to_num(0.0))
        sets = dict(zip(NAMES, (few, Dataset.concatenate(few, made), made), strict=True))
        schedule = Sgd(steps=self.asked.steps, batch=32, lr=0.02, momentum=0.9, weight_decay=5e-4)
        accuracies = {}
        for name, data in sets.items():
            network = reference.trained(data, len(view.classes), schedule, stream.child("training"))
            measured = reference.accuracy(network, view.test)
            assert measured is not None
            accuracies[name] = measured
        return accuracies


def _balanced(data: Dataset, classes: int, count: int, stream: Stream) -> Dataset:
    """Return `count` samples, or all if there are fewer, drawn from one class after another."""
    queues = [
        stream.child(label).numpy.permutation(np.flatnonzero(data.y.numpy() == label))
        for label in range(classes)
    ]
    turns = [(turn, label, index) for label, queue in enumerate(queues) for turn, index in enumerate(queue)]
    return data.subset(np.array([index for _, _, index in sorted(turns)[:count]], dtype=np.int64))

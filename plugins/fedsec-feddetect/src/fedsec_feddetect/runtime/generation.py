"""Measures the generator of a federation, and remembers the losses that clients report."""

from __future__ import annotations

from typing import Any

import torch
from attrs import define, field
from torch import Tensor

from fedsec_backdoors.measuring import tile
from fedsec_basics.networks.classifier import Classifier
from fedsec_core.data import Dataset, as_float
from fedsec_core.evaluation import RunView, View
from fedsec_core.findings import Findings, Picture, Table
from fedsec_core.markers import hookimpl
from fedsec_core.rounds import Round
from fedsec_core.streams import Stream
from fedsec_feddetect import curves, distances, reference, sampling
from fedsec_feddetect.gan import Generator, parts_of

LOSSES = ("generator_loss", "mean_generator_loss", "discriminator_loss", "mean_discriminator_loss")
SHOWN = Stream("the latent vectors of the picture of samples")
"""The same in every round and run, so that one can watch a sample change."""


@define(eq=False)
class Reference:
    """The classifier of the clean training images, and what it sees in them."""

    network: Classifier
    features: Tensor
    """[n, f] of the training images."""
    y: Tensor


@define(eq=False)
class GenerationEvaluator:
    """Runtime of `generation`."""

    samples: int
    losses: list[list[float | None]] = field(factory=list, init=False)
    """Round, client and its losses, as it reported them."""
    strips: dict[int, Tensor] = field(factory=dict, init=False)
    """Two samples of each class [2 classes, C, S, S] in bytes, by the round after which they were drawn."""
    _reference: Reference | None = field(default=None, init=False)

    @hookimpl
    def observe_round(self, round: Round) -> None:
        """Remember the losses that the clients of the round report."""
        for client, metrics in zip(round.clients, round.metrics, strict=True):
            self.losses.append([round.number, client, *(metrics.get(name) for name in LOSSES)])

    def state(self) -> dict[str, Any]:
        """Return what is remembered."""
        return {"losses": [list(each) for each in self.losses], "strips": dict(self.strips)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.losses = [list(each) for each in state["losses"]]
        self.strips = dict(state["strips"])

    @hookimpl
    def evaluate_model(self, view: View, stream: Stream) -> Findings:
        """Draw samples and compare them with the clean training images."""
        known = self._known(view)
        generator = parts_of(view.networks()).generator
        # as many of each class as in a draw of real images: else the mix of classes is measured too
        chosen = stream.child("real").numpy.permutation(len(known.y))[: self.samples]
        y = known.y[chosen]
        drawn = sampling.draw(generator, y, stream.torch)
        finite = bool(torch.isfinite(drawn).all())
        found = _figures(known, drawn, y, known.features[chosen]) if finite else dict.fromkeys(FIGURES)
        rows = _samples(generator, len(view.classes))
        strip = torch.cat([row[:2] for row in rows])
        self.strips[view.number] = strip.mul(255).round().to(torch.uint8)
        return Findings(found, pictures=_pictures(view, rows))

    def _known(self, view: View) -> Reference:
        if self._reference is None:
            data, classes = view.training, len(view.classes)
            stored = view.cached("reference-classifier", reference.build, data, classes)
            network = reference.load(tuple(data.pixels.shape[1:]), classes, stored)
            self._reference = Reference(network, stored["features"], data.y)
        return self._reference

    @hookimpl
    def evaluate_run(self, run: RunView) -> Findings:
        """Show the losses of all clients, and how good the classifier is that everything rests on."""
        known, view = self._known(run.view), run.view
        metrics = {"reference_accuracy": reference.accuracy(known.network, view.test)}
        held_out = view.val if len(view.val) else view.test
        seen = reference.features(known.network, held_out.pixels)
        metrics["real_fd_clf"] = distances.frechet(seen, known.features)
        pictures = {"progress": self._progress()}
        if not self.losses:
            return Findings(metrics, pictures=pictures)
        malicious = {client for held in view.truth.malicious.values() for client in held}
        if view.twin:
            malicious = set()
        table = Table(_by_client(self.losses), "The losses that each client reports, by round")
        pictures["losses"] = Picture(
            curves.of_clients(self.losses, LOSSES, malicious),
            "Losses by round that clients report; malicious clients are drawn in orange",
        )
        return Findings(metrics, {"losses": table}, pictures)

    def _progress(self) -> Picture:
        """Return the same samples after each round that was measured, one row a round."""
        numbers = sorted(self.strips)
        told = ", ".join(map(str, numbers))
        caption = f"The same samples over time, two of each class; from above after rounds {told}"
        return Picture(tile([as_float(self.strips[number]) for number in numbers]), caption)


FIGURES = ("fd_clf", "kid_clf", "class_accuracy", "diversity")


def _figures(known: Reference, drawn: Tensor, y: Tensor, real: Tensor) -> dict[str, float | None]:
    """Return the figures of samples `drawn` of the classes `y`; `real` are features of those classes."""
    seen = reference.features(known.network, drawn)
    right = reference.classes_of(known.network, seen) == y
    return {
        "fd_clf": distances.frechet(seen, known.features),
        "kid_clf": distances.kernel_distance(seen, real),
        "class_accuracy": right.double().mean().item(),
        "diversity": distances.diversity(seen, y, real, y),
    }


def _samples(generator: Generator, classes: int) -> list[Tensor]:
    """Return a row of samples of each class, of the same latent vectors in every round."""
    y = torch.arange(classes).repeat_interleave(sampling.COLUMNS)
    drawn = sampling.draw(generator, y, SHOWN.child(classes).torch).nan_to_num(0.0)
    return list(torch.split(drawn, sampling.COLUMNS))


def _pictures(view: View, rows: list[Tensor]) -> dict[str, Picture]:
    caption = f"Samples after round {view.number}; a row a class: {', '.join(view.classes)}"
    pictures = {"samples": Picture(tile(rows), caption)}
    if view.number == 0:
        real = _real(view.training, len(view.classes))
        pictures["real"] = Picture(tile(real), "Real training images, a row a class")
    return pictures


def _real(data: Dataset, classes: int) -> list[Tensor]:
    """Return the first images of each class, in rows of equal length."""
    rows = []
    for label in range(classes):
        found = as_float(data.pixels[torch.nonzero(data.y == label)[: sampling.COLUMNS, 0]])
        missing = sampling.COLUMNS - len(found)
        rows.append(torch.cat([found, torch.ones(missing, *data.pixels.shape[1:])]))
    return rows


def _by_client(losses: list[list[float | None]]) -> dict[str, list[float | None]]:
    """Return one column for each client and loss, None where it was not in the cohort."""
    rounds = sorted({each[0] for each in losses if each[0] is not None})
    columns: dict[str, list[float | None]] = {"round": list(rounds)}
    places = {number: place for place, number in enumerate(rounds)}
    for number, client, *values in losses:
        for name, value in zip(LOSSES, values, strict=True):
            column = columns.setdefault(f"{name} {client}", [None] * len(rounds))
            column[places[number or 0]] = value
    return columns

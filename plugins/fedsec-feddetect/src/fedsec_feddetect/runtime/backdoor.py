"""The attack on a federated generator: a trigger on real images, and lies about losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

import torch
from attrs import define

from fedsec_backdoors.measuring import is_shown, tile
from fedsec_core.data import Dataset
from fedsec_core.evaluation import View
from fedsec_core.findings import Findings, Picture
from fedsec_core.markers import hookimpl
from fedsec_core.rounds import AttackView
from fedsec_core.streams import Stream
from fedsec_core.updates import Update
from fedsec_core.views import Client
from fedsec_feddetect import sampling
from fedsec_feddetect.gan import parts_of

if TYPE_CHECKING:
    from fedsec_feddetect.plugin.attack import FedGanBackdoor

SHOWN = 10
"""Images in the picture of poisoned ones."""
LOSSES = ("generator_loss", "mean_generator_loss")
"""What detectors go by, and what a liar therefore replaces."""


@define(eq=False)
class FedGanBackdoorAttack:
    """Runtime of `fedgan-backdoor`."""

    asked: FedGanBackdoor

    @hookimpl
    def attack_data(self, data: Dataset, client: Client, stream: Stream) -> Dataset:
        """Return the client's samples with the trigger on a share of them; labels stay as they are."""
        paste = self.asked.paste(data.pixels.shape[-1])
        return paste.poison(data, self.asked.poison_rate, stream.numpy)

    @hookimpl
    def attack_updates(self, view: AttackView) -> Sequence[Update] | None:
        """Send what was trained, with losses of another's or of nobody's."""
        if self.asked.lie == "none":
            return None
        sent = zip(view.rows, view.buffers, view.examples, view.metrics, view.extra, strict=True)
        told = self._told(view)
        return [
            Update(row.clone(), buffers.clone(), examples, {**metrics, **told}, extra)
            for row, buffers, examples, metrics, extra in sent
        ]

    def _told(self, view: AttackView) -> Mapping[str, float]:
        if self.asked.lie == "constant":
            return dict.fromkeys(LOSSES, self.asked.claim)
        honest = view.honest_metrics
        found = {name: [each[name] for each in honest if name in each] for name in LOSSES}
        return {name: median(values) for name, values in found.items() if values}

    @hookimpl
    def evaluate_model(self, view: View, stream: Stream) -> Findings:
        """Measure how far samples of the shared generator are from carrying the trigger."""
        paste = self.asked.paste(view.data.pixels.shape[-1])
        y = sampling.classes_in_turn(self.asked.samples, len(view.classes))
        drawn = sampling.draw(parts_of(view.networks()).generator, y, stream.torch)
        finite = bool(torch.isfinite(drawn).all())
        metrics = {"trigger_distance": paste.distance(drawn) if finite else None}
        if not is_shown(view):
            return Findings(metrics)
        clean = view.training.subset(torch.arange(min(SHOWN, len(view.training))))
        poisoned = paste.poison(clean, 1.0, stream.child("shown").numpy)
        metrics["real_trigger_distance"] = paste.distance(view.training.pixels)
        picture = Picture(tile([clean.x, poisoned.x]), "Above as they are, below with the trigger")
        return Findings(metrics, pictures={"poisoned": picture})

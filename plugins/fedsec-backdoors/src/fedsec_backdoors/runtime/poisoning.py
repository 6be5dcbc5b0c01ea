"""Attacks that poison the data of their clients, which follow the protocol otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import define, evolve

from fedsec_backdoors import measuring
from fedsec_backdoors.poisoning import eligible, poison, relabel, tail
from fedsec_backdoors.triggers import Trigger
from fedsec_core.data import Dataset, as_float
from fedsec_core.evaluation import View
from fedsec_core.findings import Findings, Picture, Table
from fedsec_core.markers import hookimpl
from fedsec_core.streams import Stream
from fedsec_core.views import Client

Place = Callable[[tuple[int, ...]], Trigger]
"""Makes a trigger for images of a shape [C, H, W]."""


class Poisoning(Protocol):
    """An attack that poisons the data of its clients, and measures what came of it."""

    def attack_data(self, data: Dataset, client: Client, stream: Stream) -> Dataset:
        """Return the client's samples, some of them poisoned."""

    def evaluate_model(self, view: View) -> Findings:
        """Measure the backdoor."""


@define(eq=False, kw_only=True)
class TriggerAttack:
    """Poisons once, before training, and tries its trigger after every evaluated round."""

    place: Place
    target: int
    source: int | None
    poison_rate: float

    @hookimpl
    def attack_data(self, data: Dataset, client: Client, stream: Stream) -> Dataset:
        """Return the client's samples, a share of them with the trigger and the label of the target."""
        return poison(
            data,
            self._own_trigger(client, self.place(tuple(data.pixels.shape[1:]))),
            target=self.target,
            source=self.source,
            rate=self.poison_rate,
            generator=stream.numpy,
        )

    def _own_trigger(self, client: Client, trigger: Trigger) -> Trigger:
        """Return what this client stamps on its images."""
        return trigger

    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        """Try the trigger on the evaluation samples; pictures come with the first and the last round."""
        return measuring.try_trigger(view, self._whole(view), target=self.target, source=self.source)

    def _whole(self, view: View) -> Trigger:
        return self.place(tuple(view.data.pixels.shape[1:]))


@define(eq=False, kw_only=True)
class DistributedAttack(TriggerAttack):
    """Every client stamps its own part of the trigger; the whole is what is tried."""

    parts: int

    def _own_trigger(self, client: Client, trigger: Trigger) -> Trigger:
        assert client.rank is not None
        return trigger.parts(self.parts)[client.rank % self.parts]

    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        """Try the whole trigger; in the first and the last round also each part by itself."""
        whole = self._whole(view)
        found = measuring.try_trigger(view, whole, target=self.target, source=self.source)
        if not measuring.is_shown(view):
            return found
        parts = whole.parts(self.parts)
        alone = [self._alone(view, part) for part in parts]
        columns = {"trigger": ["whole", *range(1, self.parts + 1)], "asr": [found.metrics["asr"], *alone]}
        table = Table(columns, "Attack success of the whole trigger and of each part by itself")
        shown = measuring.on_grey(parts, view, "The parts of the trigger, one for each malicious client")
        return evolve(found, tables={"parts": table}, pictures={**found.pictures, "parts": shown})

    def _alone(self, view: View, part: Trigger) -> float | None:
        predicted = measuring.classes_of(view, part, view.data)
        return measuring.success(predicted, view.data.y, target=self.target, source=self.source)["asr"]


@define(eq=False, kw_only=True)
class TailAttack:
    """Relabels the client's rarest samples as they are, and tries the rarest evaluation samples."""

    target: int
    source: int | None
    poison_rate: float

    @hookimpl
    def attack_data(self, data: Dataset, client: Client, stream: Stream) -> Dataset:
        """Return the client's samples, those in the tail with the label of the target."""
        return relabel(data, tail(data, self.poison_rate), target=self.target, source=self.source)

    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        """Ask the model about the evaluation samples in the tail, which nobody has changed."""
        measuring.require_classes(view.classes, target=self.target, source=self.source)
        rare = view.data.subset(tail(view.data, self.poison_rate).nonzero().flatten())
        predicted = view.predict(rare.x).argmax(dim=1)
        metrics = measuring.success(predicted, rare.y, target=self.target, source=self.source)
        about = rare.pixels[eligible(rare.y, self.target, self.source)][: measuring.SHOWN]
        if not measuring.is_shown(view) or not len(about):
            return Findings(metrics)
        caption = f"Images of the tail that shall be taken for {view.classes[self.target]!r}"
        return Findings(metrics, pictures={"tail": Picture(measuring.tile([as_float(about)]), caption)})

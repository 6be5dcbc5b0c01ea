"""BadNets in a federation: poisons the data of malicious clients and measures the backdoor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from attrs import define, evolve
from torch import Tensor

from fedsec_backdoors.triggers import Trigger
from fedsec_core.data import Dataset, as_float
from fedsec_core.errors import FedsecError
from fedsec_core.evaluation import View
from fedsec_core.findings import Findings, Picture
from fedsec_core.markers import hookimpl
from fedsec_core.rounding import portion
from fedsec_core.streams import Stream

SHOWN = 8
"""Images in a row of the picture `triggered`."""


def eligible(y: Tensor, target: int, source: int | None = None) -> Tensor:
    """Return which labels `y` [n] the backdoor is about: not the target's, or only the source's."""
    return y != target if source is None else y == source


def poison(
    data: Dataset,
    trigger: Trigger,
    *,
    target: int,
    source: int | None,
    rate: float,
    generator: np.random.Generator,
) -> Dataset:
    """Return `data` with the trigger and the label `target` on a share `rate` of the eligible samples.

    The share is rounded half up and at least one sample; order and number of samples stay. Data
    without an eligible sample come back as they are.
    """
    candidates = np.flatnonzero(eligible(data.y, target, source).numpy())
    if not len(candidates):
        return data
    count = max(1, portion(rate, len(candidates)))
    chosen = torch.from_numpy(np.sort(generator.choice(candidates, count, replace=False)))
    pixels, y = data.pixels.clone(), data.y.clone()
    pixels[chosen] = trigger.stamp(pixels[chosen])
    y[chosen] = target
    return evolve(data, pixels=pixels, y=y)


def success(
    predicted: Tensor, y: Tensor, *, target: int, source: int | None = None
) -> dict[str, float | None]:
    """Return the figures of a backdoor: `predicted` [n] for triggered images, `y` [n] their true classes.

    `asr`: share of eligible samples taken for the target; `asr_all`: the same over all samples;
    `triggered_accuracy`: share of eligible samples still given their true class. None where there
    is no eligible sample.
    """
    about = eligible(y, target, source)
    hit, right = predicted == target, predicted == y
    any_eligible = bool(about.any())
    return {
        "asr": hit[about].double().mean().item() if any_eligible else None,
        "asr_all": hit.double().mean().item(),
        "triggered_accuracy": right[about].double().mean().item() if any_eligible else None,
    }


@define(eq=False, kw_only=True)
class BadNetsAttack:
    """Poisons once, before training; `place` makes the trigger for images of a shape [C, H, W]."""

    place: Callable[[tuple[int, ...]], Trigger]
    target: int
    source: int | None
    poison_rate: float

    @hookimpl
    def attack_data(self, data: Dataset, stream: Stream) -> Dataset:
        """Return the client's samples, a share of them with the trigger and the label of the target."""
        trigger = self.place(tuple(data.pixels.shape[1:]))
        return poison(
            data,
            trigger,
            target=self.target,
            source=self.source,
            rate=self.poison_rate,
            generator=stream.numpy,
        )

    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        """Try the trigger on the evaluation samples; pictures come with the first and the last round."""
        self._require_classes(view.classes)
        trigger = self.place(tuple(view.data.pixels.shape[1:]))
        predicted = view.predict(as_float(trigger.stamp(view.data.pixels))).argmax(dim=1)
        metrics = success(predicted, view.data.y, target=self.target, source=self.source)
        shown = view.number in (0, view.rounds)
        return Findings(metrics, pictures=self._pictures(trigger, view) if shown else {})

    def _require_classes(self, classes: tuple[str, ...]) -> None:
        for name, number in (("target", self.target), ("source", self.source)):
            if number is not None and number >= len(classes):
                known = ", ".join(f"{index} = {label}" for index, label in enumerate(classes))
                raise FedsecError(f"{name} = {number} is no class of the data; known: {known}")

    def _pictures(self, trigger: Trigger, view: View) -> dict[str, Picture]:
        grey = torch.full((1, *trigger.picture.shape), 0.5)
        target = view.classes[self.target]
        pictures = {"trigger": Picture(_tile([trigger.apply(grey)]), "The trigger on mid-grey")}
        chosen = torch.nonzero(eligible(view.data.y, self.target, self.source))[:SHOWN, 0]
        if len(chosen):
            clean = view.data.pixels[chosen]
            rows = [as_float(clean), as_float(trigger.stamp(clean))]
            caption = f"Above as they are, below with the trigger that shall make them {target!r}"
            pictures["triggered"] = Picture(_tile(rows), caption)
        return pictures


def _tile(rows: list[Tensor]) -> np.ndarray:
    """Lay rows of images [n, C, H, W] out as one picture [H', W'] or [H', W', 3], a white pixel apart."""
    lines = [torch.cat(list(torch.nn.functional.pad(row, (0, 1, 0, 1), value=1.0)), dim=2) for row in rows]
    sheet = torch.cat(lines, dim=1)[:, :-1, :-1]
    colour = len(sheet) == 3
    return (sheet.permute(1, 2, 0) if colour else sheet[0]).numpy()

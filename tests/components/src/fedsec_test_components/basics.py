"""The smallest data and network that learn something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import define
from torch import Tensor, nn

from fedsec_core.data import Dataset, Spec, Splits
from fedsec_core.markers import hookimpl
from fedsec_core.streams import Stream

if TYPE_CHECKING:
    from fedsec_test_components.plugin import Perceptron, Quadrants


@define(eq=False)
class MakingQuadrants:
    asked: Quadrants

    @hookimpl
    def load_data(self) -> Splits | None:
        if self.asked.awry == "none":
            return None
        if self.asked.awry == "raises":
            raise ZeroDivisionError("the data\nare gone")
        stream = Stream("quadrants")
        train = quadrants(self.asked.train, self.asked.noise, stream.child("train"))
        test = quadrants(self.asked.test, self.asked.noise, stream.child("test"))
        val = quadrants(self.asked.val, self.asked.noise, stream.child("val"))
        if self.asked.copies:
            test = Dataset.concatenate(test, train.subset(torch.arange(self.asked.copies)))
        return Splits(self._spoilt(train), val, self._spoilt(test, is_test=True), ("a", "b", "c", "d"))

    def _spoilt(self, data: Dataset, *, is_test: bool = False) -> Dataset:
        match self.asked.awry:
            case "nan-image":
                x = data.x.clone()
                x[0, 0, 0, 0] = torch.nan
                return data.with_pixels(x)
            case "bad-label":
                return Dataset(data.pixels, data.y + 1)
            case "bad-shape":
                return data.with_pixels(data.pixels[:, 0])
            case "no-test" if is_test:
                return data.subset(torch.arange(0))
        return data


def quadrants(count: int, noise: float, stream: Stream) -> Dataset:
    """Draw images [count, 1, 8, 8] as bytes."""
    y = torch.arange(count) % 4
    x = torch.zeros(count, 1, 8, 8)
    for label in range(4):
        top, left = 4 * (label // 2), 4 * (label % 2)
        x[y == label, :, top : top + 4, left : left + 4] = 0.6
    x += noise * torch.randn(x.shape, generator=stream.torch)
    sites = stream.numpy.integers(0, 3, count)
    return Dataset((x.clamp(0, 1) * 255).round().to(torch.uint8), y, {"site": sites})


@define(eq=False)
class BuildingPerceptrons:
    asked: Perceptron

    @hookimpl
    def build_networks(self, spec: Spec) -> nn.Module:
        channels, height, width = spec.shape
        return TwoLayers(self.asked, channels * height * width, spec.classes)


class TwoLayers(nn.Module):
    def __init__(self, asked: Perceptron, inputs: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten(), nn.Linear(inputs, asked.hidden)]
        layers += [nn.BatchNorm1d(asked.hidden)] if asked.norm else []
        layers += [nn.Dropout(asked.dropout)] if asked.dropout else []
        self.body = nn.Sequential(*layers, nn.ReLU())
        self.head = nn.Linear(asked.hidden, classes)
        self.awry = asked.awry
        if asked.awry == "double":
            self.head = self.head.double()
        if asked.awry == "no-parts":
            self.loose = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x))
        if self.awry == "raises" and not self.training:
            raise ArithmeticError("no power")
        return torch.cat([logits, logits], dim=1) if self.awry == "wide" else logits

"""Classifiers that measure: one of the clean training images, and small ones for augmentation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fedsec_basics.networks.classifier import Classifier
from fedsec_basics.networks.small_cnn import small_cnn
from fedsec_basics.plugin.train import Sgd
from fedsec_basics.sgd import train
from fedsec_core.data import Dataset, as_float
from fedsec_core.evaluation import SHARD
from fedsec_core.state import Layout, Networks
from fedsec_core.steps import Steps
from fedsec_core.streams import Stream

CHANNELS = (16, 32)
FEATURES = 64
"""Units of the hidden layer, whose values are the features."""
SCHEDULE = Sgd(epochs=10, batch=64, lr=0.02, momentum=0.9, weight_decay=5e-4)
WEIGHTS = "weights."


def fresh(shape: tuple[int, ...], classes: int, stream: Stream) -> Classifier:
    """Return an untrained classifier of images [C, H, W]."""
    with stream.guard():
        return small_cnn(shape, classes, CHANNELS, FEATURES)


def trained(data: Dataset, classes: int, schedule: Sgd, stream: Stream) -> Classifier:
    """Return a classifier trained on `data`; the same stream gives the same bits."""
    network = fresh(tuple(data.pixels.shape[1:]), classes, stream.child("weights"))
    train(Networks.of(network, Layout.of(network)), data, schedule, Steps(), stream.child("batches"))
    return network


def build(data: Dataset, classes: int) -> dict[str, Tensor]:
    """Train the reference classifier on `data`; returns its weights, and the features of `data`."""
    network = trained(data, classes, SCHEDULE, Stream("reference classifier"))
    weights = {WEIGHTS + name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    return {**weights, "features": features(network, data.pixels)}


def load(shape: tuple[int, ...], classes: int, stored: Mapping[str, Tensor]) -> Classifier:
    """Return the classifier that `build` trained."""
    network = fresh(shape, classes, Stream("reference classifier"))
    weights = {name.removeprefix(WEIGHTS): each for name, each in stored.items() if name.startswith(WEIGHTS)}
    network.load_state_dict(weights)
    return network


@torch.no_grad()
def features(network: Classifier, pixels: Tensor) -> Tensor:
    """Return the features [n, f] of images [n, C, H, W], bytes or float32 in [0, 1]."""
    network.eval()
    shards = torch.split(pixels, SHARD)
    return torch.cat([network.body(as_float(part) * 2 - 1) for part in shards])


@torch.no_grad()
def classes_of(network: Classifier, features: Tensor) -> Tensor:
    """Return the classes [n] that the network gives to features [n, f]."""
    return network.head(features).argmax(dim=1)  # type: ignore[no-any-return]


def accuracy(network: Classifier, data: Dataset) -> float | None:
    """Return the accuracy of `network` on `data`; None where there is none."""
    if not len(data):
        return None
    return (classes_of(network, features(network, data.pixels)) == data.y).double().mean().item()

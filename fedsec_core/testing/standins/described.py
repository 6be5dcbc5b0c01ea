"""Describes the stand-ins."""

from __future__ import annotations

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability


@attrs.frozen(kw_only=True)
class Spots(Component):
    """Small noisy images with a bright row that tells the class, each sample with its metadata."""

    train: int = parameter(120, doc="Training images.", at_least=1)
    val: int = parameter(16, doc="Validation images.", at_least=0)
    test: int = parameter(24, doc="Test images.", at_least=1)
    classes: int = parameter(4, doc="Number of classes, taken in turns.", at_least=2)
    shape: tuple[int, int, int] = parameter((1, 8, 8), doc="Of an image, channels first.")

    def build(self) -> object:
        from fedsec_core.testing.standins.runtime import MakingSpots

        return MakingSpots(self)


@attrs.frozen(kw_only=True)
class Linear(Component):
    """A linear classifier with one float buffer, one with a hidden layer, or one single parameter."""

    single: bool = parameter(False, doc="Have one parameter only.")
    hidden: int = parameter(0, doc="Units of a layer in the body; 0: there is none.", at_least=0)

    @property
    def provides(self) -> frozenset[Capability]:
        return frozenset({Capability.CLASSIFIER})

    def build(self) -> object:
        from fedsec_core.testing.standins.runtime import BuildingLines

        return BuildingLines(self)


@attrs.frozen(kw_only=True)
class Turns(Component):
    """Deals the samples to the clients in turns."""

    clients: int = parameter(10, doc="Number of clients.", at_least=1)

    @property
    def client_count(self) -> int | None:
        return self.clients

    def build(self) -> object:
        from fedsec_core.testing.standins.runtime import Dealing

        return Dealing(self.clients)


@attrs.frozen(kw_only=True)
class Descent(Component):
    """Plain gradient descent, one pass unless told otherwise, that honours every extension."""

    batch: int = parameter(8, doc="Samples in a batch.", at_least=1)
    lr: float = parameter(0.2, doc="Learning rate.", above=0)
    epochs: int = parameter(1, doc="Passes over the data.", at_least=1)
    steps: int | None = parameter(None, doc="Number of batches, in place of epochs.", at_least=1)

    @property
    def provides(self) -> frozenset[Capability]:
        return frozenset({Capability.PER_SAMPLE_GRADIENTS})

    @property
    def honours(self) -> frozenset[str]:
        return frozenset(
            {"batches", "batch", "loss", "per_sample_gradients", "gradients", "parameters", "update"}
        )

    def build(self) -> object:
        from fedsec_core.testing.standins.runtime import Descending

        return Descending(self)


@attrs.frozen(kw_only=True)
class Average(Component):
    """The weighted mean of the rows."""

    @property
    def provides(self) -> frozenset[Capability]:
        return frozenset({Capability.LINEAR})

    def build(self) -> object:
        from fedsec_core.testing.standins.runtime import Averaging

        return Averaging()


@attrs.frozen(kw_only=True)
class Observer(Component):
    """Keeps every finished round for the checks to look at."""

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.INDIVIDUAL_UPDATES})

    def build(self) -> object:
        from fedsec_core.testing.standins.runtime import Observing

        return Observing()

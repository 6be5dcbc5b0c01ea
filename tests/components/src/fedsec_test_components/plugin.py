"""Describes components so simple that a test can foretell what they do to a federation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from fedsec_basics.plugin.train import Sgd
from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability, Knowledge

AWRY = ("", "nan-image", "bad-label", "bad-shape", "no-test", "raises", "none")


@attrs.frozen(kw_only=True)
class Quadrants(Component):
    """Images of 8 x 8 with one bright quadrant, which is the class; noisy, tiny and quick."""

    train: int = parameter(160, doc="training images", at_least=4)
    test: int = parameter(64, doc="test images", at_least=4)
    val: int = parameter(32, doc="validation images", at_least=0)
    noise: float = parameter(0.2, doc="standard deviation of the noise", at_least=0)
    copies: int = parameter(0, doc="training images that are put into the test split too", at_least=0)
    awry: str = parameter("", doc="what is wrong with the data", choices=AWRY)
    folder: Path | None = parameter(None, doc="not used; a path among the parameters")

    def build(self) -> object:
        from fedsec_test_components.basics import MakingQuadrants

        return MakingQuadrants(self)


@attrs.frozen(kw_only=True)
class Perceptron(Component):
    """Two linear layers, with BatchNorm between them on request."""

    hidden: int = parameter(8, doc="width", at_least=1)
    norm: bool = parameter(False, doc="put a BatchNorm between the layers")
    dropout: float = parameter(0.0, doc="chance to drop a hidden unit", at_least=0, below=1)
    awry: Literal["", "double", "no-parts", "wide", "raises"] = parameter(
        "", doc="what is wrong with the network"
    )

    @property
    def provides(self) -> frozenset[Capability]:
        batch = {Capability.BATCH_STATISTICS} if self.norm else set()
        return frozenset({Capability.CLASSIFIER} | batch)

    def build(self) -> object:
        from fedsec_test_components.basics import BuildingPerceptrons

        return BuildingPerceptrons(self)


@attrs.frozen(kw_only=True)
class Distrust(Component):
    """Flags the clients it is told, and trusts them as little as it is told."""

    ids: tuple[int, ...] = parameter((), doc="the clients to flag")
    trust: float = parameter(0.0, doc="how far to trust them")
    awry: Literal["", "nan-trust", "short", "raises", "true-f"] = parameter("", doc="what goes wrong")

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.INDIVIDUAL_UPDATES, Capability.CLIENT_IDENTITY})

    def build(self) -> object:
        from fedsec_test_components.judging import Distrusting

        return Distrusting(self)


@attrs.frozen(kw_only=True)
class ScaleStep(Component):
    """Multiplies the server's step."""

    factor: float = parameter(doc="what to multiply it with")

    def build(self) -> object:
        from fedsec_test_components.judging import Scaling

        return Scaling(self.factor)


@attrs.frozen(kw_only=True)
class Pairs(Component):
    """Averages rows two by two (bucketing), so that rows have no client any more."""

    @property
    def hides(self) -> frozenset[Capability]:
        return frozenset({Capability.CLIENT_IDENTITY})

    def build(self) -> object:
        from fedsec_test_components.judging import Pairing

        return Pairing()


@attrs.frozen(kw_only=True)
class Sum(Component):
    """The weighted mean again, with memory, or gone wrong in a way that is asked for."""

    awry: Literal["", "shape", "none", "raises", "explodes", "few"] = parameter("", doc="what goes wrong")
    since: int = parameter(1, doc="from which round on", at_least=1)
    linear: bool = parameter(True, doc="declare a weighted sum")
    single: bool = parameter(False, doc="declare the need of single rows, which are kept then")

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.INDIVIDUAL_UPDATES}) if self.single else frozenset()

    @property
    def provides(self) -> frozenset[Capability]:
        return frozenset({Capability.LINEAR}) if self.linear else frozenset()

    def build(self) -> object:
        from fedsec_test_components.judging import Summing

        return Summing(self)


@attrs.frozen(kw_only=True)
class Witness(Component):
    """Measures one figure per round and shows what evaluation can give back; may go wrong."""

    awry: Literal["", "nan", "raises", "interrupt", "kind", "text", "list", "cell", "picture", "name"] = (
        parameter("", doc="what goes wrong")
    )
    since: int = parameter(0, doc="from which round on", at_least=0)
    local: bool = parameter(False, doc="measure at every client too")

    def build(self) -> object:
        from fedsec_test_components.watching import Witnessing

        return Witnessing(self)


@attrs.frozen(kw_only=True)
class Puppet(Component):
    """An attack that acts at the moments it is told and reads what it is told to read."""

    moment: Literal["data", "client", "updates", "broadcast", "nothing"] = parameter(
        "updates", doc="when it acts"
    )
    scale: float = parameter(-1.0, doc="what its updates are multiplied with")
    reads: str = parameter("", doc="what it looks at in its view")
    protected: bool = parameter(False, doc="train as protected clients do")
    minimum: tuple[str, ...] = parameter(("own_data", "own_updates"), doc="the least knowledge it declares")

    @property
    def knows(self) -> frozenset[Knowledge]:
        return frozenset(map(Knowledge, self.minimum))

    def build(self) -> object:
        from fedsec_test_components.attacking import Acting

        return Acting(self)


@attrs.frozen(kw_only=True)
class Shield(Component):
    """A protection at every moment a protection may act: data, broadcast, training steps, serving."""

    dim: float = parameter(1.0, doc="what images are multiplied with", at_least=0, at_most=1)
    offset: float = parameter(0.0, doc="what is added to every broadcast parameter")
    clip: float = parameter(0.0, doc="every gradient is set to at most this; 0 leaves them", at_least=0)
    shift: float = parameter(0.0, doc="what is added to every logit of class 0 that is served")
    remembers: Literal["", "set"] = parameter("", doc="what it keeps at its clients that cannot be kept")
    awry: Literal["", "steps", "no-steps", "serve", "no-serve", "update"] = parameter(
        "", doc="what goes wrong"
    )

    @property
    def extends(self) -> frozenset[str]:
        clipping = {"gradients"} if self.clip or "steps" in self.awry else set()
        return frozenset(clipping | ({"update"} if self.awry == "update" else set()))

    def build(self) -> object:
        from fedsec_test_components.shielding import Shielding

        return Shielding(self)


@attrs.frozen(kw_only=True)
class Herald(Component):
    """A method in five places: announces, extends training, sends extra tensors, judges, remembers."""

    @property
    def extends(self) -> frozenset[str]:
        return frozenset({"batch", "update"})

    def build(self) -> object:
        from fedsec_test_components.heralding import Heralding

        return Heralding()


@attrs.frozen(kw_only=True)
class Keeper(Sgd):
    """Local training with momentum across rounds, which each client keeps; may dawdle, or die.

    A file `CLIENT-ROUND` in the folder `deaths` kills the process that trains this client in this
    round. It is removed before, so that this happens once, unless `always` is written in it.
    """

    keep: float = parameter(0.5, doc="share of the last round's step that is added to this one's", at_least=0)
    dawdle: float = parameter(0.0, doc="most seconds that a client idles, each differently", at_least=0)
    deaths: Path | None = parameter(None, doc="folder of the files that kill")
    awry: Literal["", "raises", "few", "data"] = parameter("", doc="what goes wrong, in round 2 at client 3")

    def build(self) -> object:
        from fedsec_test_components.keeping import Keeping

        return Keeping.of(self)


@attrs.frozen(kw_only=True)
class Habit(Component):
    """Trusts a row the less, the longer it is than the rows of all rounds so far were on average."""

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.INDIVIDUAL_UPDATES, Capability.CLIENT_IDENTITY})

    def build(self) -> object:
        from fedsec_test_components.keeping import Habitual

        return Habitual()


@attrs.frozen(kw_only=True)
class Grudge(Component):
    """An attack whose strength grows with what its clients, and its side of the server, remember."""

    past: bool = parameter(False, doc="push on in the direction of all rounds so far")

    @property
    def knows(self) -> frozenset[Knowledge]:
        least = {Knowledge.OWN_DATA, Knowledge.OWN_UPDATES}
        return frozenset(least | ({Knowledge.PAST_MODELS} if self.past else set()))

    def build(self) -> object:
        from fedsec_test_components.keeping import Grudging

        return Grudging(self)


@attrs.frozen(kw_only=True)
class Visitor(Component):
    """Evaluates by visiting clients: asks, copies and trains models, counts at every client.

    A file `visit-CLIENT-ROUND` in the folder `deaths` kills the process that is visited.
    """

    deaths: Path | None = parameter(None, doc="folder of the files that kill")
    shared: bool = parameter(True, doc="ask the server's model too, where there is one")
    awry: Literal["", "raises", "strange", "lambda", "few"] = parameter("", doc="what goes wrong at client 2")

    def build(self) -> object:
        from fedsec_test_components.visiting import Visiting

        return Visiting(self)

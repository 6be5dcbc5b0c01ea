"""Describes the offenders; each does what its summary says and is otherwise well behaved."""

from __future__ import annotations

from importlib import import_module

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability, Knowledge

LINEAR = frozenset({Capability.LINEAR})


@attrs.frozen(kw_only=True)
class Offender(Component):
    """Builds the runtime class of its own name."""

    def build(self) -> object:
        module = import_module(f"fedsec_offenders.{type(self).__module__.rpartition('.')[2]}_runtime")
        return getattr(module, type(self).__name__)()


class Sum(Offender):
    """An aggregator that declares a weighted sum."""

    @property
    def provides(self) -> frozenset[Capability]:
        return LINEAR


class Seeing(Sum):
    """One that says that it reads single rows too."""

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.INDIVIDUAL_UPDATES})


@attrs.frozen(kw_only=True)
class Peeking(Sum):
    """Reads single rows and does not say so."""


@attrs.frozen(kw_only=True)
class Ordered(Seeing):
    """Counts the first row twice."""


@attrs.frozen(kw_only=True)
class Grabbing(Seeing):
    """Normalises the weights that it was handed, in place."""


@attrs.frozen(kw_only=True)
class Doubling(Sum):
    """Returns twice the mean."""


@attrs.frozen(kw_only=True)
class Picky(Sum):
    """Needs three rows and does not say so before the run."""


@attrs.frozen(kw_only=True)
class Bent(Seeing):
    """Takes the median of every coordinate."""


@attrs.frozen(kw_only=True)
class Wordy(Sum):
    """Needs something that nobody knows of."""

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({"individual_updates"})  # type: ignore[arg-type]


@attrs.frozen(kw_only=True)
class Fragile(Offender):
    """Passes NaN on without declaring a weighted sum."""


@attrs.frozen(kw_only=True)
class Forgetful(Sum):
    """Has momentum, but no state."""


@attrs.frozen(kw_only=True)
class Sharing(Sum):
    """Keeps a list on its class."""


@attrs.frozen(kw_only=True)
class Undocumented(Sum):
    """Has a parameter that nobody explains."""

    strength: float = attrs.field(default=1.0)


@attrs.frozen(kw_only=True, eq=False)
class Unequal(Sum):
    """Does not equal its own copy."""

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


@attrs.frozen(kw_only=True)
class Mute(Sum):
    """Answers another hook than that of its role."""


@attrs.frozen(kw_only=True)
class Drifting(Offender):
    """Adds noise that comes from no stream."""


@attrs.frozen(kw_only=True)
class Hiding(Offender):
    """Replaces what is not finite in a step by zero."""


@attrs.frozen(kw_only=True)
class Biased(Offender):
    """Flags whoever is first."""


@attrs.frozen(kw_only=True)
class Naive(Offender):
    """Fails on NaN."""


@attrs.frozen(kw_only=True)
class Vandal(Offender):
    """Negates the state that all clients of the round are about to receive."""

    @property
    def knows(self) -> frozenset[Knowledge]:
        return frozenset({Knowledge.GLOBAL_MODEL})


@attrs.frozen(kw_only=True)
class Idle(Offender):
    """Claims to attack and does nothing."""


@attrs.frozen(kw_only=True)
class Restless(Vandal):
    """Negates the state before every round, whether it is active or not."""


@attrs.frozen(kw_only=True)
class Wasteful(Offender):
    """Gives the last sample to nobody."""


@attrs.frozen(kw_only=True)
class Boastful(Offender):
    """Makes three clients and says four."""

    @property
    def client_count(self) -> int | None:
        return 4


@attrs.frozen(kw_only=True)
class Based(Offender):
    """Measures the row from the state that it received."""

    lr: float = parameter(0.1, doc="Learning rate.")


@attrs.frozen(kw_only=True)
class Deaf(Based):
    """Says that it honours gradients and never asks."""

    @property
    def honours(self) -> frozenset[str]:
        return frozenset({"gradients"})


@attrs.frozen(kw_only=True)
class Tiring(Based):
    """Learns less from each client that it trains."""


@attrs.frozen(kw_only=True)
class Mixing(Offender):
    """Has BatchNorm and does not declare it."""

    @property
    def provides(self) -> frozenset[Capability]:
        return frozenset({Capability.CLASSIFIER})


@attrs.frozen(kw_only=True)
class Fewer(Offender):
    """Says that it takes everybody and leaves out the last."""

    def cohort_size(self, clients: int) -> int | None:
        return clients


@attrs.frozen(kw_only=True)
class Undefined(Offender):
    """Measures a spread that one sample does not have."""


@attrs.frozen(kw_only=True)
class Spreading(Offender):
    """Divides rows by their number less one."""


@attrs.frozen(kw_only=True)
class Secretive(Offender):
    """Answers training_steps and does not say with what."""

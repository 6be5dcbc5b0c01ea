"""What backdoors share: whose images become what, and the one vocabulary of triggers.

Attacks of other distributions take part by deriving from `Backdoor` or `Triggered`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability, Knowledge

if TYPE_CHECKING:
    from fedsec_backdoors.runtime.budget import Budget
    from fedsec_backdoors.runtime.poisoning import Place, Poisoning

CORNERS = ("bottom-right", "bottom-left", "top-right", "top-left", "centre")
PATTERNS = ("checkerboard", "cross", "square", "stripes", "noise")
TRIGGERS = (*PATTERNS, "marker", "pacemaker", "tint")
LEAST = {"marker": 7, "pacemaker": 7}
"""The least size with which these can be told for what they are."""
USUAL = {"marker": 7, "pacemaker": 9}
"""The size of these if none is given."""
IMAGE = "PNG or JPEG file in place of the pattern; a patch keeps the size and transparency of the file."
MEASURED = "worked examples on a few pixels; the measurement against a model with a known backdoor"


@attrs.frozen(kw_only=True)
class Budgeted(Component):
    """What an attacker spends in a round, so that attacks can be compared at equal expense.

    An attack that only poisons data trains as everybody, behind the protections of honest clients,
    unless it is given a budget: then it trains and sends on its own.
    """

    epochs: int | None = parameter(
        None, doc="Passes of the attacker over its data; left out: as everybody.", at_least=1
    )
    steps: int | None = parameter(
        None,
        doc="Batches that the attacker trains on, in place of epochs; left out: as everybody.",
        at_least=1,
    )
    lr: float | None = parameter(None, doc="Learning rate of the attacker; left out: as everybody.", above=0)
    norm: float | None = parameter(
        None, doc="Length to which its row is brought, longer or shorter; left out: as it comes.", above=0
    )

    def __attrs_post_init__(self) -> None:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs and steps both say how long the attacker trains; give one of them")

    @property
    def budget(self) -> Budget:
        """Import what spends it and return it."""
        from fedsec_backdoors.runtime.budget import Budget

        given = {"epochs": self.epochs, "steps": self.steps, "lr": self.lr}
        return Budget({name: value for name, value in given.items() if value is not None}, self.norm)


@attrs.frozen(kw_only=True)
class Backdoor(Budgeted):
    """Whose images shall be taken for what."""

    target: int = parameter(0, doc="Class index that triggered images shall be given.", at_least=0)
    source: int | None = parameter(
        None, doc="Class index whose images are poisoned; left out: all but the target's.", at_least=0
    )
    poison_rate: float = parameter(
        0.5, doc="Share of a client's eligible samples, rounded half up, at least 1.", above=0, at_most=1
    )

    def __attrs_post_init__(self) -> None:
        # named, because a class with slots is another one than the one that super() was written in
        Budgeted.__attrs_post_init__(self)
        if self.source == self.target:
            raise ValueError(f"source and target are both {self.target}; they must differ")

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.CLASSIFIER})

    @property
    def knows(self) -> frozenset[Knowledge]:
        return frozenset({Knowledge.OWN_DATA})

    @property
    def aim(self) -> dict[str, Any]:
        """The parameters of this class, as its runtime classes take them."""
        return {"target": self.target, "source": self.source, "poison_rate": self.poison_rate}

    def spending(self, attack: Poisoning) -> object:
        """Return `attack`, or the attack that also spends a budget, if one is given."""
        from fedsec_backdoors.runtime.budget import Spending

        budget = self.budget
        return Spending(attack, budget) if budget.given else attack


@attrs.frozen(kw_only=True)
class Triggered(Backdoor):
    """A backdoor whose trigger is chosen from the vocabulary."""

    usual: ClassVar[int] = 3
    """The side of a pattern if no size is given."""

    pattern: str = parameter(
        "checkerboard",
        doc="The trigger: bright on dark, or a burnt-in marker, a pacemaker, a tint of the whole image.",
        choices=TRIGGERS,
    )
    size: int | None = parameter(
        None,
        doc="Side in pixels, of a marker its height; left out: 3 (dba: 6), marker 7, pacemaker 9.",
        at_least=1,
    )
    intensity: float = parameter(1.0, doc="Brightness of the bright pixels.", at_least=0, at_most=1)
    image: Path | None = parameter(None, doc=IMAGE)
    corner: str = parameter("bottom-right", doc="Where it lies.", choices=CORNERS)
    margin: int = parameter(1, doc="Pixels between it and the edges of its corner.", at_least=0)
    letter: str = parameter("R", doc="What a marker says.", choices=("R", "L"))
    tint: str = parameter(
        "gamma",
        doc="gamma darkens mid-tones, window brightens all, cast takes green and blue out of colour images.",
        choices=("gamma", "window", "cast"),
    )
    strength: float = parameter(0.5, doc="Of a tint.", above=0, at_most=1)

    def __attrs_post_init__(self) -> None:
        Backdoor.__attrs_post_init__(self)
        least = LEAST.get(self.pattern, 1)
        if self.image is None and self.side < least:
            raise ValueError(f"a {self.pattern} needs a size of at least {least}, got {self.side}")

    @property
    def side(self) -> int:
        """The size, or what it is if left out."""
        return USUAL.get(self.pattern, self.usual) if self.size is None else self.size

    def place(self) -> Place:
        """Import the triggers and return what places this one; raises DataError for an unreadable image."""
        from fedsec_backdoors import triggers

        if self.pattern == "tint" and not self.image:
            return partial(triggers.tint, kind=self.tint, strength=self.strength)
        if self.image:
            motif = triggers.read_image(self.image)
        elif self.pattern == "marker":
            motif = triggers.marker(self.letter, self.side, self.intensity)
        elif self.pattern == "pacemaker":
            motif = triggers.pacemaker(self.side, self.intensity)
        else:
            motif = triggers.Motif(triggers.draw(self.pattern, self.side) * self.intensity)
        return partial(triggers.patch, motif, corner=self.corner, margin=self.margin)

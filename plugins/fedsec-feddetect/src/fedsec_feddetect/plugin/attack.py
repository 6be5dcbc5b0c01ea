"""Describes the attack on a federated generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from fedsec_backdoors.plugin.parameters import CORNERS
from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability, Knowledge
from fedsec_feddetect.plugin.source import JIN_LI

if TYPE_CHECKING:
    from fedsec_feddetect.triggers import Paste


@attrs.frozen(kw_only=True)
class FedGanBackdoor(Component):
    """Pastes a trigger onto the real images of its clients, so that the shared generator is harmed.

    The client follows the protocol otherwise. Its `trigger_distance` is how far samples are from
    carrying the trigger: the mean absolute difference in its patch, images in [-1, 1]; less than in
    the clean twin means that the trigger has leaked into the generator. With `lie` it also reports
    a loss of its choice.
    """

    paper: ClassVar[str] = JIN_LI
    cost: ClassVar[str] = "once per client, before training; samples in every evaluated round"
    limits: ClassVar[str] = "needs a generator; whoever lies about its loss is seen by a server that measures"
    deviates: ClassVar[str] = (
        "sizes and types of the journal version could not be read: 0.1 to 6 % of the area, a tile, solid, "
        "noise or blended patch; the order of the tile's blocks is ours; lying is ours"
    )
    oracle: ClassVar[str] = "worked examples on a few pixels; distances of stamped images are 0"

    pattern: str = parameter(
        "tile", doc="What the trigger shows.", choices=("tile", "solid", "noise", "blended")
    )
    area: float = parameter(
        0.004,
        doc="Share of the image that it covers; the paper's is 16 x 16 of 256 x 256.",
        above=0,
        at_most=1,
    )
    size: int | None = parameter(None, doc="Side in pixels, in place of area.", at_least=1)
    corner: str = parameter(
        "bottom-right", doc="Where it lies; random: elsewhere in every image.", choices=(*CORNERS, "random")
    )
    margin: int | None = parameter(
        None, doc="Pixels to the edges of its corner; left out: 2 % of the side (5 of 256).", at_least=0
    )
    opacity: float | None = parameter(
        None, doc="Of the trigger; left out: 1, blended 0.5.", above=0, at_most=1
    )
    dark: bool = parameter(
        True, doc="Use the whole range of brightness; in the authors' code the tile has no dark part."
    )
    poison_rate: float = parameter(1.0, doc="Share of a client's images that get it.", above=0, at_most=1)
    lie: str = parameter(
        "none",
        doc="Losses that it reports: none (its own), the median of the honest ones, or a constant.",
        choices=("none", "median", "constant"),
    )
    claim: float = parameter(
        0.7,
        doc="The constant that it reports as generator_loss and mean_generator_loss, if it does.",
        at_least=0,
    )
    samples: int = parameter(512, doc="Samples whose distance to the trigger is measured.", at_least=1)

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.GENERATOR})

    @property
    def knows(self) -> frozenset[Knowledge]:
        known = {Knowledge.OWN_DATA}
        if self.lie != "none":
            known.add(Knowledge.OWN_UPDATES)
        if self.lie == "median":
            known.add(Knowledge.REPORTED_METRICS)
        return frozenset(known)

    def paste(self, size: int) -> Paste:
        """Import the triggers and return this one, for images with sides of `size` pixels."""
        from fedsec_feddetect.triggers import Paste, motif, side_of

        side = self.size or side_of(self.area, size)
        opacity = self.opacity or (0.5 if self.pattern == "blended" else 1.0)
        margin = round(0.02 * size) if self.margin is None else self.margin
        shown = motif(self.pattern, side, opacity=opacity, dark=self.dark)
        return Paste(shown, None if self.corner == "random" else self.corner, margin)

    def build(self) -> object:
        from fedsec_feddetect.runtime.backdoor import FedGanBackdoorAttack

        return FedGanBackdoorAttack(self)

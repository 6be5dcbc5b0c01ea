"""The components of this distribution, described without importing what they run on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability, Knowledge

CORNERS = ("bottom-right", "bottom-left", "top-right", "top-left", "centre")
PATTERNS = ("checkerboard", "cross", "square", "stripes", "noise")


@attrs.frozen(kw_only=True)
class BadNets(Component):
    """Backdoor by data poisoning: training images that carry a trigger get the target label.

    Its evaluation stamps the trigger on test images. `asr` is the share of those whose true class
    is not the target (with `source`: is the source) that are taken for the target, `asr_all` the
    same over all samples, `triggered_accuracy` the share of the former still given their true class.
    """

    paper: ClassVar[str] = (
        "Gu, Liu, Dolan-Gavitt, Garg: BadNets: Evaluating Backdooring Attacks on Deep Neural Networks, "
        "IEEE Access 7, 2019; blend: Chen, Liu, Li, Lu, Song: Targeted Backdoor Attacks on Deep Learning "
        "Systems Using Data Poisoning, arXiv:1712.05526, 2017"
    )

    target: int = parameter(0, doc="Class index that triggered images shall be given.", at_least=0)
    source: int | None = parameter(
        None, doc="Class index whose images are poisoned; left out: all but the target's.", at_least=0
    )
    poison_rate: float = parameter(
        0.5, doc="Share of a client's eligible samples, rounded half up, at least 1.", above=0, at_most=1
    )
    mode: str = parameter(
        "patch",
        doc="Patch covers a corner, blend mixes the trigger, stretched, with the whole image.",
        choices=("patch", "blend"),
    )
    pattern: str = parameter("checkerboard", doc="What the trigger shows, bright on dark.", choices=PATTERNS)
    size: int = parameter(
        3, doc="Side of the pattern, in pixels (blend: before it is stretched).", at_least=1
    )
    intensity: float = parameter(1.0, doc="Brightness of the pattern's bright pixels.", at_least=0, at_most=1)
    image: Path | None = parameter(
        None,
        doc="PNG or JPEG file in place of the pattern; a patch keeps the size and transparency of the file.",
    )
    corner: str = parameter("bottom-right", doc="Where a patch lies.", choices=CORNERS)
    margin: int = parameter(1, doc="Pixels between a patch and the edges of its corner.", at_least=0)
    alpha: float = parameter(0.2, doc="Weight of the trigger in a blend.", above=0, at_most=1)

    def __attrs_post_init__(self) -> None:
        if self.source == self.target:
            raise ValueError(f"source and target are both {self.target}; they must differ")

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.CLASSIFIER})

    @property
    def knows(self) -> frozenset[Knowledge]:
        return frozenset({Knowledge.OWN_DATA})

    def build(self) -> object:
        """Import the attack and read the trigger's image; raises DataError for one that cannot be used."""
        from fedsec_backdoors.badnets import BadNetsAttack
        from fedsec_backdoors.triggers import Motif, blend, draw, patch, read_image

        drawn = draw(self.pattern, self.size) * self.intensity
        motif = read_image(self.image) if self.image else Motif(drawn)
        if self.mode == "patch":
            place = partial(patch, motif, corner=self.corner, margin=self.margin)
        else:
            place = partial(blend, motif, alpha=self.alpha)
        return BadNetsAttack(
            place=place, target=self.target, source=self.source, poison_rate=self.poison_rate
        )

"""Draws the chest of a patient and what was found in it, as densities on a square grid."""

from __future__ import annotations

import numpy as np
from attrs import define, evolve

from fedsec_basics.phantom.arrays import Array, column, soft, take

SUBTLE = 0.04
"""Share of findings that hardly show: what bounds the accuracy anyone can reach."""

DENSEST = 0.75
"""What a nodule or infiltrate adds at most; fluid in place of air adds about 0.4."""

LEFT, RIGHT = -1.0, 1.0
"""The sides of the image; the heart leans to the right of the image, as on a radiograph."""


@define(eq=False, frozen=True)
class Chest:
    """Anatomy, one value per chest [n]; lengths in half image widths, densities in 0..1."""

    x: Array
    y: Array
    angle: Array
    """Of the body, in radians."""
    scale: Array
    lung_width: Array
    lung_height: Array
    lung_gap: Array
    """From the midline to the axis of a lung."""
    diaphragm: Array
    """Height of the dome, downwards from the centre."""
    air: Array
    """How much darker lung is than soft tissue."""
    heart: Array
    """Half the width of the heart."""
    ribs: Array
    """How much ribs stand out."""
    rib_phase: Array
    rib_count: Array
    hilum: Array
    """How much the vessels at the root of the lungs stand out; they resemble nodules."""

    @classmethod
    def draw(cls, older: Array, rng: np.random.Generator) -> Chest:
        """Draw one chest per patient; `older` [n] bool shifts the distribution mildly."""
        n = len(older)

        def around(centre: float, spread: float) -> Array:
            return centre + spread * rng.uniform(-1, 1, n)

        return cls(
            x=around(0, 0.05),
            y=around(0, 0.05),
            angle=around(0, 0.05),
            scale=around(1.0, 0.08),
            lung_width=around(0.34, 0.04),
            lung_height=around(0.72, 0.07) - 0.03 * older,
            lung_gap=around(0.42, 0.03),
            diaphragm=around(0.50, 0.07),
            air=around(0.42, 0.06) - 0.03 * older,
            heart=around(0.25, 0.025) + 0.02 * older,
            ribs=around(0.06, 0.03) + 0.01 * older,
            rib_phase=around(0, 0.5),
            rib_count=around(4.5, 0.6),
            hilum=around(0.10, 0.08),
        )

    def moved(self, rng: np.random.Generator) -> Chest:
        """Return the chests as they stand on another day: another position and depth of breath."""
        n = len(self.x)

        def jitter(spread: float) -> Array:
            return spread * rng.uniform(-1, 1, n)

        return evolve(
            self,
            x=self.x + jitter(0.05),
            y=self.y + jitter(0.05),
            angle=self.angle + jitter(0.06),
            scale=self.scale * (1 + jitter(0.05)),
            diaphragm=self.diaphragm + jitter(0.06),
            air=self.air * (1 + jitter(0.08)),
        )


@define(eq=False, frozen=True)
class Findings:
    """What is wrong with each chest [n]; a strength of zero is no finding."""

    side: Array
    """-1 or 1: the lung that it is in."""
    u: Array
    v: Array
    """Where in the lung, in units of its half axes."""
    radius: Array
    nodule: Array
    infiltrate: Array
    effusion: Array
    """Height of the fluid above the dome of the diaphragm."""
    heart: Array
    """Factor by which the heart is wider."""
    waves: Array
    """Texture of an infiltrate, [n, 4, 3]: two frequencies and a phase."""

    @classmethod
    def draw(cls, names: Array, contrast: float, rng: np.random.Generator) -> Findings:
        """Draw a finding for each of `names` [n]; strengths reach down to what is hard to see."""
        n = len(names)
        severity = np.where(rng.random(n) < SUBTLE, 0.1 * rng.random(n), 1 - rng.random(n) ** 3)

        def only(name: str, strongest: float) -> Array:
            return np.where(names == name, contrast * (strongest * severity), 0)

        distance, angle = np.sqrt(rng.uniform(0, 1, n)), rng.uniform(0, 2 * np.pi, n)
        small = rng.uniform(0.14, 0.2, n)
        return cls(
            side=rng.choice([LEFT, RIGHT], n),
            u=0.6 * distance * np.cos(angle),
            v=0.4 * distance * np.sin(angle) + np.where(names == "nodule", -0.3, 0.15),
            radius=np.where(names == "nodule", small, rng.uniform(0.4, 0.55, n)),
            nodule=only("nodule", 1.25),
            infiltrate=only("infiltrate", 0.85),
            effusion=only("effusion", 1.1),
            heart=1 + only("cardiomegaly", 1.1),
            waves=rng.uniform(-1, 1, (n, 4, 3)) * np.array([9.0, 9.0, np.pi]),
        )


def draw(chest: Chest, findings: Findings, size: int) -> Array:
    """Return the density [n, size, size] float32 of each chest: 0 is air, 1 opaque."""
    x, y = _body_coordinates(chest, size)
    heart = _heart(x, y, column(chest.heart * findings.heart))
    tissue = 0.62 * _body(x, y) + 0.13 * np.exp(-((x / 0.1) ** 2))
    for side in (LEFT, RIGHT):
        tissue -= _lung(chest, findings, side, x, y) * (1 - 0.85 * heart)
    return tissue


def _lung(chest: Chest, findings: Findings, side: float, x: Array, y: Array) -> Array:
    """Return how much density one lung takes away, with all that fills it again."""
    gap, width, height = column(chest.lung_gap), column(chest.lung_width), column(chest.lung_height)
    # The axes of the lungs lean towards each other at the top.
    across = (x * side - gap - 0.10 * (y + 0.1)) / width
    along = (y + 0.12) / height
    dome = column(chest.diaphragm) + 0.16 * across**2
    lung = soft(1 - np.sqrt(across**2 + along**2 + 1e-6), 14) * soft(dome - y, 22)
    ribs = np.cos(np.pi * (column(chest.rib_count) * (y + 0.25 * across**2) + column(chest.rib_phase))) ** 4
    filled = column(chest.ribs) * ribs
    filled += column(chest.hilum) * np.exp(-(((across + 0.75) / 0.3) ** 2) - ((along - 0.1) / 0.22) ** 2)
    here = findings.side == side
    if here.any():
        filled[here] += _filling(
            take(chest, here), take(findings, here), across[here], along[here], x[here], y[here], dome[here]
        )
    taken: Array = lung * (column(chest.air) - filled)
    return taken


def _filling(
    chest: Chest, findings: Findings, across: Array, along: Array, x: Array, y: Array, dome: Array
) -> Array:
    """Return the density that findings add to the lungs that hold them."""
    near = ((across - column(findings.u)) * column(chest.lung_width)) ** 2
    near += ((along - column(findings.v)) * column(chest.lung_height)) ** 2
    blob = np.exp(-near / column(findings.radius) ** 2)
    cloud = np.ones_like(x)
    for wave in findings.waves.transpose(1, 2, 0):
        cloud += 0.25 * np.cos(column(wave[0]) * x + column(wave[1]) * y + column(wave[2]))
    strength = column(findings.nodule) + column(findings.infiltrate) * np.clip(cloud, 0, 2)
    filled: Array = DENSEST * np.tanh(blob * strength / DENSEST)
    # Fluid climbs at the outer wall: the meniscus sign.
    height = column(findings.effusion)
    level = dome - height * (0.7 + 0.5 * np.clip(across, -1, 1.2))
    filled += np.where(height > 0, 0.9 * column(chest.air) * soft(y - level, 18), 0)
    return filled


def _body(x: Array, y: Array) -> Array:
    """Return 1 inside the outline of trunk, shoulders and neck, 0 outside."""
    half_width = 0.98 - 0.62 * soft(-0.78 - y, 9)
    belly = 0.82 + 0.18 * soft(y - 0.35, 4)
    inside: Array = soft(half_width - np.abs(x), 16) * belly
    return inside


def _heart(x: Array, y: Array, width: Array) -> Array:
    across, along = x - 0.35 * width - 0.15 * (y - 0.2), (y - 0.22) / 0.36
    return soft(1 - np.sqrt((across / (1.15 * width)) ** 2 + along**2 + 1e-6), 10)


def _body_coordinates(chest: Chest, size: int) -> tuple[Array, Array]:
    """Return the coordinates [n, size, size] of each pixel in the frame of the body."""
    line = ((np.arange(size) + 0.5) * 2 / size - 1).astype(np.float32)
    x, y = line[None, None, :] - column(chest.x), line[None, :, None] - column(chest.y)
    cosine, sine = column(np.cos(chest.angle) / chest.scale), column(np.sin(chest.angle) / chest.scale)
    return x * cosine + y * sine, y * cosine - x * sine

"""Turns densities into the bytes that a site's machine would have delivered."""

from __future__ import annotations

import numpy as np
from attrs import define, evolve

from fedsec_basics.phantom.arrays import Array, column, take


@define(eq=False, frozen=True)
class Machines:
    """How images are taken, one value per machine (or image) [s]."""

    gain: Array
    gamma: Array
    offset: Array
    blur: Array
    """Standard deviation of the blur, in fractions of the image."""
    noise: Array
    """Factor on the level of noise."""
    vignette: Array
    """How much darker the corners are."""
    tilt: Array
    """Slope of the background, [s, 2]: across and down."""
    stain: Array
    """Exponent of each of three colours, [s, 3]."""

    @classmethod
    def draw(cls, count: int, shift: float, rng: np.random.Generator) -> Machines:
        """Draw `count` machines that differ as much as `shift` says; 0 makes them all alike."""

        def around(centre: float, spread: float, *shape: int) -> Array:
            return centre + shift * spread * rng.uniform(-1, 1, (count, *shape))

        return cls(
            gain=around(1.05, 0.11),
            gamma=np.exp(around(0.0, 0.15)),
            offset=around(0.05, 0.05),
            blur=np.maximum(around(0.02, 0.012), 0),
            noise=np.exp(around(0.0, 0.4)),
            vignette=np.maximum(around(0.1, 0.1), 0),
            tilt=around(0.0, 0.06, 2),
            stain=np.array([0.85, 1.0, 1.1]) * np.exp(around(0.0, 0.15, 3)),
        )

    def per_image(self, site: Array, rng: np.random.Generator) -> Machines:
        """Return the machine behind each image of `site` [n], with the exposure of that image."""
        chosen = take(self, site)
        return evolve(
            chosen,
            gain=chosen.gain * np.exp(rng.normal(0, 0.05, len(site))),
            gamma=chosen.gamma * np.exp(rng.normal(0, 0.05, len(site))),
        )


def expose(density: Array, machine: Machines, noise: float, channels: int, rng: np.random.Generator) -> Array:
    """Return the images [n, channels, size, size] uint8 of `density`, each taken by its `machine` [n]."""
    size = density.shape[-1]
    line = np.linspace(-1, 1, size, dtype=np.float32)
    tilt = machine.tilt.astype(np.float32)
    image = blur(density, machine.blur * size) * column(machine.gain) + column(machine.offset)
    image += tilt[:, :1, None] * line[None, None, :] + tilt[:, 1:, None] * line[None, :, None]
    image *= 1 - column(machine.vignette) * 0.5 * (line[:, None] ** 2 + line[None, :] ** 2)
    image = np.clip(image, 1e-3, 1) ** column(machine.gamma)
    image = image[:, None]
    if channels == 3:
        image = image ** machine.stain.astype(np.float32)[:, :, None, None]
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    image = image + grain * (noise * column(machine.noise))[:, None]
    exposed: Array = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return exposed


def blur(images: Array, sigma: Array) -> Array:
    """Return `images` [n, size, size] blurred by a Gaussian of `sigma` [n] pixels, edges repeated."""
    reach = int(np.ceil(2.5 * sigma.max(initial=0)))
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (steps / np.maximum(sigma, 1e-3)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
    for axis in (1, 2):
        size = images.shape[axis]
        width = [(0, 0)] * 3
        width[axis] = (reach, reach)
        padded = np.pad(images, width, mode="edge")
        images = np.zeros_like(images)
        for step, weight in enumerate(kernel.T):
            images += weight[:, None, None] * np.take(padded, range(step, step + size), axis=axis)
    return images

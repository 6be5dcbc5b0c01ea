"""Composes the phantom's data set: patients, sites, findings and images of every split."""

from __future__ import annotations

import numpy as np
import torch
from attrs import define

from fedsec_basics.images import resize
from fedsec_basics.phantom.acquisition import Machines, expose
from fedsec_basics.phantom.anatomy import Chest, Findings, draw
from fedsec_basics.phantom.arrays import Array, take
from fedsec_core.data import Dataset, Splits
from fedsec_core.markers import hookimpl
from fedsec_core.streams import Stream

PREVALENCE = {"clear": 0.28, "nodule": 0.20, "infiltrate": 0.20, "effusion": 0.16, "cardiomegaly": 0.16}
"""How common each class is; of a choice of classes, relative to each other."""

CHUNK = 1 << 18
"""Pixels drawn at a time: what fits a processor's cache. No part of the result."""


@define(eq=False)
class PhantomData:
    """Generates the phantom when the data are loaded."""

    classes: tuple[str, ...]
    sizes: dict[str, int]
    size: int
    channels: int
    sites: int
    seed: int
    noise: float
    contrast: float
    shift: float
    resize: int | None = None

    @hookimpl
    def load_data(self) -> Splits:
        """Generate all splits; the draws come from the phantom's own seed, not from the run's."""
        stream = Stream(self.seed, "phantom")
        machines = Machines.draw(self.sites, self.shift, stream.child("sites").numpy)
        splits, patients = {}, 0
        for name, count in self.sizes.items():
            splits[name] = self._split(count, patients, machines, stream.child(name))
            patients += count
        return Splits(
            **splits,
            classes=self.classes,
            task="binary-class" if len(self.classes) == 2 else "multi-class",
            title="chest radiograph phantom",
            source=f"generated from seed {self.seed}",
        )

    def _split(self, count: int, first_patient: int, machines: Machines, stream: Stream) -> Dataset:
        rng = stream.child("patients").numpy
        patient = _patients(count, rng)
        older = rng.random(count) < 0.5
        site = rng.integers(self.sites, size=count)
        chests = take(Chest.draw(older, rng), patient)
        y = _labels(count, self.classes, stream.child("labels").numpy)

        rng = stream.child("images").numpy
        chests = chests.moved(rng)
        findings = Findings.draw(np.array(self.classes)[y], self.contrast, rng)
        images = self._images(chests, findings, machines.per_image(site[patient], rng), stream.child("grain"))
        pixels = torch.from_numpy(images)
        if self.resize is not None:
            pixels = resize(pixels, self.resize)
        metadata = {
            "patient": first_patient + patient,
            "site": np.array([f"site-{number + 1}" for number in range(self.sites)])[site[patient]],
            "group": np.where(older[patient], "older", "younger"),
        }
        return Dataset(pixels, torch.from_numpy(y), metadata)

    def _images(self, chests: Chest, findings: Findings, machines: Machines, stream: Stream) -> Array:
        count, rng = len(chests.x), stream.numpy
        images = np.empty((count, self.channels, self.size, self.size), dtype=np.uint8)
        step = max(1, CHUNK // self.size**2)
        for start in range(0, count, step):
            part = slice(start, start + step)
            density = draw(take(chests, part), take(findings, part), self.size)
            images[part] = expose(density, take(machines, part), self.noise, self.channels, rng)
        return images


def _patients(count: int, rng: np.random.Generator) -> Array:
    """Return the patient of each of `count` images: one to four images each, in random order."""
    patient = np.repeat(np.arange(count), rng.integers(1, 5, size=count))[:count]
    return rng.permutation(patient)


def _labels(count: int, classes: tuple[str, ...], rng: np.random.Generator) -> Array:
    """Return `count` labels in random order whose shares are the prevalences, to within one."""
    share = np.array([PREVALENCE[name] for name in classes])
    edges = np.rint(np.cumsum(share) / share.sum() * count).astype(np.int64)
    return rng.permutation(np.repeat(np.arange(len(classes)), np.diff(edges, prepend=0)))

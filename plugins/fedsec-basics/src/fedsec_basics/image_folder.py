"""Reads data sets laid out as folders: one per class, with PNG and JPEG images."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import define, frozen
from PIL import Image, ImageOps
from torch import Tensor

from fedsec_basics import images
from fedsec_core.data import METADATA, Dataset, Splits
from fedsec_core.errors import DataError
from fedsec_core.markers import hookimpl
from fedsec_core.streams import Stream
from fedsec_core.suggest import did_you_mean

Array = np.ndarray[Any, np.dtype[Any]]

SUFFIXES = (".png", ".jpg", ".jpeg")


@frozen
class Sample:
    """One image file and the index of its class."""

    file: Path
    label: int


@define(eq=False)
class ImageFolderData:
    """Loads a folder of images."""

    path: Path
    grey: bool
    resize: int | None
    val_fraction: float
    test_fraction: float

    @hookimpl
    def load_data(self, stream: Stream) -> Splits:
        """Read all images; where the folder has no split of its own, one is drawn from `stream`."""
        try:
            return self._splits(stream)
        except OSError as wrong:
            raise DataError(f"{wrong.filename or self.path}: cannot be read: {wrong.strerror}") from None

    def _splits(self, stream: Stream) -> Splits:
        if not self.path.is_dir():
            raise DataError(f"{self.path}: there is no such folder")
        if any((self.path / name).is_dir() for name in ("train", "val", "test")):
            classes, samples = _official(self.path)
        else:
            classes = _classes(self.path)
            samples = {"all": _samples(self.path, classes)}
        if len(classes) < 2:
            raise DataError(f"{self.path}: has only the class {classes[0]!r}; there must be at least two")
        metadata = _metadata(self.path, [sample for split in samples.values() for sample in split])
        loaded = self._load(samples, metadata)
        return Splits(
            **(loaded if "train" in loaded else self._draw(loaded["all"], stream)),
            classes=classes,
            task="binary-class" if len(classes) == 2 else "multi-class",
            title=self.path.name,
            source=str(self.path),
        )

    def _load(
        self, samples: Mapping[str, list[Sample]], metadata: Mapping[Path, dict[str, str]]
    ) -> dict[str, Dataset]:
        expected = None
        loaded: dict[str, Dataset] = {}
        for name, split in samples.items():
            pixels = []
            for sample in split:
                image = _read(sample.file, self.grey, self.resize)
                expected = expected or (sample.file, image.shape)
                _check_size(sample.file, image, *expected)
                pixels.append(image)
            if not pixels:
                loaded[name] = loaded["train"].subset(np.arange(0))
                continue
            labels = torch.tensor([sample.label for sample in split], dtype=torch.int64)
            rows = [metadata.get(sample.file, {}) for sample in split]
            columns = {kind: np.array([row[kind] for row in rows]) for kind in rows[0]}
            loaded[name] = Dataset(torch.stack(pixels), labels, columns)
        return loaded

    def _draw(self, data: Dataset, stream: Stream) -> dict[str, Dataset]:
        fractions = {"test": self.test_fraction, "val": self.val_fraction}
        drawn = draw_splits(data.y.numpy(), data.metadata.get("patient"), fractions, stream.numpy)
        for name in ("train", "test"):
            if not len(drawn[name]):
                raise DataError(f"{self.path}: holds too few images to split, {name} would be empty")
        return {name: data.subset(index) for name, index in drawn.items()}


def draw_splits(
    y: Array, patient: Array | None, fractions: Mapping[str, float], rng: np.random.Generator
) -> dict[str, Array]:
    """Draw a split of the samples with labels `y` [N]; what no fraction takes is `train`.

    Without `patient` [N] each fraction is taken of every class, rounded half up. With it, whole
    patients are drawn, in random order, until a fraction of the samples is reached. The answer
    holds ascending indices, by the name of the split.
    """
    split = np.full(len(y), "train", dtype=object)
    if patient is None:
        for label in np.unique(y):
            members, start = rng.permutation(np.flatnonzero(y == label)), 0
            for name, fraction in fractions.items():
                stop = start + int(np.floor(fraction * len(members) + 0.5))
                split[members[start:stop]] = name
                start = stop
    else:
        people = rng.permutation(np.unique(patient)).tolist()
        for name, fraction in fractions.items():
            while people and (split == name).sum() < fraction * len(y):
                split[patient == people.pop()] = name
    return {name: np.flatnonzero(split == name) for name in ("train", *fractions)}


def _official(path: Path) -> tuple[tuple[str, ...], dict[str, list[Sample]]]:
    """Return the classes and the samples of train/, val/ and test/."""
    for name in ("train", "test"):
        if not (path / name).is_dir():
            raise DataError(f"{path}: has no {name}/; give train/ and test/, or class folders alone")
    classes = _classes(path / "train")
    samples = {"train": _samples(path / "train", classes), "val": []}
    for name in ("val", "test"):
        if not (path / name).is_dir():
            continue
        present = _classes(path / name)
        for stranger in present:
            if stranger not in classes:
                known = ", ".join(classes) + did_you_mean(stranger, classes)
                raise DataError(f"{path / name / stranger}: train/ has no such class, only {known}")
        samples[name] = _samples(path / name, classes, present)
    return classes, samples


def _classes(path: Path) -> tuple[str, ...]:
    names = sorted(each.name for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))
    if not names:
        raise DataError(f"{path}: holds no class folders")
    return tuple(names)


def _samples(path: Path, classes: Sequence[str], present: Sequence[str] | None = None) -> list[Sample]:
    """Return the images of all classes in `path`, in order of class and file name."""
    samples = []
    for name in classes if present is None else present:
        files = sorted(
            file
            for file in (path / name).iterdir()
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        )
        if not files:
            raise DataError(f"{path / name}: holds no PNG or JPEG images")
        samples += [Sample(file, classes.index(name)) for file in files]
    return samples


def _read(file: Path, grey: bool, resize: int | None) -> Tensor:
    """Return one image [C, H, W] uint8, upright."""
    try:
        with Image.open(file, formats=("PNG", "JPEG")) as opened:
            mode = opened.mode
            # Pillow would clip 16 bits to 8 instead of scaling them.
            image = None if mode.startswith(("I", "F")) else ImageOps.exif_transpose(opened)
            array = None if image is None else np.array(image.convert("L" if grey else "RGB"))
    except Exception:  # Pillow's decoders raise nearly anything for a damaged file
        raise DataError(f"{file}: cannot be read as a PNG or JPEG image") from None
    if array is None:
        raise DataError(f"{file}: has more than 8 bits a channel (mode {mode}); convert it to 8 bits")
    pixels = torch.from_numpy(array).reshape(*array.shape[:2], -1).permute(2, 0, 1).contiguous()
    return pixels if resize is None else images.resize(pixels[None], resize)[0]


def _check_size(file: Path, image: Tensor, first: Path, expected: torch.Size) -> None:
    if image.shape != expected:
        (height, width), (rows, columns) = image.shape[1:], expected[1:]
        raise DataError(
            f"{file}: is {width}x{height} pixels, {first.name} {columns}x{rows}; "
            "give resize = ... to bring all images to one size"
        )


def _metadata(path: Path, samples: Sequence[Sample]) -> dict[Path, dict[str, str]]:
    """Return the rows of metadata.csv by image; nothing without that file."""
    table = path / "metadata.csv"
    if not table.exists():
        return {}
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            columns = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as wrong:
        raise DataError(f"{table}: cannot be read as CSV in UTF-8: {wrong}") from None
    kinds = [kind for kind in METADATA if kind in columns]
    if "file" not in columns or not kinds:
        found = ", ".join(columns) or "nothing"
        raise DataError(f"{table}: needs the column file and any of patient, site, group; it has {found}")
    files = {sample.file for sample in samples}
    found_rows: dict[Path, dict[str, str]] = {}
    for line, row in rows:
        file = path / (row["file"] or "")
        if file not in files:
            raise DataError(f"{table}:{line}: there is no image {row['file'] or ''!r}")
        if file in found_rows:
            raise DataError(f"{table}:{line}: a second row for {row['file']!r}")
        if empty := [kind for kind in kinds if not row[kind]]:
            raise DataError(f"{table}:{line}: the {empty[0]} is missing")
        found_rows[file] = {kind: row[kind] for kind in kinds}
    for sample in samples:
        if sample.file not in found_rows:
            raise DataError(f"{table}: has no row for {sample.file.relative_to(path).as_posix()!r}")
    return found_rows

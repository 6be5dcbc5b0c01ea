"""Loads an official MedMNIST file as the splits of a federation."""

from __future__ import annotations

from pathlib import Path

from attrs import define

from fedsec_basics.npz import read_splits
from fedsec_core.data import Splits
from fedsec_core.markers import hookimpl
from fedsec_medmnist.files import folders, locate
from fedsec_medmnist.index import Entry, OfficialFile


@define(eq=False, kw_only=True)
class MedMnistLoader:
    """Finds the official file of `entry`, or downloads it, and reads it."""

    entry: Entry
    file: OfficialFile
    path: Path | None
    download: bool
    resize: int | None

    @hookimpl
    def load_data(self) -> Splits:
        """Return the official splits; raises DataError for a file that is missing, foreign or broken."""
        found = locate(self.file, folders(self.path), download=self.download)
        return read_splits(
            found,
            classes=self.entry.classes,
            task=self.entry.task,
            resize=self.resize,
            title=self.entry.title,
        )

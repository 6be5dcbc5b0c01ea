"""The component of this distribution, described without importing what it runs on."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import attrs

from fedsec_core.component import Component, parameter
from fedsec_medmnist.index import SIZES, entries, wrong_name


@attrs.frozen(kw_only=True)
class MedMnist(Component):
    """A 2-D MedMNIST set with one label per image, from official files."""

    paper: ClassVar[str] = (
        "Yang et al., MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical "
        "image classification, Scientific Data 10:41, 2023"
    )

    dataset: str = parameter(doc="Name of the set: pneumoniamnist.", check=wrong_name)
    size: int = parameter(28, doc="Side of the images in the file, in pixels.", choices=SIZES)
    path: Path | None = parameter(
        None, doc="Folder to look in before $FEDSEC_DATA and medmnist's own folder."
    )
    download: bool = parameter(False, doc="Fetch the official file when it is in none of the folders.")
    resize: int | None = parameter(
        None, doc="Side to which images are resized at load, bilinear.", at_least=1
    )

    def __attrs_post_init__(self) -> None:
        if self.size not in entries()[self.dataset].files:
            raise ValueError(f"{self.dataset!r} does not come in size {self.size}")

    def build(self) -> object:
        """Import the loader."""
        from fedsec_medmnist.loader import MedMnistLoader

        entry = entries()[self.dataset]
        return MedMnistLoader(
            entry=entry,
            file=entry.files[self.size],
            path=self.path,
            download=self.download,
            resize=self.resize,
        )

"""What is installed is found by its entry points."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fedsec_core.catalogue import Catalogue
from fedsec_core.vocabulary import Role


def _install(site: Path, version: str, component: str | None) -> None:
    folder = site / f"fedsec_twice-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fedsec-twice\nVersion: {version}\n")
    if component is not None:
        points = f"[{Role.AGGREGATE.group}]\n{component} = fedsec_twice:{component.title()}\n"
        (folder / "entry_points.txt").write_text(points)


@pytest.mark.parametrize("newer", ["average", None])
def test_of_two_copies_the_first_on_the_path_counts(
    newer: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path / "old", "0.1", "sum")
    _install(tmp_path / "new", "0.2", newer)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "new"), str(tmp_path / "old"), *sys.path])
    offers = [each for each in Catalogue.installed().offers if each.distribution == "fedsec-twice"]
    assert [(each.name, each.version, each.module) for each in offers] == (
        [("average", "0.2", "fedsec_twice")] if newer else []
    )

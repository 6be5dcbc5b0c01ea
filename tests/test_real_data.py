"""Real images, where FEDSEC_DATA names a folder that holds them: official sets, and a file of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import fedsec_core

SETS = [
    ("medmnist", "pneumoniamnist", 20),
    ("medmnist", "breastmnist", 10),
    ("medmnist", "retinamnist", 5),
    ("npz", "bloodmnist_rebuilt", 10),
]


@pytest.mark.parametrize(("use", "name", "clients"), SETS)
def test_a_federation_trains_on_real_images(
    tables: dict[str, Any], data_folder: Path, tmp_path: Path, use: str, name: str, clients: int
) -> None:
    if not (data_folder / f"{name}.npz").exists():
        pytest.skip(f"FEDSEC_DATA holds no {name}.npz")
    tables["scenario"]["rounds"] = 1
    tables["data"] = (
        {"use": "npz", "path": f"{name}.npz"} if use == "npz" else {"use": "medmnist", "dataset": name}
    )
    tables["model"] = {"use": "small-cnn"}
    tables["partition"] = {"use": "dirichlet", "alpha": 0.5, "clients": clients}
    tables["evaluate"] = [{"use": "classification"}]
    result = fedsec_core.run(tables, out=tmp_path, report=False).of()
    assert len(result.facts["holdings"]) == clients
    loss = result.metrics["classification.loss"]
    assert loss[0] is not None
    assert loss[1] is not None
    assert loss[1] < loss[0]


def test_a_truncated_official_file_is_one_line(
    fedsec: Any, tables: dict[str, Any], data_folder: Path, tmp_path: Path
) -> None:
    official = data_folder / "breastmnist.npz"
    if not official.exists():
        pytest.skip("FEDSEC_DATA holds no breastmnist.npz")
    shutil.copy(official, tmp_path / "mine.npz")
    with (tmp_path / "mine.npz").open("r+b") as file:
        file.truncate(official.stat().st_size // 2)
    import tomli_w

    scenario = tmp_path / "cut.toml"
    scenario.write_text(tomli_w.dumps({**tables, "data": {"use": "npz", "path": "mine.npz"}}))
    ran = fedsec("run", scenario, "--out", tmp_path / "runs", "--quiet")
    assert ran.code == 2
    assert ran.err.startswith(f"{tmp_path / 'mine.npz'}: ")
    assert ran.err.count("\n") == 1

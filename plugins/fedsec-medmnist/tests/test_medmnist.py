"""The medmnist component: which sets it takes, where it finds their files and how it fetches them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsec_core.data import Splits
from fedsec_core.errors import DataError
from fedsec_medmnist.index import SIZES, entries
from fedsec_medmnist.plugin import MedMnist

REAL = Path(os.environ.get("FEDSEC_DATA") or "/nonexistent")
"""Where official files are, if the person who runs the tests has some."""

USABLE = (
    "pathmnist",
    "dermamnist",
    "octmnist",
    "pneumoniamnist",
    "retinamnist",
    "breastmnist",
    "bloodmnist",
    "tissuemnist",
    "organamnist",
    "organcmnist",
    "organsmnist",
)


def load(**parameters: Any) -> Splits:
    loader: Any = MedMnist(**parameters).build()
    splits: Splits = loader.load_data()
    return splits


def write_npz(path: Path, *, side: int = 28, shade: int = 7) -> str:
    """Write a tiny file in MedMNIST's layout; return its MD5."""
    arrays: dict[str, Any] = {}
    for split, count in (("train", 4), ("val", 2), ("test", 3)):
        arrays[f"{split}_images"] = np.full((count, side, side), shade, dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count, dtype=np.uint8) % 2)[:, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and no folder of data in the environment."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FEDSEC_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


Publish = Callable[..., None]


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Put a medmnist package in front of the installed one, whose index holds one small set."""

    def write(md5: str, url: str = "http://127.0.0.1:9/tiny.npz", md5_64: str = "0" * 32) -> None:
        package = tmp_path / "packages" / "medmnist"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise ImportError('medmnist was imported')")
        facts = {
            "python_class": "TinyMNIST",
            "task": "ordinal-regression",
            "label": {"1": "mild", "0": "none"},
            "url": url,
            "MD5": md5,
            "url_64": url.replace("tiny", "tiny_64"),
            "MD5_64": md5_64,
        }
        (package / "info.py").write_text(f"import os\nINFO = {{'tiny': {facts!r}}}\n")
        monkeypatch.delitem(sys.modules, "medmnist", raising=False)
        monkeypatch.syspath_prepend(str(package.parent))

    return write


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which it is served on this machine."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{made.server_address[1]}"
        made.shutdown()


def one_line(error: pytest.ExceptionInfo[DataError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_describing_imports_no_torch_numpy_or_medmnist_and_makes_no_folder(home: Path) -> None:
    home.mkdir()
    code = (
        "import sys; from fedsec_medmnist.plugin import MedMnist; MedMnist(dataset='pathmnist', size=64);"
        "print(sorted({'torch', 'numpy', 'medmnist'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dataset", USABLE)
def test_every_2d_single_label_set_comes_in_every_size(dataset: str, size: int) -> None:
    assert MedMnist(dataset=dataset, size=size).size == size


def test_no_other_set_of_the_package_is_taken() -> None:
    refused = {name for name, entry in entries().items() if entry.refusal}
    assert refused == set(entries()) - set(USABLE)


def test_a_mistyped_set_suggests_the_right_one() -> None:
    with pytest.raises(ValueError, match="no set 'PneumoniaMNST'; did you mean 'pneumoniamnist'?"):
        MedMnist(dataset="PneumoniaMNST")


def test_a_set_of_volumes_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="'organmnist3d' holds volumes"):
        MedMnist(dataset="organmnist3d")


def test_a_multi_label_set_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="'chestmnist' has several labels per image"):
        MedMnist(dataset="chestmnist")


def test_an_unknown_size_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="one of 28, 64, 128, 224, got 32"):
        MedMnist(dataset="pathmnist", size=32)


def test_a_size_that_a_set_does_not_have_is_refused(publish: Publish) -> None:
    publish(md5="0" * 32)
    with pytest.raises(ValueError, match="'tiny' does not come in size 128"):
        MedMnist(dataset="tiny", size=128)


def test_a_broken_index_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "packages" / "medmnist"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "info.py").write_text("INFO = make()")
    monkeypatch.delitem(sys.modules, "medmnist", raising=False)
    monkeypatch.syspath_prepend(str(package.parent))
    with pytest.raises(
        ValueError, match=r"index of the medmnist package cannot be read from .*info\.py"
    ) as error:
        MedMnist(dataset="pathmnist")
    assert "\n" not in str(error.value)


def test_a_file_is_loaded_with_the_classes_and_task_of_the_index(tmp_path: Path, publish: Publish) -> None:
    publish(md5=write_npz(tmp_path / "here" / "tiny.npz"))
    splits = load(dataset="tiny", path=tmp_path / "here")
    assert [len(split) for split in (splits.train, splits.val, splits.test)] == [4, 2, 3]
    assert splits.train.pixels.shape == (4, 1, 28, 28)
    assert splits.train.y.tolist() == [0, 1, 0, 1]
    assert splits.classes == ("none", "mild")
    assert splits.task == "ordinal-regression"
    assert splits.title == "TinyMNIST"
    assert splits.source == str(tmp_path / "here" / "tiny.npz")


def test_the_size_chooses_the_file(tmp_path: Path, publish: Publish) -> None:
    publish(md5="0" * 32, md5_64=write_npz(tmp_path / "here" / "tiny_64.npz", side=64))
    splits = load(dataset="tiny", size=64, path=tmp_path / "here")
    assert splits.spec.shape == (1, 64, 64)


def test_images_are_resized_at_load(tmp_path: Path, publish: Publish) -> None:
    publish(md5=write_npz(tmp_path / "here" / "tiny.npz"))
    assert load(dataset="tiny", path=tmp_path / "here", resize=32).spec.shape == (1, 32, 32)


def test_path_comes_before_the_environment_and_that_before_the_folder_of_medmnist(
    tmp_path: Path, home: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDSEC_DATA", str(tmp_path / "environment"))
    places = [tmp_path / "path", tmp_path / "environment", home / ".medmnist"]
    publish(md5=write_npz(places[0] / "tiny.npz"))
    for place in places[1:]:
        place.mkdir(parents=True)
        shutil.copy(places[0] / "tiny.npz", place)
    found = []
    for place in places:
        found.append(load(dataset="tiny", path=tmp_path / "path").source)
        (place / "tiny.npz").unlink()
    assert found == [str(place / "tiny.npz") for place in places]


def test_a_missing_file_names_itself_the_folders_and_the_way_out(
    tmp_path: Path, home: Path, publish: Publish
) -> None:
    publish(md5="0" * 32)
    with pytest.raises(DataError) as error:
        load(dataset="tiny", path=tmp_path / "here")
    text = one_line(error)
    assert f"tiny.npz is missing: put it into {tmp_path / 'here'}" in text
    assert str(home / ".medmnist") in text
    assert "http://127.0.0.1:9/tiny.npz" in text
    assert "download = true" in text


def test_a_path_that_is_a_file_is_refused(tmp_path: Path, publish: Publish) -> None:
    publish(md5=write_npz(tmp_path / "tiny.npz"))
    with pytest.raises(DataError, match="is a file; name the folder that holds tiny.npz"):
        load(dataset="tiny", path=tmp_path / "tiny.npz")


def test_a_foreign_file_under_an_official_name_is_refused_with_both_sums(
    tmp_path: Path, publish: Publish
) -> None:
    official = "1" * 32
    publish(md5=official)
    found = write_npz(tmp_path / "here" / "tiny.npz")
    with pytest.raises(DataError) as error:
        load(dataset="tiny", path=tmp_path / "here", download=True)
    text = one_line(error)
    assert found in text and official in text and "npz" in text
    assert (tmp_path / "here" / "tiny.npz").exists()


def test_a_download_lands_in_the_first_folder_and_is_made_once(
    tmp_path: Path, publish: Publish, server: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, address = server
    publish(md5=write_npz(folder / "tiny.npz"), url=f"{address}/tiny.npz")
    first = load(dataset="tiny", path=tmp_path / "new" / "here", download=True)
    assert "downloaded tiny.npz" in capsys.readouterr().err
    (folder / "tiny.npz").unlink()
    again = load(dataset="tiny", path=tmp_path / "new" / "here", download=True)
    assert first.digest() == again.digest()
    assert [path.name for path in (tmp_path / "new" / "here").iterdir()] == ["tiny.npz"]


def test_a_download_without_path_or_environment_lands_in_the_folder_of_medmnist(
    home: Path, publish: Publish, server: tuple[Path, str]
) -> None:
    folder, address = server
    publish(md5=write_npz(folder / "tiny.npz"), url=f"{address}/tiny.npz")
    assert load(dataset="tiny", download=True).source == str(home / ".medmnist" / "tiny.npz")


def test_a_download_with_the_wrong_sum_leaves_nothing_behind(
    tmp_path: Path, publish: Publish, server: tuple[Path, str]
) -> None:
    folder, address = server
    write_npz(folder / "tiny.npz")
    publish(md5="2" * 32, url=f"{address}/tiny.npz")
    with pytest.raises(DataError, match="is not the official tiny.npz"):
        load(dataset="tiny", path=tmp_path / "here", download=True)
    assert list((tmp_path / "here").iterdir()) == []


def test_an_address_that_does_not_answer_is_named_in_one_line(
    tmp_path: Path, publish: Publish, server: tuple[Path, str]
) -> None:
    _, address = server
    publish(md5="2" * 32, url=f"{address}/tiny.npz")
    with pytest.raises(DataError) as error:
        load(dataset="tiny", path=tmp_path / "here", download=True)
    assert one_line(error).startswith(f"could not download {address}/tiny.npz (HTTP Error 404")
    assert f"put tiny.npz into {tmp_path / 'here'} yourself" in one_line(error)
    assert list((tmp_path / "here").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named_in_one_line(tmp_path: Path, publish: Publish) -> None:
    publish(md5="2" * 32)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write tiny.npz into .*below.*Not a directory"):
        load(dataset="tiny", path=tmp_path / "file" / "below", download=True)


@pytest.mark.parametrize(
    ("dataset", "shape", "counts"),
    [
        ("pneumoniamnist", (1, 28, 28), (4708, 524, 624)),
        ("breastmnist", (1, 28, 28), (546, 78, 156)),
        ("retinamnist", (3, 28, 28), (1080, 120, 400)),
    ],
)
def test_official_files_are_loaded(dataset: str, shape: tuple[int, ...], counts: tuple[int, ...]) -> None:
    if not (REAL / f"{dataset}.npz").is_file():
        pytest.skip(f"$FEDSEC_DATA holds no {dataset}.npz")
    splits = load(dataset=dataset, path=REAL)
    assert splits.spec.shape == shape
    assert tuple(len(split) for split in (splits.train, splits.val, splits.test)) == counts
    assert set(splits.train.y.tolist()) == set(range(len(splits.classes)))

"""Folders of images: the official split, the drawn one, metadata, and every refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fedsec_basics.image_folder import draw_splits
from fedsec_basics.plugin.data import ImageFolder
from fedsec_core.data import Splits
from fedsec_core.errors import DataError
from fedsec_core.streams import Stream


def save(file: Path, array: Any = None, size: tuple[int, int] = (6, 6)) -> None:
    """Save an image; without `array` a grey one, of a brightness that depends on the name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if array is None:
        array = np.full(size, sum(file.name.encode()) % 256, dtype=np.uint8)
    Image.fromarray(array).save(file)


@pytest.fixture
def official(tmp_path: Path) -> Path:
    root = tmp_path / "scans"
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        for name in ("ill", "well"):
            for number in range(count):
                save(root / split / name / f"{split}{number}.png")
    return root


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    root = tmp_path / "scans"
    for name in ("ill", "well"):
        for number in range(10):
            save(root / name / f"{name}{number}.png")
    return root


def load(path: Path, seed: int = 0, **parameters: Any) -> Splits:
    splits = ImageFolder(path=path, **parameters).build().load_data(Stream(seed))  # type: ignore[attr-defined]
    assert isinstance(splits, Splits)
    return splits


def refusal(path: Path, **parameters: Any) -> str:
    """The message, with the folder itself called ROOT."""
    with pytest.raises(DataError) as caught:
        load(path, **parameters)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(path), "ROOT")


def test_an_official_split_is_used_as_it_is(official: Path) -> None:
    splits = load(official)

    assert splits.classes == ("ill", "well")
    assert splits.task == "binary-class"
    assert splits.train.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert splits.val.y.tolist() == [0, 1]
    assert splits.test.y.tolist() == [0, 0, 1, 1]


def test_val_may_be_left_out(official: Path) -> None:
    (official / "val").rename(official.parent / "elsewhere")

    assert load(official).val.pixels.shape == (0, 3, 6, 6)


def test_images_have_three_channels_or_one_on_request(official: Path) -> None:
    red = np.zeros((6, 6, 3), dtype=np.uint8)
    red[..., 0] = 200
    save(official / "train" / "ill" / "a.png", red)

    # Luma of ITU-R 601: 0.299 * 200 = 59.8
    assert load(official).train.pixels[0, :, 0, 0].tolist() == [200, 0, 0]
    assert load(official, grey=True).train.pixels[0, :, 0, 0].tolist() == [60]


def test_jpeg_and_png_are_read_and_other_files_passed_over(official: Path) -> None:
    save(official / "train" / "ill" / "x.jpg")
    save(official / "train" / "ill" / "y.JPEG")
    (official / "train" / "ill" / "notes.txt").write_text("no image")
    (official / "train" / "ill" / ".hidden.png").write_text("no image")

    assert load(official).train.y.tolist() == [0] * 5 + [1] * 3


def test_images_of_different_sizes_meet_by_resizing(official: Path) -> None:
    save(official / "train" / "ill" / "wide.png", size=(5, 9))

    assert load(official, resize=8).spec.shape == (3, 8, 8)


def test_a_photograph_is_turned_upright(official: Path) -> None:
    lying = np.zeros((6, 6), dtype=np.uint8)
    lying[:, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # shown correctly when turned a quarter clockwise
    Image.fromarray(lying).save(official / "train" / "ill" / "a.png", exif=exif)

    assert load(official, grey=True).train.pixels[0, 0, 0].tolist() == [255] * 6


def test_a_folder_without_split_is_split_by_class(flat: Path) -> None:
    splits = load(flat, val_fraction=0.1, test_fraction=0.3)

    assert splits.train.y.tolist() == [0] * 6 + [1] * 6
    assert splits.val.y.tolist() == [0, 1]
    assert splits.test.y.tolist() == [0] * 3 + [1] * 3


def test_the_drawn_split_depends_on_the_stream_alone(flat: Path) -> None:
    assert load(flat, seed=3).digest() == load(flat, seed=3).digest()
    assert load(flat, seed=3).digest() != load(flat, seed=4).digest()


def test_metadata_are_read_from_the_table(flat: Path) -> None:
    rows = [
        f"{name}/{name}{number}.png,p{number},h{number % 2}"
        for name in ("ill", "well")
        for number in range(10)
    ]
    (flat / "metadata.csv").write_text("\n".join(["file,patient,site", *rows]), encoding="utf-8-sig")

    splits = load(flat)

    assert set(splits.train.metadata) == {"patient", "site"}
    pairs = zip(splits.train.metadata["patient"], splits.train.metadata["site"], strict=True)
    assert all(site == f"h{int(patient[1:]) % 2}" for patient, site in pairs)


def test_a_drawn_split_never_divides_a_patient(flat: Path) -> None:
    rows = [f"{name}/{name}{number}.png,p{number}" for name in ("ill", "well") for number in range(10)]
    (flat / "metadata.csv").write_text("\n".join(["file,patient", *rows]))

    splits = load(flat)

    people = [set(split.metadata["patient"].tolist()) for split in (splits.train, splits.val, splits.test)]
    assert [len(each) for each in people] == [7, 1, 2]
    assert len(people[0] | people[1] | people[2]) == 10


@given(
    patient=st.lists(st.integers(0, 8), min_size=1, max_size=60),
    test=st.floats(0, 0.49),
    val=st.floats(0, 0.49),
    known=st.booleans(),
)
def test_a_drawn_split_holds_every_sample_once(
    patient: list[int], test: float, val: float, known: bool
) -> None:
    people = np.array(patient)

    drawn = draw_splits(
        people % 3, people if known else None, {"test": test, "val": val}, np.random.default_rng(0)
    )

    assert sorted(np.concatenate(list(drawn.values())).tolist()) == list(range(len(people)))
    if known:
        held = [set(people[index].tolist()) for index in drawn.values()]
        assert sum(map(len, held)) == len(set(patient))


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere") == "ROOT: there is no such folder"


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "ROOT: holds no class folders"


def test_half_a_split_is_refused(official: Path) -> None:
    (official / "test").rename(official.parent / "elsewhere")

    assert refusal(official) == "ROOT: has no test/; give train/ and test/, or class folders alone"


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "ill" / "a.png")

    assert refusal(tmp_path) == "ROOT: has only the class 'ill'; there must be at least two"


def test_a_class_without_images_is_refused(official: Path) -> None:
    (official / "train" / "other").mkdir()

    assert refusal(official) == "ROOT/train/other: holds no PNG or JPEG images"


def test_a_class_that_training_does_not_know_is_refused(official: Path) -> None:
    (official / "test" / "well").rename(official / "test" / "wel")

    message = "ROOT/test/wel: train/ has no such class, only ill, well; did you mean 'well'?"
    assert refusal(official) == message


def test_an_unreadable_image_is_named(official: Path) -> None:
    (official / "train" / "ill" / "a.png").write_bytes(b"no image")

    assert refusal(official) == "ROOT/train/ill/a.png: cannot be read as a PNG or JPEG image"


def test_a_truncated_image_is_named(official: Path) -> None:
    file = official / "train" / "ill" / "a.jpg"
    save(file, np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
    file.write_bytes(file.read_bytes()[:800])

    assert refusal(official, resize=8) == "ROOT/train/ill/a.jpg: cannot be read as a PNG or JPEG image"


def test_another_format_under_the_name_of_png_is_refused(official: Path) -> None:
    Image.fromarray(np.zeros((6, 6), np.uint8)).save(official / "train" / "ill" / "a.png", format="BMP")

    assert refusal(official) == "ROOT/train/ill/a.png: cannot be read as a PNG or JPEG image"


def test_sixteen_bits_are_refused(official: Path) -> None:
    save(official / "train" / "ill" / "a.png", np.full((6, 6), 40_000, dtype=np.uint16))

    message = "ROOT/train/ill/a.png: has more than 8 bits a channel (mode I;16); convert it to 8 bits"
    assert refusal(official) == message


def test_different_sizes_are_refused_without_resizing(official: Path) -> None:
    save(official / "test" / "ill" / "wide.png", size=(5, 9))

    message = (
        "ROOT/test/ill/wide.png: is 9x5 pixels, train0.png 6x6; "
        "give resize = ... to bring all images to one size"
    )
    assert refusal(official) == message


def test_too_few_images_to_split_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "ill" / "a.png")
    save(tmp_path / "well" / "b.png")

    assert refusal(tmp_path) == "ROOT: holds too few images to split, test would be empty"


TABLE = "ROOT/metadata.csv"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", f"{TABLE}: needs the column file and any of patient, site, group; it has nothing"),
        (
            b"name,site\n",
            f"{TABLE}: needs the column file and any of patient, site, group; it has name, site",
        ),
        (b"file,age\n", f"{TABLE}: needs the column file and any of patient, site, group; it has file, age"),
        (b"file,site\nill/nobody.png,a\n", f"{TABLE}:2: there is no image 'ill/nobody.png'"),
        (b"file,site\nill/ill0.png,a\nill/ill0.png,b\n", f"{TABLE}:3: a second row for 'ill/ill0.png'"),
        (b"file,site\nill/ill0.png,\n", f"{TABLE}:2: the site is missing"),
        (b"file,patient,site\nill/ill0.png,p\n", f"{TABLE}:2: the site is missing"),
        (b"file,site\nill/ill0.png,a\n", f"{TABLE}: has no row for 'ill/ill1.png'"),
        (
            b"file,site\nill/ill0.png,\xff\n",
            f"{TABLE}: cannot be read as CSV in UTF-8: "
            "'utf-8' codec can't decode byte 0xff in position 23: invalid start byte",
        ),
        (b'file,site\n"ill/ill0.png,a\n', f"{TABLE}: cannot be read as CSV in UTF-8: unexpected end of data"),
    ],
)
def test_a_wrong_table_of_metadata_is_refused(flat: Path, content: bytes, message: str) -> None:
    (flat / "metadata.csv").write_bytes(content)

    assert refusal(flat) == message


def test_loading_twice_gives_the_same_bytes(official: Path) -> None:
    first, second = load(official), load(official)

    assert torch.equal(first.train.pixels, second.train.pixels)
    assert first.digest() == second.digest()

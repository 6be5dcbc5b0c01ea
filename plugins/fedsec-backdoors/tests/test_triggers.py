"""Triggers: exact pixels of patterns, patches, blends and image files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fedsec_backdoors.plugin import CORNERS, PATTERNS
from fedsec_backdoors.triggers import Motif, Trigger, blend, draw, patch, read_image
from fedsec_core.errors import DataError, FedsecError


def test_patterns_are_drawn_pixel_by_pixel() -> None:
    assert draw("checkerboard", 3)[0].tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert draw("cross", 4)[0].tolist() == [[1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]]
    assert draw("square", 2)[0].tolist() == [[1, 1], [1, 1]]
    assert draw("stripes", 3)[0].tolist() == [[1, 0, 1]] * 3


def test_noise_is_the_same_picture_every_time_and_varies_over_it() -> None:
    assert torch.equal(draw("noise", 5), draw("noise", 5))
    assert len(set(draw("noise", 5).flatten().tolist())) == 25


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_offered_pattern_has_the_asked_size_and_stays_in_0_to_1(pattern: str) -> None:
    drawn = draw(pattern, 4)
    assert drawn.shape == (1, 4, 4)
    assert float(drawn.min()) >= 0
    assert float(drawn.max()) <= 1


@pytest.mark.parametrize(
    ("corner", "where"),
    [
        ("bottom-right", (3, 2)),
        ("bottom-left", (3, 1)),
        ("top-right", (1, 2)),
        ("top-left", (1, 1)),
        # 6 x 5 pixels, patch 2 x 2: rows (6 - 2) / 2 = 2, columns (5 - 2) // 2 = 1.
        ("centre", (2, 1)),
    ],
)
def test_a_patch_lies_in_its_corner(corner: str, where: tuple[int, int]) -> None:
    trigger = patch(Motif(draw("square", 2)), (1, 6, 5), corner=corner, margin=1)
    expected = torch.zeros(1, 1, 6, 5)
    top, left = where
    expected[:, :, top : top + 2, left : left + 2] = 1
    assert torch.equal(trigger.apply(torch.zeros(1, 1, 6, 5)), expected)


def test_every_offered_corner_is_distinct() -> None:
    motif = Motif(draw("square", 1))
    places = {tuple(patch(motif, (1, 5, 5), corner=c, margin=0).weight.flatten().tolist()) for c in CORNERS}
    assert len(places) == len(CORNERS)


def test_a_patch_hides_what_is_below_and_leaves_the_rest() -> None:
    trigger = patch(Motif(draw("checkerboard", 2) * 0.75), (1, 3, 3), corner="top-left", margin=0)
    stamped = trigger.apply(torch.full((2, 1, 3, 3), 0.5))
    assert stamped[1, 0].tolist() == [[0.75, 0.0, 0.5], [0.0, 0.75, 0.5], [0.5, 0.5, 0.5]]


def test_a_grey_patch_covers_all_channels_of_a_colour_image() -> None:
    trigger = patch(Motif(draw("square", 1)), (3, 2, 2), corner="bottom-right", margin=0)
    assert trigger.apply(torch.zeros(1, 3, 2, 2))[0, :, 1, 1].tolist() == [1, 1, 1]


def test_a_patch_that_does_not_fit_is_refused_with_the_sizes() -> None:
    with pytest.raises(FedsecError, match="4 x 4 pixels with margin 1 does not fit images of 4 x 4"):
        patch(Motif(draw("square", 4)), (1, 4, 4), corner="bottom-right", margin=1)


def test_a_patch_in_the_centre_needs_no_margin() -> None:
    trigger = patch(Motif(draw("square", 4)), (1, 4, 4), corner="centre", margin=1)
    assert torch.equal(trigger.weight, torch.ones(4, 4))


def test_a_blend_is_the_weighted_mean_of_image_and_stretched_pattern() -> None:
    # A checkerboard of 2 x 2 cells, each stretched to 2 x 2 pixels: 0.8 x 0.5 + 0.2 x {1, 0}.
    trigger = blend(Motif(draw("checkerboard", 2)), (1, 4, 4), alpha=0.2)
    bright, dark = 0.6, 0.4
    expected = torch.tensor([[bright, bright, dark, dark]] * 2 + [[dark, dark, bright, bright]] * 2)
    torch.testing.assert_close(trigger.apply(torch.full((1, 1, 4, 4), 0.5))[0, 0], expected)


def test_bytes_stay_bytes_and_are_rounded() -> None:
    # 0.8 x 100 + 0.2 x 255 = 131; 0.8 x 101 + 0 = 80.8, rounded 81.
    trigger = Trigger(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[0.2, 0.2]]))
    stamped = trigger.stamp(torch.tensor([[[[100, 101]]]], dtype=torch.uint8))
    assert stamped.dtype == torch.uint8
    assert stamped.flatten().tolist() == [131, 81]


def test_stamping_leaves_the_images_it_was_given() -> None:
    trigger = patch(Motif(draw("square", 2)), (1, 3, 3), corner="top-left", margin=0)
    for pixels in (torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3, dtype=torch.uint8)):
        trigger.stamp(pixels)
        assert int(pixels.sum()) == 0


@given(
    x=st.floats(0, 1, width=32),
    shown=st.floats(0, 1, width=32),
    alpha=st.floats(0, 1, width=32),
)
def test_a_triggered_pixel_lies_between_the_image_and_the_picture(
    x: float, shown: float, alpha: float
) -> None:
    trigger = Trigger(torch.full((1, 1, 1), shown), torch.full((1, 1), alpha))
    found = float(trigger.apply(torch.full((1, 1, 1, 1), x)))
    assert min(x, shown) - 1e-6 <= found <= max(x, shown) + 1e-6


def test_an_image_file_is_a_patch_in_its_own_size_and_colours(tmp_path: Path) -> None:
    file = Image.new("RGB", (2, 1))
    file.putdata([(255, 0, 0), (0, 255, 51)])
    file.save(tmp_path / "mark.png")
    trigger = patch(read_image(tmp_path / "mark.png"), (3, 2, 3), corner="bottom-right", margin=0)
    stamped = trigger.apply(torch.zeros(1, 3, 2, 3))[0]
    assert stamped[:, 1, 1].tolist() == [1, 0, 0]
    torch.testing.assert_close(stamped[:, 1, 2], torch.tensor([0, 1, 0.2]))
    assert float(stamped[:, 0].sum()) == 0


def test_transparent_pixels_of_an_image_file_do_not_show(tmp_path: Path) -> None:
    file = Image.new("RGBA", (2, 1))
    file.putdata([(255, 255, 255, 255), (255, 255, 255, 0)])
    file.save(tmp_path / "mark.png")
    trigger = patch(read_image(tmp_path / "mark.png"), (1, 1, 2), corner="top-left", margin=0)
    assert trigger.weight.tolist() == [[1, 0]]


def test_a_colour_file_is_turned_grey_for_grey_images(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (255, 0, 0)).save(tmp_path / "red.png")
    trigger = patch(read_image(tmp_path / "red.png"), (1, 1, 1), corner="top-left", margin=0)
    torch.testing.assert_close(trigger.picture, torch.tensor([[[0.299]]]))


def test_an_image_file_is_stretched_over_the_whole_image_in_a_blend(tmp_path: Path) -> None:
    Image.new("L", (3, 5), 255).save(tmp_path / "white.png")
    trigger = blend(read_image(tmp_path / "white.png"), (1, 8, 8), alpha=0.5)
    torch.testing.assert_close(trigger.apply(torch.zeros(1, 1, 8, 8)), torch.full((1, 1, 8, 8), 0.5))


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n broken", b"GIF89a"])
def test_a_file_that_is_no_image_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mark.png").write_bytes(content)
    with pytest.raises(DataError, match=r"mark\.png cannot be read as a PNG or JPEG image") as error:
        read_image(tmp_path / "mark.png")
    assert "\n" not in str(error.value)


def test_a_truncated_image_file_is_named_in_one_line(tmp_path: Path) -> None:
    Image.effect_noise((40, 40), 50).save(tmp_path / "mark.png")
    whole = (tmp_path / "mark.png").read_bytes()
    (tmp_path / "mark.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path / "mark.png")


def test_an_image_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png does not exist; image names the trigger's"):
        read_image(tmp_path / "none.png")

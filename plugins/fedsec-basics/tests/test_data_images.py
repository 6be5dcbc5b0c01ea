"""Resizing: bilinear with antialiasing, in chunks, rounded back to bytes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedsec_basics import images
from fedsec_basics.images import resize


def test_resizing_keeps_channels_and_bytes() -> None:
    resized = resize(torch.zeros(5, 3, 20, 40, dtype=torch.uint8), 32)

    assert resized.shape == (5, 3, 32, 32)
    assert resized.dtype == torch.uint8


def test_resizing_to_its_own_size_changes_nothing() -> None:
    pixels = torch.arange(2 * 16, dtype=torch.uint8).reshape(2, 1, 4, 4)

    assert torch.equal(resize(pixels, 4), pixels)


def test_halving_averages_a_triangle_of_neighbours() -> None:
    # The antialiased bilinear filter for half the size is a triangle over 4 pixels, weights
    # 1/8, 3/8, 3/8, 1/8, cut off and renormalised at the edge: 3/7, 3/7, 1/7.
    row = torch.tensor([0, 70, 140, 210], dtype=torch.uint8)
    pixels = row.expand(1, 1, 4, 4)

    # left: (3*0 + 3*70 + 1*140) / 7 = 50; right: (1*70 + 3*140 + 3*210) / 7 = 160
    assert resize(pixels, 2).tolist() == [[[[50, 160], [50, 160]]]]


def test_doubling_interpolates_and_rounds_to_the_nearest_byte() -> None:
    pixels = torch.tensor([[0, 101], [0, 101]], dtype=torch.uint8).reshape(1, 1, 2, 2)

    # Pixel centres lie at 1/4 and 3/4 between the two columns: 25.25 and 75.75.
    assert resize(pixels, 4)[0, 0, 0].tolist() == [0, 25, 76, 101]


def test_floats_stay_floats() -> None:
    resized = resize(torch.full((1, 1, 8, 8), 0.25), 4)

    assert resized.dtype == torch.float32
    assert torch.allclose(resized, torch.tensor(0.25))


def test_an_empty_split_can_be_resized() -> None:
    assert resize(torch.zeros(0, 1, 8, 8, dtype=torch.uint8), 4).shape == (0, 1, 4, 4)


def test_chunks_are_no_part_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.randint(0, 256, (7, 1, 9, 9), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    whole = resize(pixels, 6)

    monkeypatch.setattr(images, "CHUNK", 2 * 81)

    assert torch.equal(resize(pixels, 6), whole)


@given(value=st.integers(0, 255), size=st.integers(1, 40))
def test_an_image_of_one_brightness_keeps_it(value: int, size: int) -> None:
    resized = resize(torch.full((1, 1, 13, 17), value, dtype=torch.uint8), size)

    assert torch.equal(resized, torch.full((1, 1, size, size), value, dtype=torch.uint8))

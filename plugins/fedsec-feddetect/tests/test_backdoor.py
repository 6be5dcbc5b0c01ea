"""The attack: what it pastes where, what it measures, and how it lies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve
from torch import Tensor

from fedsec_core.course import Course
from fedsec_core.data import Dataset
from fedsec_core.errors import FedsecError, ScenarioError
from fedsec_core.federation import Federation
from fedsec_core.rounds import Round
from fedsec_core.scenario import load
from fedsec_feddetect import triggers
from fedsec_feddetect.plugin.attack import FedGanBackdoor


def images(count: int = 5, size: int = 32, channels: int = 3) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)
    return Dataset(pixels, torch.arange(count) % 2)


def touched(before: Tensor, after: Tensor) -> tuple[slice, slice]:
    """Return the rows and columns in which images differ."""
    changed = (before != after).any(dim=1).any(dim=0)
    rows, columns = torch.nonzero(changed.any(dim=1)).flatten(), torch.nonzero(changed.any(dim=0)).flatten()
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def poisoned(data: Dataset, **settings: Any) -> Dataset:
    attack = FedGanBackdoor(**settings)
    paste = attack.paste(data.pixels.shape[-1])
    return paste.poison(data, attack.poison_rate, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("area", "size", "side"),
    [(0.004, 256, 16), (0.004, 32, 2), (0.004, 28, 2), (0.001, 32, 1), (0.015, 32, 4), (0.06, 28, 7)],
)
def test_sides_follow_from_areas(area: float, size: int, side: int) -> None:
    assert triggers.side_of(area, size) == side


def test_the_tile_lies_bottom_right_as_far_from_the_edges_as_the_papers() -> None:
    data = images(size=64)
    rows, columns = touched(data.pixels, poisoned(data, size=4).pixels)
    # 2 % of 64: 1 pixel
    assert (rows, columns) == (slice(59, 63), slice(59, 63))
    rows, columns = touched(data.pixels, poisoned(data, size=4, corner="top-left", margin=3).pixels)
    assert (rows, columns) == (slice(3, 7), slice(3, 7))


def test_every_image_is_poisoned_and_labels_stay() -> None:
    data = images()
    made = poisoned(data, pattern="solid", size=3)
    assert bool((made.pixels[:, :, 28:31, 28:31] == 255).all())
    assert torch.equal(made.y, data.y)
    few = poisoned(data, pattern="solid", size=3, poison_rate=0.5)
    # 2.5 are rounded half up
    assert int((few.pixels != data.pixels).flatten(1).any(dim=1).sum()) == 3


def test_the_tile_has_the_colours_of_its_blocks_and_no_dark_part_on_request() -> None:
    assert triggers.tile(16).shape == (3, 16, 16)
    centres = triggers.tile(16)[:, 2::4, 2::4]
    assert torch.allclose(centres[:, 0, 0], torch.tensor([1.0, 0.0, 0.0]))
    assert torch.allclose(centres[:, 3, 0], torch.zeros(3))
    bright = triggers.motif("tile", 16, opacity=1.0, dark=False).values
    assert torch.allclose(bright, (1 + triggers.tile(16)) / 2)


def test_blended_tiles_are_half_transparent() -> None:
    data = images()
    whole, half = poisoned(data, size=4), poisoned(data, size=4, pattern="blended")
    place = (slice(None), slice(None), slice(27, 31), slice(27, 31))
    between = (data.pixels[place].float() + whole.pixels[place].float()) / 2
    assert float((half.pixels[place].float() - between).abs().max()) <= 1.0


def test_grey_images_get_a_grey_trigger() -> None:
    data = images(channels=1)
    assert poisoned(data, size=4).pixels.shape == data.pixels.shape


def test_a_trigger_may_lie_anywhere() -> None:
    data = evolve(images(count=40), pixels=torch.zeros(40, 3, 32, 32, dtype=torch.uint8))
    made = poisoned(data, pattern="solid", size=2, corner="random")
    assert made.pixels.flatten(1).gt(0).sum(dim=1).tolist() == [3 * 4] * 40
    places = made.pixels[:, 0].flatten(1).argmax(dim=1)
    assert len(places.unique()) > 20


@pytest.mark.parametrize("corner", ["bottom-right", "centre", "random"])
@pytest.mark.parametrize("pattern", ["tile", "solid", "noise"])
def test_the_distance_is_zero_where_all_carry_the_trigger(corner: str, pattern: str) -> None:
    made = poisoned(images(), size=4, corner=corner, pattern=pattern)
    distance = FedGanBackdoor(size=4, corner=corner, pattern=pattern).paste(32).distance(made.x)
    assert distance == pytest.approx(0.0, abs=2 / 255)


def test_the_distance_is_measured_in_the_scale_of_the_networks() -> None:
    paste = FedGanBackdoor(pattern="solid", size=2).paste(8)
    assert paste.distance(torch.zeros(3, 1, 8, 8)) == pytest.approx(2.0)
    half = torch.zeros(2, 1, 8, 8)
    half[0] = 1.0
    assert paste.distance(half) == pytest.approx(1.0)


def test_a_half_transparent_trigger_is_shown_in_part() -> None:
    attack = FedGanBackdoor(pattern="blended", size=4)
    clean, made = images(count=40), poisoned(images(count=40), pattern="blended", size=4)
    assert attack.paste(32).distance(made.x) == pytest.approx(
        attack.paste(32).distance(clean.x) / 2, rel=0.02
    )


def test_a_trigger_that_does_not_fit_is_refused() -> None:
    with pytest.raises(FedsecError, match="does not fit images of 8 x 8"):
        poisoned(images(size=8), size=9)


def claims(tables: dict[str, Any], **settings: Any) -> tuple[list[list[dict[str, float]]], int]:
    """Return the metrics of all clients by round as the server received them, and who attacked."""
    tables["evaluate"] = [{"use": "suppression"}]
    tables["attack"] = [{"use": "fedgan-backdoor", "clients": {"count": 1}, "samples": 8, **settings}]
    played, seen = Federation(load(tables).main, 5), []
    original = played.hooks.observe_round

    def observed(round: Round) -> None:
        seen.append([dict(each) for each in round.metrics])
        original(round)

    played.hooks.observe_round = observed  # type: ignore[method-assign]
    for _ in Course(played).run():
        pass
    return seen, played.attackers.clients["fedgan-backdoor"][0]


def test_the_honest_attacker_reports_its_own_loss(tables: dict[str, Any]) -> None:
    (told, *_), attacker = claims(tables)
    assert len({each["generator_loss"] for each in told}) == 4
    assert told[attacker]["steps"] == 3.0


def test_a_liar_reports_the_median_of_the_honest(tables: dict[str, Any]) -> None:
    for told in claims(tables, lie="median")[0]:
        for name in ("generator_loss", "mean_generator_loss"):
            values = sorted(each[name] for each in told)
            # the median of three values is one of them, so that it is there twice
            assert values[1] == values[2]


def test_a_liar_may_report_a_constant(tables: dict[str, Any]) -> None:
    rounds, attacker = claims(tables, lie="constant", claim=0.5)
    assert [told[attacker]["generator_loss"] for told in rounds] == [0.5] * 3
    assert all(told[attacker]["discriminator_loss"] != 0.5 for told in rounds)


def test_lying_about_the_median_needs_the_honest_metrics(tables: dict[str, Any]) -> None:
    with pytest.raises(ScenarioError, match="does not work without the knowledge 'reported_metrics'"):
        claims(tables, lie="median", knows=["own_data", "own_updates"])


def test_honest_rounds_are_the_same_bits_beside_the_attack(tables: dict[str, Any]) -> None:
    """What honest clients send in the first round does not depend on whether somebody attacks."""
    first, attacker = claims(dict(tables))
    without, _ = claims(dict(tables), rounds={"start": 3})
    for client in set(range(4)) - {attacker}:
        assert first[0][client] == without[0][client]
    assert first[0][attacker] != without[0][attacker]


def test_leakage_is_measured_on_the_clean_run_too(tables: dict[str, Any], play: Any) -> None:
    tables["attack"] = [{"use": "fedgan-backdoor", "clients": {"ids": []}, "samples": 8}]
    found = play(tables)
    assert set(found.metrics["fedgan-backdoor.trigger_distance"]) == {0, 1, 2, 3}
    assert not math.isnan(found.final["fedgan-backdoor.real_trigger_distance"] or math.nan)
    assert (found.folder / "images" / "round-0003.fedgan-backdoor.poisoned.png").exists()

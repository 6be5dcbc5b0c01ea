"""Distances between sets of features, the reference classifier, and what the evaluators find."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.linalg import sqrtm
from torch import Tensor

import fedsec_core
from fedsec_core.data import Dataset
from fedsec_feddetect import distances, reference, sampling
from fedsec_feddetect.runtime.suppression import entropy, figures


def normal(n: int, f: int, seed: int) -> Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed)).double()


@given(st.integers(0, 20))
def test_the_frechet_distance_is_that_of_the_formula(seed: int) -> None:
    first, second = normal(40, 5, seed), 2 * normal(30, 5, seed + 100) + 1
    one, other = np.cov(first.numpy().T), np.cov(second.numpy().T)
    apart = ((first.mean(0) - second.mean(0)) ** 2).sum().item()
    expected = apart + np.trace(one + other - 2 * sqrtm(one @ other).real)
    assert distances.frechet(first, second) == pytest.approx(expected, rel=1e-6)


def test_the_frechet_distance_of_a_shift_is_its_square() -> None:
    features = normal(50, 3, 1)
    shifted = features + torch.tensor([3.0, 0.0, 4.0])
    assert distances.frechet(features, shifted) == pytest.approx(25.0, rel=1e-6)
    assert distances.frechet(features, features) == pytest.approx(0.0, abs=1e-6)


def test_the_kernel_distance_is_that_of_loops() -> None:
    first, second = normal(7, 4, 2), normal(5, 4, 3) + 0.5

    def kernel(x: Tensor, y: Tensor) -> float:
        return (float(x @ y) / 4 + 1) ** 3

    def within(rows: Tensor) -> float:
        pairs = [kernel(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
        return sum(pairs) / len(pairs)

    across = sum(kernel(x, y) for x in first for y in second) / 35
    assert distances.kernel_distance(first, second) == pytest.approx(
        within(first) + within(second) - 2 * across
    )


def test_distances_of_single_samples_are_undefined() -> None:
    assert distances.frechet(normal(1, 3, 0), normal(9, 3, 1)) is None
    assert distances.kernel_distance(normal(9, 3, 0), normal(1, 3, 1)) is None


def test_diversity_is_relative_to_real_images_of_the_same_class() -> None:
    real, y = normal(12, 3, 5), torch.arange(12) % 2
    assert distances.diversity(real, y, real, y) == pytest.approx(1.0)
    assert distances.diversity(real * 0.5, y, real, y) == pytest.approx(0.5)
    collapsed = real[:2].repeat(6, 1)
    assert distances.diversity(collapsed, y, real, y) == pytest.approx(0.0)
    assert distances.diversity(real[:1], y[:1], real, y) is None


def spots(count: int) -> Dataset:
    """Return images of two classes that can be told apart: a bright upper or a bright lower half."""
    y = torch.arange(count) % 2
    pixels = torch.randint(
        0, 60, (count, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    for label, half in ((0, slice(0, 14)), (1, slice(14, 28))):
        pixels[y == label, :, half] += 150
    return Dataset(pixels, y)


def test_the_reference_classifier_learns_and_is_the_same_when_it_is_loaded() -> None:
    data = spots(200)
    stored = reference.build(data, 2)
    network = reference.load((1, 28, 28), 2, stored)
    assert reference.accuracy(network, data) == 1.0
    assert torch.equal(reference.features(network, data.pixels), stored["features"])
    assert stored["features"].shape == (200, reference.FEATURES)


def test_samples_do_not_depend_on_how_they_are_sharded() -> None:
    class Echo(torch.nn.Module):
        latent = 2

        def forward(self, z: Tensor, y: Tensor) -> Tensor:
            assert len(z) <= 256
            return (z[:, :1] + y[:, None]).view(-1, 1, 1, 1)

    y = sampling.classes_in_turn(600, 3)
    drawn = sampling.draw(Echo(), y, torch.Generator().manual_seed(0))
    z = torch.randn(600, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn.flatten(), z[:, 0] + y)


def test_the_entropy_of_equal_weights_is_one() -> None:
    assert entropy([0.2, 0.2, 0.2]) == pytest.approx(1.0)
    assert entropy([1.0, 0.0]) == 0.0
    assert entropy([1.0, 1.0, 0.0]) == pytest.approx(math.log(2) / math.log(3))
    assert entropy([1.0]) is None
    assert entropy([0.0, 0.0]) is None


def test_suppression_is_told_in_shares_of_trust() -> None:
    assert figures({0: 1.0, 1: 0.4, 2: 0.6, 3: 0.0}, {3}) == {
        "malicious_share": 0.0,
        "honest_entropy": entropy([1.0, 0.4, 0.6]),
        "honest_suppressed": 1,
        "effective_clients": pytest.approx(4 / 1.52),
    }
    clean = figures({0: 1.0, 1: 1.0}, set())
    assert clean["malicious_share"] is None
    assert clean["effective_clients"] == 2.0


def test_generation_measures_shows_and_remembers(tables: dict[str, Any], play: Any) -> None:
    found = play(tables)
    names = ("fd_clf", "kid_clf", "class_accuracy", "diversity")
    for name in names:
        assert set(found.metrics[f"generation.{name}"]) == {0, 1, 2, 3}
    assert found.end is not None
    assert found.end["metrics"]["generation.reference_accuracy"] > 0.5
    losses = found.end["tables"]["generation.losses"]["columns"]
    assert losses["round"] == [1, 2, 3]
    assert {f"generator_loss {client}" for client in range(4)} <= set(losses)
    images = found.folder / "images"
    for number in range(4):
        with Image.open(images / f"round-000{number}.generation.samples.png") as picture:
            # two classes in rows, ten columns, a white pixel apart
            assert picture.size == (10 * 29 - 1, 2 * 29 - 1)
    for name in ("round-0000.generation.real", "end.generation.progress", "end.generation.losses"):
        assert (images / f"{name}.png").exists()


def test_the_reference_classifier_is_trained_once_and_kept(
    tables: dict[str, Any], play: Any, tmp_path: Any
) -> None:
    play(tables)
    play({**tables, "train": {**tables["train"], "steps": 1}})
    assert len(list((tmp_path / ".reference").glob("reference-classifier-*.safetensors"))) == 1


def test_augmentation_compares_three_classifiers(tables: dict[str, Any], play: Any) -> None:
    tables["evaluate"] = [
        {"use": "augmentation", "every": "end", "real": 8, "synthetic": 16, "steps": 5, "repeats": 2}
    ]
    end = play(tables).end["metrics"]
    assert {name.partition(".")[2] for name in end} == {
        "real_accuracy",
        "augmented_accuracy",
        "synthetic_accuracy",
        "gain",
    }
    assert end["augmentation.gain"] == pytest.approx(
        end["augmentation.augmented_accuracy"] - end["augmentation.real_accuracy"]
    )


def test_suppression_tells_when_and_whom(tables: dict[str, Any], play: Any) -> None:
    tables["attack"] = [
        {"use": "fedgan-backdoor", "clients": {"count": 1}, "lie": "constant", "claim": 50.0, "samples": 8}
    ]
    tables["detect"] = [{"use": "feddetect", "warm_up": 0, "decay": 0.1}]
    tables["evaluate"] = [{"use": "suppression"}]
    end = play(tables).end["metrics"]
    # 0.1, then 0.1 ** 3: below a hundredth of all after the second flag
    assert end["suppression.rounds_to_suppress"] == 2
    assert end["suppression.flags_needed"] == 2
    assert end["suppression.honest_ever_suppressed"] == 0


def test_a_finished_run_gives_its_generator_from_which_images_are_drawn(
    tables: dict[str, Any], play: Any
) -> None:
    found = play(tables)
    gan = fedsec_core.open_run(found.folder.parents[1]).networks()
    images = sampling.draw(gan.generator, sampling.classes_in_turn(10, 2), torch.Generator().manual_seed(1))
    assert images.shape == (10, 1, 28, 28)
    assert 0 <= float(images.min()) < float(images.max()) <= 1

"""The phantom: reproducible, without leaks between splits, and neither trivial nor hopeless."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fedsec_basics.phantom import generate
from fedsec_basics.plugin.data import PHANTOM_CLASSES, Phantom
from fedsec_core.data import Splits

SMALL = {"train": 200, "val": 40, "test": 60}


def load(**parameters: Any) -> Splits:
    splits = Phantom(**parameters).build().load_data()  # type: ignore[attr-defined]
    assert isinstance(splits, Splits)
    return splits


@pytest.fixture(scope="module")
def default() -> Splits:
    return load()


def test_the_default_has_five_classes_on_small_grey_images(default: Splits) -> None:
    assert default.classes == ("clear", "nodule", "infiltrate", "effusion", "cardiomegaly")
    assert default.task == "multi-class"
    assert default.spec.shape == (1, 28, 28)
    assert [len(split) for split in (default.train, default.val, default.test)] == [2000, 300, 600]


def test_classes_are_mildly_unequal(default: Splits) -> None:
    # Shares .28, .20, .20, .16, .16 of 2000 images.
    assert default.train.y.bincount().tolist() == [560, 400, 400, 320, 320]


def test_every_class_that_is_described_can_be_drawn() -> None:
    assert tuple(generate.PREVALENCE) == PHANTOM_CLASSES


def test_the_same_parameters_give_the_same_bytes(default: Splits) -> None:
    assert load().digest() == default.digest()


def test_another_seed_gives_other_images(default: Splits) -> None:
    assert load(seed=1).digest() != default.digest()


def test_the_size_of_one_split_leaves_the_others_as_they_are() -> None:
    first, second = load(**SMALL), load(**SMALL | {"train": 250})

    assert torch.equal(first.test.pixels, second.test.pixels)
    assert torch.equal(first.val.pixels, second.val.pixels)


def test_chunks_are_no_part_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load(**SMALL)

    monkeypatch.setattr(generate, "CHUNK", 28 * 28 * 7)

    assert load(**SMALL).digest() == whole.digest()


def test_a_patient_is_in_one_split_only(default: Splits) -> None:
    people = [set(split.metadata["patient"].tolist()) for split in (default.train, default.val, default.test)]

    assert len(people[0] | people[1] | people[2]) == sum(map(len, people))


def test_patients_have_several_images_one_site_and_one_group(default: Splits) -> None:
    patient = default.train.metadata["patient"]

    assert 1 < len(patient) / len(np.unique(patient)) < 4
    for name in ("site", "group"):
        pairs = set(zip(patient.tolist(), default.train.metadata[name].tolist(), strict=True))
        assert len(pairs) == len(np.unique(patient))


def test_every_site_and_group_occurs(default: Splits) -> None:
    assert set(default.test.metadata["site"]) == {"site-1", "site-2", "site-3", "site-4"}
    assert set(default.test.metadata["group"]) == {"older", "younger"}


def test_no_image_occurs_twice(default: Splits) -> None:
    pixels = torch.cat([default.train.pixels, default.val.pixels, default.test.pixels]).flatten(1)

    assert len({image.numpy().tobytes() for image in pixels}) == 2900


def test_sites_take_their_images_differently() -> None:
    def spread_between_sites(shift: float) -> float:
        data = load(**SMALL, shift=shift).train
        means = data.x.mean(dim=(1, 2, 3)).numpy()
        sites = data.metadata["site"]
        return float(np.std([means[sites == site].mean() for site in np.unique(sites)]))

    assert spread_between_sites(1.0) > 3 * spread_between_sites(0.0)


def test_colour_images_carry_the_tint_of_their_site() -> None:
    data = load(**SMALL, channels=3).train
    tint = (data.x[:, 0] - data.x[:, 2]).mean(dim=(1, 2)).numpy()
    sites = data.metadata["site"]

    assert data.pixels.shape == (200, 3, 28, 28)
    within = np.mean([tint[sites == site].std() for site in np.unique(sites)])
    assert np.std([tint[sites == site].mean() for site in np.unique(sites)]) > within


def test_images_can_be_drawn_larger_and_resized() -> None:
    assert load(**SMALL, size=40).spec.shape == (1, 40, 40)
    assert load(**SMALL, size=40, resize=32).spec.shape == (1, 32, 32)


def test_two_classes_are_a_binary_task() -> None:
    splits = load(**SMALL, classes=("clear", "nodule"))

    assert splits.task == "binary-class"
    # .28 / .48 of 200 images are clear: 116.67
    assert splits.train.y.bincount().tolist() == [117, 83]


def test_val_may_be_empty() -> None:
    assert load(**SMALL | {"val": 0}).val.pixels.shape == (0, 1, 28, 28)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("clear",), "must name at least two classes"),
        (("clear", "clear"), "names 'clear' twice"),
        (
            ("clear", "nodul"),
            "'nodul' is not among clear, nodule, infiltrate, effusion, cardiomegaly; "
            "did you mean 'nodule'\\?",
        ),
    ],
)
def test_impossible_classes_are_refused(classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Phantom(classes=classes)


def small_cnn() -> nn.Module:
    """The shape of `small-cnn`: conv 16, conv 32, fc 64."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 5)),
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ten_central_epochs_reach_80_to_95_percent(default: Splits, seed: int) -> None:
    x, y = default.train.x * 2 - 1, default.train.y
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = small_cnn()
    order = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(10):
        for batch in torch.randperm(len(x), generator=order).split(32):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimiser.step()
    with torch.no_grad():
        correct = model(default.test.x * 2 - 1).argmax(dim=1) == default.test.y

    assert 0.80 <= float(correct.float().mean()) <= 0.95

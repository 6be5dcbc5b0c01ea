"""Poisoned data: who is poisoned, how, how much, and what is measured; by hand on a few pixels."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fedsec_backdoors.plugin.parameters import Backdoor
from fedsec_backdoors.plugin.poisoning import BadNets, Blended, Dba, EdgeCase
from fedsec_backdoors.poisoning import relabel, tail
from fedsec_core.data import Dataset
from fedsec_core.errors import DataError, FedsecError
from fedsec_core.evaluation import Truth, View
from fedsec_core.findings import Findings
from fedsec_core.state import Layout
from fedsec_core.streams import Stream
from fedsec_core.views import Client

STREAM = Stream(1, "attack_data", "badnets", None, 0)


def samples(labels: list[int], *, dtype: torch.dtype = torch.uint8, channels: int = 1) -> Dataset:
    """Return dark images of 4 x 4 pixels with these labels and numbered patients."""
    pixels = torch.zeros(len(labels), channels, 4, 4, dtype=dtype)
    return Dataset(pixels, torch.tensor(labels), {"patient": np.arange(len(labels))})


def poisoned(data: Dataset, stream: Stream = STREAM, **parameters: Any) -> Dataset:
    return poisoned_by(BadNets(**parameters), data, stream)


def poisoned_by(attack: Backdoor, data: Dataset, stream: Stream = STREAM, rank: int = 0) -> Dataset:
    """Return the data of the malicious client of this rank after the attack."""

    def refuse() -> Any:
        raise AssertionError("not needed to poison data")

    client = Client(rank, data=data, local_test=None, state={}, networks=refuse, malicious=True, rank=rank)
    runtime: Any = attack.build()
    answer = runtime.attack_data
    arguments = {"data": data, "client": client, "stream": stream}
    made: Dataset = answer(**{name: arguments[name] for name in signature(answer).parameters})
    return made


def triggered(data: Dataset) -> Tensor:
    """Return which images are not dark."""
    return data.pixels.flatten(1).sum(dim=1) > 0


def reads_the_corner(x: Tensor) -> Tensor:
    """Logits of a model with a backdoor: class 0 where pixel (0, 0) is bright, else class 1."""
    bright = x[:, 0, 0, 0]
    return torch.stack([bright, 1 - bright, torch.zeros_like(bright)], dim=1)


def view(
    data: Dataset,
    predict: Callable[[Tensor], Tensor] = reads_the_corner,
    *,
    number: int = 1,
    twin: bool = False,
) -> View:
    def refuse(*_: Any) -> Any:
        raise AssertionError("not needed to measure a backdoor")

    return View(
        number=number,
        rounds=3,
        classes=("a", "b", "c"),
        task="multi-class",
        layout=Layout((), ()),
        clients=(0,),
        data=data,
        val=data,
        test=data,
        training=data,
        truth=Truth({}, (), ()),
        twin=twin,
        predict=lambda x, client, served: predict(x),
        networks=refuse,
        map=refuse,
        train=refuse,
        cached=refuse,
    )


def findings(seen: View, **parameters: Any) -> Findings:
    return found_by(BadNets(**{"size": 1, "corner": "top-left", "margin": 0, **parameters}), seen)


def found_by(attack: Backdoor, seen: View) -> Findings:
    runtime: Any = attack.build()
    found: Findings = runtime.evaluate_model(view=seen)
    return found


def test_describing_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from fedsec_backdoors.plugin.training import ModelReplacement; ModelReplacement();"
        "print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_source_that_is_the_target_is_refused() -> None:
    with pytest.raises(ValueError, match="source and target are both 2"):
        BadNets(target=2, source=2)


def test_chosen_samples_get_trigger_and_target_and_all_others_stay() -> None:
    data = samples([0, 1, 2, 1, 2, 1])
    made = poisoned(data, target=0, poison_rate=0.4, size=2, margin=0)
    changed = triggered(made)
    # Five samples are not of class 0: 0.4 x 5 = 2 are poisoned.
    assert int(changed.sum()) == 2
    assert not changed[0]
    assert made.y[changed].tolist() == [0, 0]
    assert torch.equal(made.y[~changed], data.y[~changed])
    # The checkerboard of 2 x 2 in the last corner, as bytes.
    assert made.pixels[changed][0, 0].tolist() == [[0] * 4, [0] * 4, [0, 0, 255, 0], [0, 0, 0, 255]]


def test_order_number_metadata_and_the_honest_data_stay() -> None:
    data = samples([0, 1, 2, 1])
    made = poisoned(data, poison_rate=1.0)
    assert made.metadata["patient"].tolist() == [0, 1, 2, 3]
    assert made.y.tolist() == [0, 0, 0, 0]
    assert data.y.tolist() == [0, 1, 2, 1]
    assert int(data.pixels.sum()) == 0


def test_with_a_source_only_its_samples_are_poisoned() -> None:
    made = poisoned(samples([0, 1, 2, 1, 2]), target=0, source=2, poison_rate=1.0)
    assert triggered(made).tolist() == [False, False, True, False, True]
    assert made.y.tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("eligible", "rate", "expected"),
    [
        # 2.5 rounds up to 3, 14.5 to 15; 2.25 down to 2; 0.1 is at least 1.
        (5, 0.5, 3),
        (50, 0.29, 15),
        (9, 0.25, 2),
        (1, 0.1, 1),
        (7, 1.0, 7),
    ],
)
def test_the_poison_rate_is_rounded_half_up_and_at_least_one(
    eligible: int, rate: float, expected: int
) -> None:
    made = poisoned(samples([1] * eligible + [0] * 3), poison_rate=rate)
    assert int(triggered(made).sum()) == expected


@given(labels=st.lists(st.integers(0, 2), min_size=1, max_size=20), rate=st.floats(0.01, 1))
def test_only_eligible_samples_are_ever_touched(labels: list[int], rate: float) -> None:
    data = samples(labels)
    changed = triggered(poisoned(data, target=1, poison_rate=rate))
    assert not bool((changed & (data.y == 1)).any())
    assert bool(changed.any()) == bool((data.y != 1).any())


def test_a_client_without_eligible_samples_keeps_its_data() -> None:
    data = samples([0, 0])
    assert poisoned(data, target=0).digest() == data.digest()


def test_float_images_stay_float() -> None:
    made = poisoned(samples([1], dtype=torch.float32), intensity=0.5, size=1, margin=0)
    assert made.pixels.dtype == torch.float32
    assert float(made.pixels[0, 0, 3, 3]) == 0.5


def test_the_stream_alone_decides_which_samples_are_poisoned() -> None:
    data = samples([1] * 40)
    first = poisoned(data, Stream(1))
    assert first.digest() == poisoned(data, Stream(1)).digest()
    assert first.digest() != poisoned(data, Stream(2)).digest()


def test_asr_counts_only_samples_whose_true_class_is_not_the_target() -> None:
    # The model takes every image with the trigger for class 0: 2 of 2 others, 4 of 4 in all.
    found = findings(view(samples([0, 0, 1, 2])))
    assert found.metrics == {"asr": 1.0, "asr_all": 1.0, "triggered_accuracy": 0.0}


def test_a_model_that_ignores_the_trigger_has_asr_zero() -> None:
    def always_one(x: Tensor) -> Tensor:
        return torch.tensor([[0.0, 1.0, 0.0]]).expand(len(x), -1)

    # Triggered images of classes 1, 1, 2 are all taken for 1: none for the target, 2 of 3 right.
    found = findings(view(samples([0, 1, 1, 2]), always_one))
    assert found.metrics == {"asr": 0.0, "asr_all": 0.0, "triggered_accuracy": pytest.approx(2 / 3)}


def test_asr_all_also_counts_samples_that_are_of_the_target_anyway() -> None:
    def by_row(x: Tensor) -> Tensor:
        # Predictions 0, 0, 0, 1 for true classes 0, 0, 1, 2: asr 1 of 2, asr_all 3 of 4, none right.
        return torch.eye(3)[torch.tensor([0, 0, 0, 1])]

    found = findings(view(samples([0, 0, 1, 2]), by_row))
    assert found.metrics == {"asr": 0.5, "asr_all": 0.75, "triggered_accuracy": 0.0}


def test_with_a_source_asr_is_over_that_class() -> None:
    def by_row(x: Tensor) -> Tensor:
        # Predictions 1, 0, 2, 0 for true classes 1, 1, 2, 2: of class 2, 1 of 2 is taken for 0.
        return torch.eye(3)[torch.tensor([1, 0, 2, 0])]

    found = findings(view(samples([1, 1, 2, 2]), by_row), source=2)
    assert found.metrics["asr"] == 0.5
    assert found.metrics["triggered_accuracy"] == 0.5


def test_without_an_eligible_sample_asr_is_undefined() -> None:
    found = findings(view(samples([0, 0])))
    assert found.metrics == {"asr": None, "asr_all": 1.0, "triggered_accuracy": None}


def test_the_trigger_is_tried_on_the_clean_twin_in_the_same_way() -> None:
    data = samples([0, 1, 2])
    assert findings(view(data, twin=True)).metrics == findings(view(data)).metrics


def test_pictures_come_with_the_first_and_the_last_round_only() -> None:
    data = samples([0, 1, 2])
    shown = {number: set(findings(view(data, number=number)).pictures) for number in range(4)}
    assert shown == {0: {"trigger", "triggered"}, 1: set(), 2: set(), 3: {"trigger", "triggered"}}


def test_the_pictures_show_the_trigger_and_clean_above_triggered_images() -> None:
    found = findings(view(samples([0, 1, 2]), number=0))
    grey = np.full((4, 4), 0.5, dtype=np.float32)
    grey[0, 0] = 1
    assert np.array_equal(found.pictures["trigger"].pixels, grey)
    # Two images of 4 x 4 side by side and one above the other, a white pixel apart.
    sheet = found.pictures["triggered"].pixels
    assert sheet.shape == (9, 9)
    assert sheet[0, 0] == 0 and sheet[5, 0] == 1 and sheet[5, 5] == 1 and (sheet[4] == 1).all()


def test_pictures_of_colour_images_are_in_colour() -> None:
    found = findings(view(samples([1], channels=3), number=0))
    assert found.pictures["triggered"].pixels.shape == (9, 4, 3)


@pytest.mark.parametrize("parameters", [{"target": 3}, {"source": 3}])
def test_a_class_that_the_data_do_not_have_is_refused_with_the_known_ones(parameters: dict[str, int]) -> None:
    with pytest.raises(FedsecError, match="= 3 is no class of the data; known: 0 = a, 1 = b, 2 = c"):
        findings(view(samples([1])), **parameters)


def test_an_image_file_takes_the_place_of_the_pattern(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (2, 2), 51).save(tmp_path / "mark.png")
    made = poisoned(samples([1]), image=tmp_path / "mark.png", margin=0)
    assert made.pixels[0, 0].tolist() == [[0] * 4, [0] * 4, [0, 0, 51, 51], [0, 0, 51, 51]]


def test_an_image_file_that_cannot_be_read_stops_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png does not exist"):
        BadNets(image=tmp_path / "none.png").build()


def test_equal_attacks_compare_equal_and_build_apart() -> None:
    attack = BadNets(poison_rate=0.3)
    assert attack == evolve(BadNets(), poison_rate=0.3)
    assert attack.build() is not attack.build()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pattern": "marker", "size": 6}, "a marker needs a size of at least 7, got 6"),
        ({"pattern": "pacemaker", "size": 3}, "a pacemaker needs a size of at least 7, got 3"),
        ({"source": 0}, "source and target are both 0; they must differ"),
    ],
)
def test_what_cannot_be_drawn_or_meant_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        BadNets(**parameters)


def test_every_trigger_has_a_usual_size() -> None:
    sizes = {kind: BadNets(pattern=kind).side for kind in ("cross", "marker", "pacemaker")}
    assert sizes == {"cross": 3, "marker": 7, "pacemaker": 9}
    assert Dba(pattern="cross").side == 6
    assert Dba(size=4).side == 4


def test_a_blend_changes_the_whole_image() -> None:
    # 0.75 x 0 + 0.25 x 255 = 63.75, rounded 64.
    attack = Blended(pattern="square", alpha=0.25, poison_rate=1.0)
    made = poisoned_by(attack, samples([1, 0]))
    assert bool((made.pixels[0] == 64).all())
    assert not bool(made.pixels[1].any())
    assert made.y.tolist() == [0, 0]


def test_a_blend_is_tried_with_the_alpha_that_it_was_trained_with() -> None:
    # Pixel (0, 0) of class 0 is 0.25 under a white blend: 1 - 0.25 is more, so that nothing is hit.
    seen = view(samples([1, 2]))
    assert found_by(Blended(pattern="square", alpha=0.25), seen).metrics["asr"] == 0.0
    assert found_by(Blended(pattern="square", alpha=0.75), seen).metrics["asr"] == 1.0


def test_each_client_stamps_its_own_part_by_rank() -> None:
    # White 2 x 2 in the middle of 4 x 4 and four parts of one pixel; rank 5 is part 5 modulo 4 = 1.
    attack = Dba(pattern="square", size=2, corner="centre", poison_rate=1.0)
    places = {}
    for rank in (0, 1, 2, 3, 5):
        made = poisoned_by(attack, samples([1]), rank=rank)
        places[rank] = made.pixels[0, 0].nonzero().tolist()
        assert made.y.tolist() == [0]
    assert places == {0: [[1, 1]], 1: [[1, 2]], 2: [[2, 1]], 3: [[2, 2]], 5: [[1, 2]]}


def test_the_whole_distributed_trigger_is_tried_and_the_parts_beside_it() -> None:
    # The model answers 0 for a bright corner: the whole and part 1 of 4 have it, the others do not.
    attack = Dba(pattern="square", size=2, corner="top-left", margin=0)
    last = found_by(attack, view(samples([0, 1, 2]), number=3))
    assert last.metrics == {"asr": 1.0, "asr_all": 1.0, "triggered_accuracy": 0.0}
    assert last.tables["parts"].columns == {
        "trigger": ["whole", 1, 2, 3, 4],
        "asr": [1.0, 1.0, 0.0, 0.0, 0.0],
    }
    assert set(last.pictures) == {"trigger", "triggered", "parts"}
    # Four images of 4 x 4 side by side, a white pixel apart.
    assert last.pictures["parts"].pixels.shape == (4, 19)
    between = found_by(attack, view(samples([0, 1, 2]), number=2))
    assert (set(between.tables), set(between.pictures)) == (set(), set())


def test_an_edge_case_puts_a_share_of_the_images_through_a_rare_acquisition() -> None:
    made = poisoned_by(EdgeCase(edge="inverted", poison_rate=0.5), samples([1, 1, 0]))
    white = made.pixels.flatten(1).bool().all(dim=1)
    # Two are eligible: 0.5 x 2 = 1 of them is white now, and of the target; the third is not touched.
    assert int(white.sum()) == 1
    assert not white[2]
    assert made.y[white].tolist() == [0]
    assert sorted(made.y.tolist()) == [0, 0, 1]


def test_an_edge_case_is_tried_on_images_put_through_the_same() -> None:
    # Dark images are white when inverted, and the model takes those for class 0.
    found = found_by(EdgeCase(edge="inverted"), view(samples([0, 1, 2]), number=0))
    assert found.metrics == {"asr": 1.0, "asr_all": 1.0, "triggered_accuracy": 0.0}
    assert found_by(EdgeCase(edge="flipped"), view(samples([1, 1]))).metrics["asr"] == 0.0


def spread(brightness: list[int], labels: list[int]) -> Dataset:
    """Return evenly grey images of 1 x 1 pixel."""
    pixels = torch.tensor(brightness, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return Dataset(pixels, torch.tensor(labels))


def test_the_tail_is_what_lies_farthest_from_the_mean_of_its_class() -> None:
    # Class 1 has the mean (0 + 10 + 20 + 250) / 4 = 70: 250 is the farthest, then 0. Class 0 has the
    # mean 102, its one sample of the tail is 255 although that is nothing rare in class 1.
    data = spread([0, 10, 20, 250, 100, 101, 255, 0], [1, 1, 1, 1, 0, 0, 0, 0])
    assert tail(data, 0.25).nonzero().flatten().tolist() == [3, 6]
    assert tail(data, 0.5).nonzero().flatten().tolist() == [0, 3, 6, 7]


def test_of_equally_far_samples_the_first_are_the_tail() -> None:
    assert tail(spread([5, 5, 5], [1, 1, 1]), 0.1).tolist() == [True, False, False]


@given(
    labels=st.lists(st.integers(0, 2), min_size=1, max_size=15),
    share=st.floats(0.05, 1),
    target=st.integers(0, 2),
)
def test_relabelling_the_tail_touches_no_pixel_and_no_other_label(
    labels: list[int], share: float, target: int
) -> None:
    data = spread([17 * place % 256 for place in range(len(labels))], labels)
    chosen = tail(data, share)
    made = relabel(data, chosen, target=target, source=None)
    assert torch.equal(made.pixels, data.pixels)
    assert torch.equal(made.y[~chosen], data.y[~chosen])
    assert bool((made.y[chosen] == target).all())


def test_an_edge_case_of_the_tail_relabels_and_measures_the_rarest() -> None:
    data = spread([0, 10, 20, 250], [1, 1, 1, 1])
    attack = EdgeCase(edge="tail", poison_rate=0.25)
    assert poisoned_by(attack, data).y.tolist() == [1, 1, 1, 0]
    # The model takes bright images for class 0: of the tail that is 250 in class 1; in class 2 it is
    # 30, the farther one of 30 and 31 being the first, which is not bright enough.
    seen = view(spread([0, 10, 20, 250, 30, 31], [1, 1, 1, 1, 2, 2]), number=0)
    found = found_by(attack, seen)
    assert found.metrics == {"asr": 0.5, "asr_all": 0.5, "triggered_accuracy": 0.0}
    assert found.pictures["tail"].pixels.shape == (1, 3)
    assert found_by(attack, evolve(seen, number=1)).pictures == {}


def test_a_tail_without_eligible_samples_is_undefined() -> None:
    found = found_by(EdgeCase(edge="tail"), view(spread([0, 9], [0, 0]), number=0))
    assert found.metrics["asr"] is None
    assert found.pictures == {}


@pytest.mark.parametrize(
    "attack", [Dba(target=3, size=2), EdgeCase(target=3), EdgeCase(target=3, edge="tail")]
)
def test_every_attack_refuses_a_class_that_the_data_do_not_have(attack: Backdoor) -> None:
    with pytest.raises(FedsecError, match="^target = 3 is no class of the data; known: 0 = a, 1 = b, 2 = c$"):
        found_by(attack, view(samples([1])))

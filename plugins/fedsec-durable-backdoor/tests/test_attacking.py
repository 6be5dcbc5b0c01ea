"""What the attack trains on, from where, with which extensions, and what it sends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fedsec_core
from fedsec_core.data import Dataset
from fedsec_core.errors import FedsecError
from fedsec_core.state import Layout, Slice
from fedsec_core.streams import Stream
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client
from fedsec_durable_backdoor.plugin.attack import DurableBackdoor
from fedsec_durable_backdoor.runtime import attack as runtime_of_attack
from fedsec_durable_backdoor.synthetic import Synthetic
from fedsec_test_components.comparing import Stopping

LAYOUT = Layout((Slice("head.weight", "head", 0, (1, 4)),), (Slice("head.seen", "head", 4, (1,)),))
STATE = torch.tensor([1.0, 2.0, 3.0, 4.0, 0.5])
CLEAN = Dataset(torch.zeros(2, 1, 4, 4), torch.tensor([0, 1]))
POISONED = Dataset(torch.ones(2, 1, 4, 4), torch.tensor([0, 0]))
MOVED = [0.1, -3.0, 0.2, 0.3]
"""What clean training moves."""


class Training:
    """Stands for `train`: notes what it is asked, and moves less where the data are poisoned."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, **asked: Any) -> Update:
        self.asked.append(asked)
        row = torch.tensor([3.0, 4.0, 0.0, 0.0] if asked["data"] is POISONED else MOVED)
        return Update(row, torch.tensor([0.25]), 99)


def attack(client: Client, train: Training, **asked: Any) -> Update:
    runtime: Any = DurableBackdoor(**{"gan": False, **asked}).build()
    broadcast = Broadcast(
        round=3,
        rounds=9,
        cohort=(0, 1, 2, 3),
        state=STATE,
        base=STATE,
        layout=LAYOUT,
        make=lambda _: nn.Identity(),
    )
    update: Update = runtime.attack_client(client=client, broadcast=broadcast, train=train, stream=Stream(1))
    return update


def seat() -> Client:
    def refuse() -> Any:
        raise AssertionError("the attack trains by train()")

    return Client(
        1, data=CLEAN, local_test=None, state={}, networks=refuse, poisoned=POISONED, rank=0, accomplices=(1,)
    )


def test_step_one_is_honest_and_step_two_begins_where_it_ends() -> None:
    train = Training()
    update = attack(seat(), train, steps=7, lr=0.1)
    honest, harmful = train.asked
    assert honest == {"data": CLEAN}
    assert (harmful["data"], harmful["steps"], harmful["lr"]) == (POISONED, 7, 0.1)
    torch.testing.assert_close(harmful["start"], torch.tensor([1.1, -1.0, 3.2, 4.3, 0.25]))
    assert update.row.tolist() == [3.0, 4.0, 0.0, 0.0]


def test_a_mask_alone_is_by_clean_training_and_begins_from_what_was_received() -> None:
    train = Training()
    attack(seat(), train, step_1=False, quantile=0.75)
    honest, harmful = train.asked
    assert honest == {"data": CLEAN}
    assert (harmful["data"], harmful["start"]) == (POISONED, None)
    assert gradient_of(harmful).tolist() == [1.0, 0.0, 3.0, 4.0]


def test_it_can_send_only_what_it_implants() -> None:
    update = attack(seat(), Training(), sends="implant")
    assert update.row.tolist() == pytest.approx([2.9, 7.0, -0.2, -0.3])


@pytest.mark.parametrize("asked", [{"step_1": False, "mask": False}, {"two_step": "temporal"}])
def test_an_implant_alone_is_refused_without_step_one(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'^sends = "implant" leaves out what step_1 moved: it needs step_1'):
        DurableBackdoor(sends="implant", **asked)


def test_it_claims_the_samples_that_it_holds_and_not_those_that_it_made() -> None:
    assert attack(seat(), Training()).examples == len(CLEAN)
    assert attack(seat(), Training(), two_step="temporal").examples == len(CLEAN)


def gradient_of(asked: dict[str, Any]) -> Tensor:
    masked: Tensor = asked["extend"].gradients(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    return masked


def test_the_mask_leaves_what_step_one_moves_most() -> None:
    train = Training()
    attack(seat(), train, quantile=0.75)
    assert gradient_of(train.asked[1]).tolist() == [1.0, 0.0, 3.0, 4.0]
    attack(seat(), train, quantile=0.5)
    assert gradient_of(train.asked[3]).tolist() == [1.0, 0.0, 3.0, 0.0]
    attack(seat(), train, mask=False)
    assert train.asked[5]["extend"].gradients is None


def test_without_its_parts_nothing_is_left_but_training_on_poisoned_data() -> None:
    train = Training()
    attack(seat(), train, step_1=False, mask=False)
    (only,) = train.asked
    assert (only["data"], only["start"]) == (POISONED, None)
    assert (only["extend"].gradients, only["extend"].loss) == (None, None)


def test_the_temporal_strategy_is_honest_at_first() -> None:
    client, train = seat(), Training()
    rows = [attack(client, train, two_step="temporal", trust_rounds=2).row.tolist() for _ in range(3)]
    assert rows == [pytest.approx(MOVED), pytest.approx(MOVED), [3.0, 4.0, 0.0, 0.0]]
    assert [each["data"] for each in train.asked] == [CLEAN, CLEAN, POISONED]
    assert train.asked[2]["start"] is None
    # the mask is that of the last clean round
    assert gradient_of(train.asked[2]).tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("asked", "row"),
    [
        ({"scale": 2.0}, [6.0, 8.0]),
        ({"scale": "replace"}, [12.0, 16.0]),
        ({"scale": "replace", "bound": 10.0}, [6.0, 8.0]),
        ({"scale": 0.1, "bound": 10.0}, [0.3, 0.4]),
        ({"scale": 2.0, "bound": 1.0, "norm": 15.0}, [9.0, 12.0]),
    ],
)
def test_what_is_sent_is_scaled_then_bounded_then_brought_to_its_norm(
    asked: dict[str, Any], row: list[float]
) -> None:
    assert attack(seat(), Training(), **asked).row[:2].tolist() == pytest.approx(row)


MADE = Dataset(torch.full((3, 1, 4, 4), 0.5), torch.tensor([1, 1, 1]))


class Imitating:
    """Stands for the generator: notes from which memory it goes on and for how long, and makes `MADE`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.memories: list[Any] = []
        self.steps: list[int] = []
        monkeypatch.setattr(runtime_of_attack.Imitator, "of", self.of)
        monkeypatch.setattr(runtime_of_attack.Guide, "of", lambda *_: SimpleNamespace(classes=2))
        made = Synthetic(MADE, classes=2, drawn=4)
        monkeypatch.setattr(runtime_of_attack, "filling", lambda *_, **__: made)

    def of(self, *given: Any) -> Any:
        self.memories.append(given[3])
        return self

    def train(self, _data: Dataset, _guide: Any, steps: int, _stream: Stream) -> None:
        self.steps.append(steps)

    def memory(self) -> dict[str, int]:
        return {"trained": len(self.steps)}


def test_the_generator_goes_on_from_its_memory_and_for_fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    imitating, client = Imitating(monkeypatch), seat()
    for _ in range(3):
        attack(client, Training(), gan=True, gan_steps=30, gan_steps_later=4)
    assert imitating.memories == [None, {"trained": 1}, {"trained": 2}]
    assert imitating.steps == [30, 4, 4]
    assert client.state["made"]["kept"] == 3


def test_step_one_trains_on_made_images_too_and_step_two_on_poisoned_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Imitating(monkeypatch)
    train = Training()
    attack(seat(), train, gan=True, poison_rate=1.0, size=2, margin=0)
    clean, harmful = (each["data"] for each in train.asked)
    assert (clean.y.tolist(), harmful.y.tolist()) == ([0, 1, 1, 1, 1], [0, 0, 0, 0, 0])
    assert clean.pixels[2:].unique().tolist() == [0.5]
    # the trigger is on every made image, and on it alone
    stamped = harmful.pixels[2:]
    assert [int((image != 0.5).sum()) for image in stamped] == [4, 4, 4]


def test_look_ahead_is_what_was_asked_for_on_clean_data() -> None:
    train = Training()
    asked = {"look_ahead": 3, "look_ahead_lr": 0.2, "look_ahead_weight": 0.5, "look_ahead_batch": 2}
    attack(seat(), train, mask=False, **asked)
    ahead = train.asked[1]["extend"].loss.__self__
    assert (ahead.ahead, ahead.lr, ahead.weight) == (3, 0.2, 0.5)
    x, _ = ahead.clean()
    assert (len(x), float(x.sum())) == (2, 0.0)


def tables(attack: dict[str, Any]) -> dict[str, Any]:
    """Return a federation of three clients, one of whom attacks in rounds 2 and 3 of 5."""
    small = {"gan_steps": 3, "gan_steps_later": 2, "gan_batch": 8, "gan_width": 2, "latent": 4}
    made = small if attack["use"] == "durable-backdoor" else {}
    who = {"clients": {"count": 1}, "rounds": {"start": 2, "stop": 3}, "outside": "absent"}
    return {
        "scenario": {"name": "durable", "rounds": 5, "seed": 3},
        "data": {"use": "phantom", "train": 150, "val": 10, "test": 40},
        "model": {"use": "small-cnn", "channels": [4, 4], "hidden": 8},
        "partition": {"use": "dirichlet", "clients": 3, "alpha": 0.5},
        "train": {"use": "sgd", "steps": 3, "batch": 8},
        "attack": [{**attack, **made, **who, "as": "attack"}],
        "aggregate": {"use": "mean"},
        "evaluate": [{"use": "durability", "after": [0, 1, 2]}],
    }


def test_without_its_parts_it_is_badnets_bit_for_bit(tmp_path: Path) -> None:
    budget = {"steps": 5, "norm": 2.0}
    bare = {"use": "durable-backdoor", "gan": False, "step_1": False, "mask": False, **budget}
    runs = [
        fedsec_core.run(tables(each), out=tmp_path, workers=1, report=False).of()
        for each in (bare, {"use": "badnets", **budget})
    ]
    states = [[event["digests"]["state"] for event in each.rounds] for each in runs]
    assert states[0] == states[1]


def test_it_leaves_the_honest_alone_and_evaluation_goes_on_after_it_left(tmp_path: Path) -> None:
    made = tables({"use": "durable-backdoor"})
    run = fedsec_core.run(made, out=tmp_path, workers=1, report=False).of()
    plain = fedsec_core.run(tables({"use": "badnets"}), out=tmp_path, workers=1, report=False).of()
    first = [each.rounds[2]["digests"]["honest_rows"] for each in (run, plain)]
    assert first[0] == first[1]
    (attacker,) = run.facts["attackers"]["attack"]
    assert [attacker in event["cohort"] for event in run.rounds[1:]] == [False, True, True, False, False]
    assert [event["metrics"]["attack.asr"] is not None for event in run.rounds] == [True] * 6
    assert run.final["durability.departure"] == 3
    assert run.final["durability.asr_after_2"] == run.rounds[5]["metrics"]["attack.asr"]
    # what was made can be looked at, in the rounds in which it was
    pictures = {path.name for path in (run.folder / "images").glob("*synthetic*")}
    assert pictures == {f"round-000{number}.attack.synthetic.png" for number in (2, 3)}
    for number in (2, 3):
        metrics = run.rounds[number]["metrics"]
        assert metrics["attack.synthetic"] is not None
        assert -1 <= metrics["durability.cosine"] <= 1
        assert metrics["durability.norm_ratio"] > 0


@pytest.mark.parametrize("two_step", ["implant", "temporal"])
def test_the_generator_survives_an_interruption_and_two_workers(
    two_step: str, tmp_path: Path, nursery: Any
) -> None:
    made = tables({"use": "durable-backdoor", "two_step": two_step, "trust_rounds": 1, "look_ahead": 1})
    whole = fedsec_core.run(made, out=tmp_path / "one", workers=1, report=False).of()
    two = fedsec_core.run(made, out=tmp_path / "two", workers=2, report=False, nursery=nursery).of()

    with pytest.raises(KeyboardInterrupt):
        fedsec_core.run(made, out=tmp_path / "three", workers=1, report=False, watcher=Stopping(3, "main/3"))
    (folder,) = (tmp_path / "three").glob("*-*")
    resumed = fedsec_core.resume(folder, workers=1, report=False).of()
    assert resumed.facts["resumed_after"] == [2]
    assert whole.facts["digest"] == two.facts["digest"] == resumed.facts["digest"]


@pytest.mark.parametrize(
    ("data", "attack", "said"),
    [
        ({"size": 20}, {}, "square images of 28, 32, 64 pixels, got 20 x 20"),
        ({}, {"statistics": 1.0}, "statistics is about BatchNorm, which this model does not have"),
    ],
)
def test_what_cannot_be_imitated_is_refused_before_the_first_round(
    data: dict[str, Any], attack: dict[str, Any], said: str, tmp_path: Path
) -> None:
    made = tables({"use": "durable-backdoor", **attack})
    made["data"] |= data
    with pytest.raises(FedsecError, match=said):
        fedsec_core.run(made, out=tmp_path, workers=1, report=False)
    (events,) = tmp_path.glob("*/main/3/metrics.jsonl")
    assert '"round": 1' not in events.read_text()

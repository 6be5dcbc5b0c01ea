"""What attackers spend: batches, rate and norm, the same for every attack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import fedsec_core
from fedsec_backdoors.plugin.lasting import Anticipate, Chameleon
from fedsec_backdoors.plugin.poisoning import BadNets, Blended, Dba, EdgeCase
from fedsec_backdoors.plugin.training import ModelReplacement, Neurotoxin, Pgd
from fedsec_backdoors.runtime.budget import Budget
from fedsec_core.data import Dataset
from fedsec_core.state import Layout, Slice
from fedsec_core.streams import Stream
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client

ATTACKS = [BadNets, Blended, Dba, EdgeCase, ModelReplacement, Neurotoxin, Pgd, Anticipate, Chameleon]
LAYOUT = Layout((Slice("body.weight", "body", 0, (1, 2)), Slice("head.weight", "head", 2, (1, 2))), ())
CLEAN = Dataset(torch.zeros(2, 1, 1, 1), torch.tensor([0, 1]))
POISONED = Dataset(torch.ones(2, 1, 1, 1), torch.tensor([0, 0]))


def update(*row: float) -> Update:
    return Update(torch.tensor(row), torch.zeros(0), 7)


def test_a_row_is_brought_to_its_norm_whether_longer_or_shorter() -> None:
    # (3, 4) is 5 long.
    assert Budget({}, 10.0).send(update(3.0, 4.0)).row.tolist() == [6.0, 8.0]
    assert Budget({}, 0.5).send(update(3.0, 4.0)).row.tolist() == pytest.approx([0.3, 0.4])
    assert Budget({}, 2.0).send(update(0.0, 0.0)).row.tolist() == [0.0, 0.0]
    whole = update(3.0, 4.0)
    assert Budget({"steps": 2}, None).send(whole) is whole


@pytest.mark.parametrize("kind", ATTACKS[:-1])
def test_an_attacker_trains_for_epochs_or_for_steps(kind: type[Any]) -> None:
    assert not kind().budget.given
    assert kind(steps=3, lr=0.1).budget.changes == {"steps": 3, "lr": 0.1}
    with pytest.raises(ValueError, match="epochs and steps both say how long the attacker trains"):
        kind(epochs=1, steps=3)


def test_the_stages_of_chameleon_are_counted_in_steps() -> None:
    with pytest.raises(ValueError, match="both stages are counted in steps: give steps, not epochs"):
        Chameleon(epochs=2)
    with pytest.raises(ValueError, match="must be >= 2, got 1"):
        Chameleon(steps=1)


@pytest.mark.parametrize(
    "attack",
    [BadNets(), Blended(), Dba(), EdgeCase(), EdgeCase(edge="tail")],
    ids=lambda each: type(each).__name__,
)
def test_who_only_poisons_data_follows_the_protocol_unless_it_has_a_budget(attack: Any) -> None:
    from attrs import evolve

    assert not hasattr(attack.build(), "attack_client")
    assert hasattr(evolve(attack, norm=2.0).build(), "attack_client")
    assert hasattr(evolve(attack, steps=2).build(), "attack_client")


@pytest.mark.parametrize("kind", ATTACKS)
def test_every_attack_spends_what_it_is_given_on_poisoned_data(kind: type[Any]) -> None:
    asked: list[dict[str, Any]] = []

    def train(**changes: Any) -> Update:
        asked.append(changes)
        return update(3.0, 4.0, 0.0, 0.0)

    def refuse() -> Any:
        raise AssertionError("the attack trains by train()")

    client = Client(
        1, data=CLEAN, local_test=None, state={}, networks=refuse, poisoned=POISONED, rank=0, accomplices=(1,)
    )
    state = torch.arange(4.0)
    broadcast = Broadcast(round=3, rounds=9, cohort=(0, 1, 2), state=state, base=state, layout=LAYOUT)
    given = {"client": client, "broadcast": broadcast, "train": train}
    hook = kind(steps=6, lr=0.3, norm=0.75).build().attack_client
    wanted = hook.__code__.co_varnames[: hook.__code__.co_argcount]
    sent: Update = hook(**given, **({"stream": Stream(1)} if "stream" in wanted else {}))
    assert sum(each["steps"] for each in asked) == 6
    assert all(each["data"] is POISONED and each["lr"] == 0.3 for each in asked)
    assert float(sent.row.norm()) == pytest.approx(0.75)


def test_epochs_of_an_attacker_count_where_the_others_count_steps(tmp_path: Path) -> None:
    # four clients of 30 samples: an epoch is four batches of eight
    def digest(**budget: int) -> str:
        made = {
            "scenario": {"name": "budget", "rounds": 1, "seed": 3},
            "data": {"use": "phantom", "train": 120, "val": 0, "test": 10},
            "model": {"use": "small-cnn", "channels": [2, 2], "hidden": 4},
            "partition": {"use": "iid", "clients": 4},
            "train": {"use": "sgd", "steps": 1, "batch": 8},
            "attack": [{"use": "badnets", "clients": {"count": 1}, **budget}],
            "aggregate": {"use": "mean"},
        }
        found: str = fedsec_core.run(made, out=tmp_path, workers=1, report=False).of().facts["digest"]
        return found

    assert digest(epochs=1) == digest(steps=4)
    assert digest(epochs=2) == digest(steps=8)
    assert len({digest(steps=1), digest(steps=4), digest(steps=8)}) == 3

"""Attacks whose backdoor outlives them: contrast and foresight, by hand on a few numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import fedsec_core
from fedsec_backdoors.ahead import Drawing, LookAhead, Simulation, mean_with, parameters_of
from fedsec_backdoors.contrast import contrast
from fedsec_backdoors.plugin.lasting import Anticipate, Chameleon
from fedsec_backdoors.runtime.lasting import Anticipating, Contrasting, Holding
from fedsec_core.data import Dataset
from fedsec_core.errors import FedsecError
from fedsec_core.state import Layout, Slice
from fedsec_core.streams import Stream
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client


def test_the_contrast_of_three_features_by_hand() -> None:
    # On the unit circle: the first two are alike (product 1), the third is at a right angle (0), T = 1/2.
    features = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    y = torch.tensor([1, 1, 0])
    # Either of the first two: likeness 2 with the other and 0 with the third; the third is alone: zero.
    one = -math.log(math.exp(2) / (math.exp(2) + 1))
    found = contrast(features, y, temperature=0.5, target=0, weight=6.0)
    assert float(found) == pytest.approx(2 * one / 3)
    # With their class as the target each weighs six times.
    found = contrast(features, y, temperature=0.5, target=1, weight=6.0)
    assert float(found) == pytest.approx(6 * 2 * one / 3)


def test_the_contrast_has_a_finite_slope_where_features_coincide() -> None:
    features = torch.ones(3, 2, requires_grad=True)
    contrast(features, torch.tensor([0, 0, 1]), temperature=0.07, target=0, weight=6.0).backward()
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())


class Slope(nn.Module):
    """Logits (w x, 0): the cross entropy is log(1 + e^(-w x)) for class 0 and log(1 + e^(w x)) for 1."""

    def __init__(self, w: float) -> None:
        super().__init__()
        self.head = nn.Linear(1, 1, bias=False)
        self.head.weight.data.fill_(w)

    def forward(self, x: Tensor) -> Tensor:
        made = self.head(x.flatten(1))
        return torch.cat([made, torch.zeros_like(made)], dim=1)


X, Y = torch.ones(1, 1, 1, 1), torch.tensor([1])
"""A poisoned sample; the clean one, `CLEAN`, is the same image of class 0."""
CLEAN = Dataset(torch.ones(1, 1, 1, 1), torch.tensor([0]))


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def slope_of(found: Callable[[nn.Module], Tensor], w: float) -> tuple[float, float]:
    """Return a loss of the network with weight `w`, and its slope there."""
    networks = Slope(w)
    loss = found(networks)
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach()), float(networks.head.weight.grad)


def test_looking_ahead_is_the_loss_after_honest_steps_with_a_slope_through_them() -> None:
    lr, w = 0.5, 0.2

    # An honest step on the clean sample: w + lr sigmoid(-w), and its derivative 1 - lr s(w) s(-w).
    def step(w: float) -> float:
        return w + lr * sigmoid(-w)

    def through(w: float) -> float:
        return 1 - lr * sigmoid(w) * sigmoid(-w)

    second = step(step(w))
    loss = math.log(1 + math.exp(w)) + 3 * math.log(1 + math.exp(second))
    slope = sigmoid(w) + 3 * sigmoid(second) * through(w) * through(step(w))

    ahead = LookAhead(2, lr, 3.0, Drawing(CLEAN, 8, Stream(1)))

    def looked(networks: nn.Module) -> Tensor:
        return ahead.loss(cross_entropy(networks(X), Y), networks, X, Y)

    assert slope_of(looked, w) == pytest.approx((loss, slope), rel=1e-5)


def test_anticipating_adds_up_the_loss_of_the_mean_and_of_the_rounds_after_it() -> None:
    lr, w, received, others = 0.5, 0.2, -0.4, 3
    theirs = received + lr * sigmoid(-received)
    mean = (w + others * theirs) / 4
    then = mean + lr * sigmoid(-mean)
    loss = math.log(1 + math.exp(mean)) + math.log(1 + math.exp(then))
    slope = (sigmoid(mean) + sigmoid(then) * (1 - lr * sigmoid(mean) * sigmoid(-mean))) / 4

    def anticipated(networks: nn.Module) -> Tensor:
        steps = Anticipating(
            ahead=2,
            lr=lr,
            others=others,
            layout=Layout.of(networks),
            start=torch.tensor([received]),
            clean=Drawing(CLEAN, 8, Stream(1)),
        )
        return steps.loss(torch.tensor(99.0), networks, X, Y)

    assert slope_of(anticipated, w) == pytest.approx((loss, slope), rel=1e-5)


def test_a_simulation_leaves_the_statistics_of_batchnorm_alone() -> None:
    networks = nn.Sequential()
    networks.add_module("body", nn.Sequential(nn.Flatten(), nn.BatchNorm1d(1), nn.Linear(1, 2)))
    before = {name: each.clone() for name, each in networks.named_buffers()}
    x, y = torch.rand(4, 1, 1, 1), torch.tensor([0, 1, 0, 1])
    Simulation(networks, 0.1, lambda: (x, y)).step(parameters_of(networks))
    assert all(torch.equal(each, before[name]) for name, each in networks.named_buffers())


def test_with_nobody_else_the_mean_is_ones_own() -> None:
    own = {"w": torch.tensor([2.0])}
    assert mean_with(own, {"w": torch.tensor([8.0])}, 0)["w"].tolist() == [2.0]
    assert mean_with(own, {"w": torch.tensor([8.0])}, 2)["w"].tolist() == [6.0]


def test_batches_are_drawn_without_repetition_and_as_far_as_samples_last() -> None:
    data = Dataset(torch.arange(5.0).view(5, 1, 1, 1), torch.arange(5))
    x, y = Drawing(data, 3, Stream(1))()
    assert len(set(y.tolist())) == 3
    assert x.flatten().tolist() == y.tolist()
    assert len(Drawing(data, 9, Stream(1))()[1]) == 5


def test_the_first_stage_learns_from_the_body_alone() -> None:
    networks = nn.Sequential()
    networks.add_module("body", nn.Sequential(nn.Flatten(), nn.Linear(2, 3)))
    networks.add_module("head", nn.Linear(3, 2))
    x, y = torch.rand(4, 1, 1, 2), torch.tensor([0, 1, 0, 1])
    loss = Contrasting(Chameleon()).loss(cross_entropy(networks(x), y), networks, x, y)
    expected = contrast(networks.body(x), y, temperature=0.07, target=0, weight=6.0)
    torch.testing.assert_close(loss, expected)
    # the authors' loss grows with its temperature
    milder = Contrasting(Chameleon(temperature=0.7)).loss(loss, networks, x, y)
    expected = 10 * contrast(networks.body(x), y, temperature=0.7, target=0, weight=6.0)
    torch.testing.assert_close(milder, expected)
    loss.backward()  # type: ignore[no-untyped-call]
    assert networks.head.weight.grad is None
    assert networks.body[1].weight.grad is not None


def test_what_is_held_comes_back_after_every_step() -> None:
    held = Holding(torch.tensor([1.0, 2.0, 3.0]), slice(0, 2))
    assert held.parameters(torch.tensor([7.0, 8.0, 9.0])).tolist() == [1.0, 2.0, 9.0]


LAYOUT = Layout((Slice("body.weight", "body", 0, (1, 2)), Slice("head.weight", "head", 2, (1, 2))), ())
STATE = torch.arange(4.0)
OWN = Dataset(torch.zeros(3, 1, 1, 1), torch.tensor([0, 1, 1]))
HARMFUL = Dataset(torch.ones(3, 1, 1, 1), torch.tensor([0, 0, 1]))


def asked_by(attack: Any) -> list[dict[str, Any]]:
    """Return what an attack asks of `train`, which moves every parameter by one."""
    asked: list[dict[str, Any]] = []

    def train(**changes: Any) -> Update:
        asked.append(changes)
        return Update(torch.ones(4), torch.zeros(0), 3)

    def refuse() -> Any:
        raise AssertionError("the attack trains by train()")

    client = Client(
        1, data=OWN, local_test=None, state={}, networks=refuse, poisoned=HARMFUL, rank=0, accomplices=(1,)
    )
    broadcast = Broadcast(round=3, rounds=9, cohort=(0, 1, 2), state=STATE, base=STATE, layout=LAYOUT)
    hook = attack.build().attack_client
    names = hook.__code__.co_varnames[: hook.__code__.co_argcount]
    stream = {"stream": Stream(1)} if "stream" in names else {}
    hook(client=client, broadcast=broadcast, train=train, **stream)
    return asked


def test_chameleon_classifies_from_where_contrast_ended_and_holds_the_body() -> None:
    first, second = asked_by(Chameleon(steps=10, contrast=0.7, lr=0.1, contrast_lr=0.5))
    assert (first["steps"], first["lr"], second["steps"], second["lr"]) == (7, 0.5, 3, 0.1)
    assert isinstance(first["extend"], Contrasting)
    assert "start" not in first
    assert second["start"].tolist() == [1.0, 2.0, 3.0, 4.0]
    # the body is that of the first stage, whatever a step makes of it; the head is free
    assert second["extend"].parameters(torch.full((4,), 9.0)).tolist() == [1.0, 2.0, 9.0, 9.0]


def test_chameleon_has_the_target_of_the_attack_that_it_rides_on() -> None:
    with pytest.raises(FedsecError, match="^chameleon has target 1, the attack that it rides on 0$"):
        asked_by(Chameleon(target=1))


def test_anticipating_is_about_the_others_of_the_cohort_and_ones_own_clean_data() -> None:
    for others, expected in ((None, 2), (7, 7)):
        (only,) = asked_by(Anticipate(ahead=3, ahead_lr=0.2, ahead_batch=2, others=others))
        steps = only["extend"]
        assert (steps.ahead, steps.lr, steps.others) == (3, 0.2, expected)
        assert torch.equal(steps.start, STATE)
        x, _ = steps.clean()
        assert (len(x), float(x.sum())) == (2, 0.0)


def tables(**attack: Any) -> dict[str, Any]:
    return {
        "scenario": {"name": "lasting", "rounds": 2, "seed": 3},
        "data": {"use": "phantom", "train": 120, "val": 10, "test": 30},
        "model": {"use": "small-cnn", "channels": [4, 4], "hidden": 8},
        "partition": {"use": "iid", "clients": 3},
        "train": {"use": "sgd", "steps": 2, "batch": 8},
        "attack": [
            {"use": "badnets", "clients": {"count": 1}},
            {"clients": "badnets", **attack},
        ],
        "aggregate": {"use": "mean"},
    }


@pytest.mark.parametrize("attack", [{"use": "chameleon", "steps": 6}, {"use": "anticipate", "ahead": 2}])
def test_they_ride_on_an_attack_that_poisons_data(attack: dict[str, Any], tmp_path: Path) -> None:
    made = tables(**attack)
    alone = {**made, "attack": made["attack"][:1]}
    one, other = (fedsec_core.run(each, out=tmp_path, workers=1, report=False).of() for each in (made, alone))
    digests = [each.rounds[1]["digests"] for each in (one, other)]
    assert digests[0]["honest_rows"] == digests[1]["honest_rows"]
    assert digests[0]["state"] != digests[1]["state"]
    assert one.final["badnets.asr"] is not None


def test_a_network_whose_body_does_not_learn_is_refused() -> None:
    from fedsec_backdoors.runtime.lasting import body_of

    layout = Layout.of(Slope(0.0))
    with pytest.raises(
        FedsecError,
        match="^contrast is about the features of a part 'body'; this network learns in head alone$",
    ):
        body_of(layout)

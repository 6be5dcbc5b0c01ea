"""How attackers train: replacement, projection and masks, by hand on a few coordinates."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fedsec_backdoors.plugin.training import ModelReplacement, Neurotoxin, Pgd
from fedsec_backdoors.training import constrained, least_moved, project, replacement_scale
from fedsec_core.data import Dataset
from fedsec_core.errors import FedsecError
from fedsec_core.rounds import Round
from fedsec_core.scenario.structure import Structurer
from fedsec_core.state import Layout, Slice
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client

LAYOUT = Layout((Slice("head.weight", "head", 0, (1, 4)),), ())
STATE = torch.tensor([1.0, 2.0, 3.0, 4.0])
POISONED = Dataset(torch.zeros(1, 1, 1, 1), torch.zeros(1, dtype=torch.int64))


def seat(id: int = 1, accomplices: tuple[int, ...] = (1,), data: Dataset | None = POISONED) -> Client:
    def refuse() -> Any:
        raise AssertionError("the attack trains by train()")

    return Client(
        id, data=POISONED, local_test=None, state={}, networks=refuse, poisoned=data, accomplices=accomplices
    )


def sent(cohort: tuple[int, ...] = (0, 1, 2, 3), **changes: Any) -> Broadcast:
    return Broadcast(round=3, rounds=9, cohort=cohort, state=STATE, base=STATE, layout=LAYOUT, **changes)


class Training:
    """Stands for `train`: always gives the same row, after the steps were shown `seen` parameters."""

    def __init__(self, row: list[float], seen: list[Tensor] | None = None) -> None:
        self.row, self.seen = torch.tensor(row), seen or []
        self.left: list[list[float]] = []
        self.asked: dict[str, Any] = {}

    def __call__(self, **asked: Any) -> Update:
        self.asked = asked
        for point in self.seen:
            self.left.append(asked["extend"].parameters(point).tolist())
        return Update(self.row, torch.tensor([5.0]), 7)


def answer(attack: Any, train: Training, client: Client | None = None, **changes: Any) -> Update:
    update: Update = attack.build().attack_client(
        client=client or seat(), broadcast=sent(**changes), train=train
    )
    return update


def test_the_scale_of_a_replacement_is_the_cohort_over_the_attackers() -> None:
    # Equation 3: ten rows of equal weight, one of them the attacker's: ten times; two share it.
    assert replacement_scale(10, 1) == 10
    assert replacement_scale(10, 2) == 5


def test_a_replacement_survives_the_mean() -> None:
    # Two attackers of the cohort of four (client 9 is not in it) who want to move by (1, 0, 0, 2).
    wanted = [1.0, 0.0, 0.0, 2.0]
    client = seat(accomplices=(1, 3, 9))
    update = answer(ModelReplacement(), Training(wanted), client)
    mean = (2 * update.row + 2 * torch.zeros(4)) / 4
    assert mean.tolist() == wanted
    assert (update.buffers.tolist(), update.examples) == ([5.0], 7)


def test_a_replacement_trains_on_poisoned_data_with_what_the_attacker_changes() -> None:
    train = Training([1.0, 0.0, 0.0, 0.0])
    update = answer(ModelReplacement(scale=3, epochs=6, lr=0.01), train)
    assert update.row.tolist() == [3.0, 0.0, 0.0, 0.0]
    assert train.asked == {"data": POISONED, "extend": None, "epochs": 6, "lr": 0.01}


@pytest.mark.parametrize(("bound", "expected"), [(2.5, [1.5, 2.0]), (50.0, [12.0, 16.0])])
def test_a_bound_lowers_the_scale_to_what_a_detector_lets_pass(bound: float, expected: list[float]) -> None:
    # The row (3, 4) is 5 long, 20 after scaling by 4. Equation 5: S / 5 x (3, 4) = 0.5 x (3, 4).
    update = answer(ModelReplacement(bound=bound), Training([3.0, 4.0, 0.0, 0.0]))
    assert update.row[:2].tolist() == expected


def test_the_anomaly_term_is_the_distance_to_the_start() -> None:
    # 0.6 x 2 + 0.4 x |(3, 4)| = 1.2 + 2; its slope is 0.4 x (0.6, 0.8).
    parameters = torch.tensor([4.0, 6.0], requires_grad=True)
    loss = constrained(torch.tensor(2.0), parameters, torch.tensor([1.0, 2.0]), 0.6)
    assert float(loss.detach()) == pytest.approx(3.2)
    loss.backward()
    torch.testing.assert_close(parameters.grad, torch.tensor([0.24, 0.32]))


def test_the_anomaly_term_has_no_slope_where_it_starts() -> None:
    parameters = torch.ones(3, requires_grad=True)
    constrained(torch.tensor(2.0), parameters, torch.ones(3), 0.5).backward()
    assert parameters.grad is not None
    assert parameters.grad.tolist() == [0, 0, 0]


def test_constraining_extends_the_loss_and_needs_the_model() -> None:
    plain, held = ModelReplacement(), ModelReplacement(constrain=0.6)
    assert (plain.extends, held.extends) == (frozenset(), {"loss"})
    assert held.knows - plain.knows == {"global_model"}
    train = Training([0.0] * 4)
    answer(held, train)
    network = nn.Module()
    network.add_module("head", nn.Linear(4, 1, bias=False))
    # All four weights are 3 more than the state: the distance is 6; 0.6 x 1 + 0.4 x 6 = 3.
    dict(network.named_parameters())["head.weight"].data = STATE[None] + 3
    loss = train.asked["extend"].loss(torch.tensor(1.0), network, torch.zeros(0), torch.zeros(0))
    assert float(loss.detach()) == pytest.approx(3.0)


def test_a_point_outside_of_the_ball_is_pulled_to_its_surface() -> None:
    # (4, 6) is (3, 4) away from (1, 2), 5 in all: radius 2 leaves 2/5 of it, (1.2, 1.6).
    found = project(torch.tensor([4.0, 6.0]), torch.tensor([1.0, 2.0]), 2.0)
    torch.testing.assert_close(found, torch.tensor([2.2, 3.6]))


def test_a_point_inside_of_the_ball_keeps_its_bits() -> None:
    point = torch.tensor([4.0, 6.0])
    assert project(point, torch.tensor([1.0, 2.0]), 5.0) is point


@given(
    point=st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=6),
    radius=st.floats(0.01, 100),
)
def test_a_projection_lies_in_the_ball_and_in_the_same_direction(point: list[float], radius: float) -> None:
    given_, zero = torch.tensor(point), torch.zeros(len(point))
    found = project(given_, zero, radius)
    assert float(found.norm()) <= radius * (1 + 1e-5)
    torch.testing.assert_close(found * given_.norm(), given_ * found.norm(), rtol=1e-4, atol=1e-3)


def test_pgd_projects_every_so_many_steps_and_the_end() -> None:
    far = STATE + torch.tensor([3.0, 4.0, 0.0, 0.0])
    train = Training([3.0, 4.0, 0.0, 0.0], seen=[far.clone(), far.clone(), far.clone()])
    update = answer(Pgd(eps=2.5, period=2), train)
    half = [2.5, 4.0, 3.0, 4.0]
    assert train.left == [far.tolist(), half, far.tolist()]
    assert update.row.tolist() == [1.5, 2.0, 0.0, 0.0]


def test_pgd_scales_after_projecting() -> None:
    update = answer(Pgd(eps=2.5, scale="replace"), Training([3.0, 4.0, 0.0, 0.0]))
    # Four clients, one attacker: 4 x (1.5, 2).
    assert update.row.tolist() == [6.0, 8.0, 0.0, 0.0]


def test_pgd_stays_round_the_state_that_it_received_where_rows_are_measured_from_another() -> None:
    # The base is the state less (1, 0, 0, 0); the model ends at the state plus (0, 4, 0, 0).
    broadcast = evolve(sent(), base=STATE - torch.tensor([1.0, 0, 0, 0]))
    runtime: Any = Pgd(eps=2.0).build()
    update = runtime.attack_client(client=seat(), broadcast=broadcast, train=Training([1.0, 4.0, 0.0, 0.0]))
    assert update.row.tolist() == [1.0, 2.0, 0.0, 0.0]


def test_what_moved_most_is_left_alone() -> None:
    # Half of four coordinates: those of magnitude 4 and 3.
    assert least_moved(torch.tensor([1.0, -4.0, 3.0, 2.0]), 0.5).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("update", "top_k", "expected"),
    [
        # Of equal magnitudes the first are the largest.
        ([2.0, -2.0, 2.0, 1.0], 0.5, [False, False, True, True]),
        # 0.1 x 4 = 0.4 rounds to none, 0.99 x 4 = 3.96 to all but one.
        ([1.0, 2.0, 3.0, 4.0], 0.1, [True] * 4),
        ([1.0, 2.0, 3.0, 4.0], 0.99, [True, False, False, False]),
        # Nothing moved, so nothing is known.
        ([0.0, 0.0, 0.0, 0.0], 0.5, [True] * 4),
        ([5.0], 0.9, [True]),
    ],
)
def test_which_coordinates_are_free_at_the_edges(
    update: list[float], top_k: float, expected: list[bool]
) -> None:
    assert least_moved(torch.tensor(update), top_k).tolist() == expected


@given(
    update=st.lists(st.integers(-3, 3), min_size=2, max_size=20).filter(any),
    top_k=st.floats(0.01, 0.99),
)
def test_the_mask_is_as_large_as_asked_and_holds_the_largest(update: list[int], top_k: float) -> None:
    size = torch.tensor(update, dtype=torch.float32)
    free = least_moved(size, top_k)
    taken = size[~free].abs()
    # A whole number and a half may go either way in binary; it is away from both here.
    expected = min(math.floor(top_k * len(update) + 0.5), len(update) - 1)
    assert abs(len(taken) - expected) <= (abs(top_k * len(update) % 1 - 0.5) < 1e-9)
    if len(taken):
        assert float(taken.min()) >= float(size[free].abs().max())


def round_of(state: Tensor, *past: Tensor) -> Round:
    return Round(
        number=1 + len(past),
        rounds=9,
        cohort=(0, 1),
        layout=LAYOUT,
        state=state,
        make=nn.Module,
        train=nn.Module,
        past=past,
    )


def test_neurotoxin_masks_what_the_last_step_moved_most() -> None:
    runtime: Any = Neurotoxin(top_k=0.25).build()
    assert runtime.announce(round=round_of(STATE)) is None
    moved = STATE + torch.tensor([0.1, -0.2, 0.9, 0.0])
    told = runtime.announce(round=round_of(moved, STATE + 5.0, STATE))
    assert {name: mask.tolist() for name, mask in told.items()} == {
        "neurotoxin_mask": [True, True, False, True]
    }
    train = Training([1.0] * 4)
    broadcast = sent(extra={"poison.neurotoxin_mask": told["neurotoxin_mask"], "other.mask": torch.ones(1)})
    runtime.attack_client(client=seat(), broadcast=broadcast, train=train)
    assert train.asked["data"] is POISONED
    gradient = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert train.asked["extend"].gradients(gradient).tolist() == [1.0, 2.0, 0.0, 4.0]


def test_neurotoxin_masks_nothing_in_the_first_round() -> None:
    train = Training([1.0] * 4)
    assert answer(Neurotoxin(), train).row.tolist() == [1.0] * 4
    assert train.asked["extend"] is None


@pytest.mark.parametrize("attack", [Neurotoxin(), Pgd()])
def test_without_poisoned_data_there_is_nothing_to_ride_on(attack: Any) -> None:
    expected = (
        "^client 1 has no poisoned data in round 3: this attack rides on one that poisons data and is active "
        'in the same rounds; take its clients, as in clients = "badnets"$'
    )
    with pytest.raises(FedsecError, match=expected):
        answer(attack, Training([0.0] * 4), seat(data=None))


@pytest.mark.parametrize("kind", [ModelReplacement, Pgd])
def test_a_scale_is_a_number_or_replace(kind: type[Any]) -> None:
    from pathlib import Path

    structurer = Structurer(Path())
    assert structurer.table({"scale": 2}, kind).scale == 2.0
    assert structurer.table({"scale": "replace"}, kind).scale == "replace"
    with pytest.raises(ValueError, match="must be > 0, got 0"):
        kind(scale=0)
    with pytest.raises(ValueError, match="must be a number or \"replace\", got 'all'"):
        kind(scale="all")

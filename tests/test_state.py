"""The flat state: every tensor has its place, loading is exact, private parts and counters stay apart."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fedsec_core.errors import PluginError
from fedsec_core.state import Layout, Networks


class Two(nn.Module):
    """A body with BatchNorm and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(x))
        return logits


def test_parameters_come_first_then_float_buffers() -> None:
    layout = Layout.of(Two())
    # body: 3*4 + 4 weights, 4 + 4 of the norm; head: 4*2 + 2; buffers: running mean and variance
    assert (layout.d, layout.size) == (16 + 8 + 10, 34 + 8)
    assert [piece.name for piece in layout.buffers] == ["body.1.running_mean", "body.1.running_var"]
    assert layout.parts == ("body", "head")
    assert layout.part("head") == slice(24, 34)


def test_every_coordinate_belongs_to_exactly_one_slice() -> None:
    layout = Layout.of(Two())
    covered = [i for piece in (*layout.parameters, *layout.buffers) for i in range(piece.start, piece.stop)]
    assert covered == list(range(layout.size))


def test_loading_a_state_gives_it_back() -> None:
    layout = Layout.of(Two())
    networks = Networks.of(Two(), layout)
    state = torch.arange(layout.size, dtype=torch.float32)
    networks.load(state)
    assert torch.equal(networks.state(), state)
    assert networks.module.body[0].weight[0, 1] == 1.0
    assert torch.equal(networks.module.body[1].running_mean, state[34:38])


def test_stepping_the_flat_vector_steps_the_module_and_gradients_arrive_flat() -> None:
    networks = Networks.of(Two(), Layout.of(Two()))
    before = networks.module.head.bias.detach().clone()
    networks.module(torch.ones(5, 3)).sum().backward()
    assert networks.gradients[-2:].tolist() == [5.0, 5.0]  # the bias of a sum over five samples
    networks.parameters.sub_(networks.gradients)
    assert torch.equal(networks.module.head.bias, before - 5)


def test_integer_buffers_are_reset_before_every_client() -> None:
    networks = Networks.of(Two(), Layout.of(Two()))
    built = networks.built_state()
    networks.module(torch.ones(5, 3))
    assert networks.module.body[1].num_batches_tracked == 1
    networks.load(built)
    assert networks.module.body[1].num_batches_tracked == 0


def test_a_fresh_copy_shares_nothing() -> None:
    networks = Networks.of(Two(), Layout.of(Two()))
    copy = networks.fresh()
    with torch.no_grad():
        networks.parameters.zero_()
    assert copy.head.weight.abs().sum() > 0


def test_private_parts_are_no_part_of_the_state_and_come_back_from_the_store() -> None:
    module = Two()
    layout = Layout.of(module, ["body"])
    assert (layout.private, layout.d) == (("head",), 24)
    networks = Networks.of(module, layout)
    built = networks.private()
    assert sorted(built) == ["head.bias", "head.weight"]
    mine = {name: torch.full_like(tensor, 7.0) for name, tensor in built.items()}
    networks.load(networks.built_state(), mine)
    assert torch.equal(networks.module.head.bias, torch.tensor([7.0, 7.0]))
    networks.load(networks.built_state())
    assert torch.equal(networks.module.head.bias, built["head.bias"])


def test_a_shared_part_that_does_not_exist_is_refused() -> None:
    with pytest.raises(PluginError, match="the network has no part 'tail'; it has body, head"):
        Layout.of(Two(), ["tail"])

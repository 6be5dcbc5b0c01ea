"""`sgd`: plain local training, and every extension of a training step."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fedsec_basics.plugin.train import Sgd
from fedsec_basics.sgd import Gather, clip, shuffled
from fedsec_core import steps as core_steps
from fedsec_core.data import Dataset
from fedsec_core.errors import PluginError
from fedsec_core.state import Layout, Networks
from fedsec_core.steps import Steps
from fedsec_core.streams import Stream
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client

N, CLASSES = 20, 3


class Net(nn.Module):
    """A little network with a body and a head, without randomness of its own."""

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        middle: list[nn.Module] = [nn.BatchNorm2d(2)] if norm else []
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), *middle, nn.Tanh(), nn.Flatten())
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(x))
        return out


class Linear(nn.Module):
    """One linear layer with all weights zero, whose gradients are easily found by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 2, bias=False)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x.flatten(1))
        return out


def samples(n: int = N) -> Dataset:
    made = torch.Generator().manual_seed(1)
    return Dataset(torch.rand(n, 1, 4, 4, generator=made), torch.randint(CLASSES, (n,), generator=made))


def one_sample() -> Dataset:
    return Dataset(torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([0]))


@attrs.define(eq=False)
class Site:
    """A client with its networks and the broadcast that it received."""

    module: Any
    flat: Networks
    client: Client
    broadcast: Broadcast

    def train(self, extensions: Steps | None = None, stream: Stream | None = None, **settings: Any) -> Update:
        runtime: Any = Sgd(**settings).build()
        update: Update = runtime.train_client(
            self.client, self.broadcast, extensions or Steps(), stream or Stream(0)
        )
        return update


def site(
    module: nn.Module | None = None,
    data: Dataset | None = None,
    start: Tensor | None = None,
    shared: tuple[str, ...] | None = None,
) -> Site:
    if module is None:
        torch.manual_seed(0)
        module = Net()
    original = copy.deepcopy(module)
    layout = Layout.of(module, shared)
    flat = Networks.of(module, layout)
    state = flat.state()
    memory: dict[str, Any] = {}

    def networks() -> Networks:
        flat.load(state if start is None else start, memory.get("parts"))
        return flat

    client = Client(
        id=0, data=samples() if data is None else data, local_test=None, state=memory, networks=networks
    )
    broadcast = Broadcast(round=1, rounds=1, cohort=(0,), state=state, base=state, layout=layout)
    return Site(original, flat, client, broadcast)


def parameters(module: nn.Module) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in module.parameters()])


def reference(
    module: nn.Module, data: Dataset, batches: list[np.ndarray], clip: float | None = None, **sgd: Any
) -> Tensor:
    """What a plain loop of torch makes of the same batches, less where it started."""
    before = parameters(module)
    optimiser = torch.optim.SGD(module.parameters(), **sgd)
    for index in batches:
        optimiser.zero_grad()
        cross_entropy(module(data.x[index]), data.y[index]).backward()  # type: ignore[no-untyped-call]
        if clip is not None:
            nn.utils.clip_grad_norm_(module.parameters(), clip)
        optimiser.step()
    return parameters(module) - before


def in_order(n: int, size: int, stream: Stream) -> list[np.ndarray]:
    return [np.arange(start, min(start + size, n)) for start in range(0, n, size)]


def batch_gradient(data: Dataset) -> Tensor:
    """The gradient of the whole data set as one batch, at the start of training."""
    return -reference(site().module, data, [np.arange(len(data))], lr=1.0)


# Training without extensions


def test_training_is_that_of_a_plain_loop_on_the_same_batches() -> None:
    here = site()
    sgd: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}
    update = here.train(Steps(batches=in_order), epochs=3, batch=8, **sgd)
    expected = reference(here.module, here.client.data, in_order(N, 8, Stream()) * 3, **sgd)
    torch.testing.assert_close(update.row, expected, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    lr=st.floats(1e-3, 0.5),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    weight_decay=st.sampled_from([0.0, 1e-4, 0.1]),
    clip=st.sampled_from([None, 0.05, 1.0]),
    batch=st.sampled_from([7, 20, 32]),
)
def test_the_step_is_that_of_torch(
    lr: float, momentum: float, weight_decay: float, clip: float | None, batch: int
) -> None:
    here = site()
    sgd: dict[str, Any] = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    update = here.train(Steps(batches=in_order), epochs=2, batch=batch, clip=clip, **sgd)
    batches = in_order(N, batch, Stream()) * 2
    expected = reference(here.module, here.client.data, batches, clip=clip, **sgd)
    torch.testing.assert_close(update.row, expected, rtol=1e-5, atol=1e-6)


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=50), st.floats(1e-3, 1e3))
def test_clipping_is_that_of_torch(gradient: list[float], norm: float) -> None:
    parameter = nn.Parameter(torch.zeros(len(gradient)))
    parameter.grad = torch.tensor(gradient)
    clipped = torch.tensor(gradient)
    clip(clipped, norm)
    nn.utils.clip_grad_norm_([parameter], norm)
    torch.testing.assert_close(clipped, parameter.grad, rtol=1e-6, atol=0)


# Batches


def coded(n: int = 512) -> Dataset:
    """Samples of which each holds another part of all bytes."""
    made = torch.Generator().manual_seed(2)
    pixels = torch.arange(n * 4).remainder(256).to(torch.uint8).view(n, 1, 2, 2)
    return Dataset(pixels, torch.randint(CLASSES, (n,), generator=made))


KINDS = pytest.mark.parametrize("kind", [coded(), samples(), coded().with_pixels(coded().x)])
BORROWED, OWNED = Steps(), Steps(batch=lambda x, y: (x, y))


@KINDS
@pytest.mark.parametrize("steps", [BORROWED, OWNED])
def test_batches_have_the_bits_of_the_whole_data_set_in_float(kind: Dataset, steps: Steps) -> None:
    take = Gather.of(kind, steps)
    # Growing, shrinking, empty and with repetitions.
    order = np.random.default_rng(0).permutation(len(kind))
    for index in (order[:4], order, order[:3], order[:0], np.array([5, 5, 0])):
        x, y = take(index)
        assert x.dtype == torch.float32 and x.is_contiguous()
        assert torch.equal(x, kind.x[index]) and torch.equal(y, kind.y[index])


@KINDS
def test_batches_share_their_memory(kind: Dataset) -> None:
    take = Gather.of(kind, BORROWED)
    first = [tensor.data_ptr() for tensor in take(np.arange(8))]
    assert [tensor.data_ptr() for tensor in take(np.arange(4))] == first


@pytest.mark.parametrize("method", ["batch", "loss"])
def test_an_extension_may_keep_its_batches(method: str) -> None:
    kept: list[Tensor] = []

    def keep(*given: Any) -> Any:
        kept.append(given[-2])
        return given[-2:] if method == "batch" else given[0]

    here = site()
    extensions: dict[str, Any] = {method: keep}
    here.train(Steps(batches=in_order, **extensions), batch=8)
    assert [len(x) for x in kept] == [8, 8, 4]
    assert torch.equal(torch.cat(kept), here.client.data.x)


def test_without_an_extension_the_batches_come_from_the_stream() -> None:
    here = site()
    update = here.train(stream=Stream(5), epochs=2, batch=8, lr=0.1)
    batches = [*shuffled(N, 8, Stream(5, "epoch", 0)), *shuffled(N, 8, Stream(5, "epoch", 1))]
    expected = reference(here.module, here.client.data, batches, lr=0.1)
    torch.testing.assert_close(update.row, expected, rtol=0, atol=1e-6)


def test_an_epoch_takes_every_sample_once() -> None:
    batches = shuffled(20, 8, Stream(3))
    assert [len(batch) for batch in batches] == [8, 8, 4]
    assert sorted(np.concatenate(batches)) == list(range(20))


def test_the_same_stream_gives_the_same_bits() -> None:
    first, second = (site().train(stream=Stream(3), epochs=2, batch=8, momentum=0.9) for _ in range(2))
    assert torch.equal(first.row, second.row)
    assert first.metrics == second.metrics


def test_another_stream_gives_other_batches() -> None:
    first, second = (site().train(stream=Stream(seed), batch=8).row for seed in (3, 4))
    assert not torch.equal(first, second)


def test_each_round_starts_with_fresh_momentum() -> None:
    here = site()
    first, second = (here.train(momentum=0.9, batch=8).row for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("asked", "taken"), [({"epochs": 2}, 6), ({"steps": 2}, 2), ({"steps": 7, "epochs": 1}, 7)]
)
def test_the_number_of_steps_is_the_one_asked_for(asked: dict[str, Any], taken: int) -> None:
    # 20 samples in batches of 8 make 3 steps an epoch.
    seen: list[int] = []

    def count(gradient: Tensor) -> Tensor:
        seen.append(1)
        return gradient

    update = site().train(Steps(gradients=count), batch=8, **asked)
    assert len(seen) == taken
    assert update.metrics["steps"] == taken


def test_steps_beyond_an_epoch_go_on_with_a_fresh_shuffle() -> None:
    here = site()
    update = here.train(stream=Stream(5), steps=4, batch=8, lr=0.1)
    batches = [*shuffled(N, 8, Stream(5, "epoch", 0)), shuffled(N, 8, Stream(5, "epoch", 1))[0]]
    expected = reference(here.module, here.client.data, batches, lr=0.1)
    torch.testing.assert_close(update.row, expected, rtol=0, atol=1e-6)


def test_the_gradient_norm_is_clipped() -> None:
    here = site()
    update = here.train(Steps(batches=in_order), batch=8, lr=1.0, clip=0.01)
    expected = reference(here.module, here.client.data, in_order(N, 8, Stream()), clip=0.01, lr=1.0)
    torch.testing.assert_close(update.row, expected, rtol=0, atol=1e-6)
    # Three steps of length at most 0.01 * lr each.
    assert 0 < update.row.norm() <= 0.03 + 1e-6


def test_the_prox_term_pulls_back_to_where_the_client_started() -> None:
    # x = (1, 0), y = 0. Step 1 from w = 0: p = (1/2, 1/2), gradient of column 0 = (-1/2, 1/2),
    # no pull yet, w = (1/2, -1/2) with lr 1. Step 2: p_0 = e^(1/2) / (e^(1/2) + e^(-1/2)) = 0.7310586,
    # gradient (-0.2689414, 0.2689414) plus mu (w - 0) = 0.4 * (0.5, -0.5) = (0.2, -0.2),
    # w = (0.5 + 0.0689414, -(0.5 + 0.0689414)). Column 1 sees no input and stays 0.
    update = site(Linear(), one_sample()).train(steps=2, lr=1.0, prox=0.4)
    expected = torch.tensor([0.5689414, 0.0, -0.5689414, 0.0])
    torch.testing.assert_close(update.row, expected, rtol=0, atol=1e-6)


def test_the_loss_reported_is_the_mean_of_the_last_epoch() -> None:
    # One sample, w = 0: ln 2 in epoch 1. lr 1 then gives w = (1/2, -1/2) as above:
    # -ln 0.7310586 = 0.3132617 in epoch 2.
    assert site(Linear(), one_sample()).train(epochs=1, lr=1.0).metrics["loss"] == pytest.approx(0.6931472)
    assert site(Linear(), one_sample()).train(epochs=2, lr=1.0).metrics["loss"] == pytest.approx(0.3132617)


def test_the_loss_reported_weighs_batches_by_their_samples() -> None:
    here = site()
    update = here.train(Steps(batches=in_order), batch=16, lr=1e-12)
    whole = cross_entropy(here.module(here.client.data.x), here.client.data.y)
    assert update.metrics["loss"] == pytest.approx(whole.item(), abs=1e-6)


def test_a_loss_that_overflows_is_not_reported() -> None:
    update = site().train(Steps(loss=lambda loss, networks, x, y: loss * float("inf")))
    assert dict(update.metrics) == {"steps": 1.0}
    assert not torch.isfinite(update.row).all()


@pytest.mark.parametrize("asked", [{"epochs": 2}, {"steps": 5}])
def test_a_client_without_samples_sends_zeros(asked: dict[str, Any]) -> None:
    update = site(data=samples(0)).train(**asked)
    assert update.examples == 0
    assert not update.row.any()
    assert dict(update.metrics) == {"steps": 0.0}


# What is sent


def test_the_broadcast_and_the_data_are_not_modified() -> None:
    here = site()
    state, pixels = here.broadcast.state.clone(), here.client.data.pixels.clone()
    assert here.train(epochs=2, momentum=0.9, prox=0.1).row.any()
    assert torch.equal(here.broadcast.state, state)
    assert torch.equal(here.broadcast.base, state)
    assert torch.equal(here.client.data.pixels, pixels)


def test_the_row_is_not_a_view_of_the_workers_networks() -> None:
    here = site()
    update = here.train()
    row = update.row.clone()
    here.client.networks()
    assert torch.equal(update.row, row)


def test_the_row_is_measured_from_the_base_wherever_training_starts() -> None:
    start = parameters(site().module) + 0.25
    here = site(start=start)
    update = here.train(lr=1e-12)
    torch.testing.assert_close(update.row, torch.full_like(start, 0.25), rtol=0, atol=1e-6)


def test_the_update_names_the_number_of_examples() -> None:
    assert site().train().examples == N


def test_buffers_are_sent_as_they_are_after_training() -> None:
    torch.manual_seed(0)
    here = site(Net(norm=True))
    update = here.train(steps=1, batch=N)
    seen = here.module.body[0](here.client.data.x)
    # BatchNorm moves its running mean a tenth of the way from 0 to the batch's mean.
    torch.testing.assert_close(update.buffers[:2], 0.1 * seen.mean(dim=(0, 2, 3)))


def test_private_parts_learn_but_stay_with_the_client() -> None:
    here = site(shared=("body",))
    update = here.train(lr=0.5)
    body = parameters(here.module.body)
    assert update.row.shape == body.shape
    assert set(here.client.state["parts"]) == {"head.weight", "head.bias"}
    assert not torch.equal(here.client.state["parts"]["head.weight"], here.module.head.weight)


def test_the_next_round_goes_on_from_the_clients_own_private_parts() -> None:
    # The same batches and the same body again: only a head that was kept can do better.
    here = site(shared=("body",))
    first = here.train(epochs=5, lr=0.5).metrics["loss"]
    assert here.train(epochs=5, lr=0.5).metrics["loss"] < first


def test_without_private_parts_nothing_is_kept() -> None:
    here = site()
    here.train()
    assert here.client.state == {}


# The extensions of a training step


def test_an_extension_chooses_the_batches() -> None:
    asked: list[tuple[int, int]] = []

    def first_two(n: int, size: int, stream: Stream) -> list[np.ndarray]:
        asked.append((n, size))
        return [np.array([0, 1])]

    here = site()
    update = here.train(Steps(batches=first_two), epochs=2, batch=8, lr=0.1)
    expected = reference(here.module, here.client.data, [np.array([0, 1])] * 2, lr=0.1)
    torch.testing.assert_close(update.row, expected, rtol=0, atol=1e-6)
    assert asked == [(N, 8), (N, 8)]


def test_batches_draw_from_another_stream_in_every_epoch() -> None:
    drawn: list[float] = []

    def draw(n: int, size: int, stream: Stream) -> list[np.ndarray]:
        drawn.append(stream.child("mine").numpy.random())
        return in_order(n, size, stream)

    site().train(Steps(batches=draw), epochs=3)
    assert len(set(drawn)) == 3


def test_an_extension_rewrites_a_batch() -> None:
    here = site()
    update = here.train(Steps(batches=in_order, batch=lambda x, y: (1 - x, (y + 1) % CLASSES)), lr=0.1)
    data = here.client.data
    other = Dataset(1 - data.x, (data.y + 1) % CLASSES)
    expected = reference(here.module, other, in_order(N, 32, Stream()), lr=0.1)
    torch.testing.assert_close(update.row, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("per_sample", [None, lambda g: g.mean(dim=0)], ids=["batch", "per sample"])
def test_an_extension_of_the_loss_reaches_the_networks(per_sample: Callable[[Tensor], Tensor] | None) -> None:
    # The gradient of 3 loss + sum(w) is 3 g + 1 in the head's weights.
    def extend(loss: Tensor, networks: Any, x: Tensor, y: Tensor) -> Tensor:
        extended: Tensor = 3 * loss + networks.head.weight.sum()
        return extended

    here = site()
    update = here.train(Steps(loss=extend, per_sample_gradients=per_sample), lr=1.0)
    expected = 3 * batch_gradient(here.client.data)
    head = here.flat.layout.parameters[2]
    assert head.name == "head.weight"
    expected[head.start : head.stop] += 1
    torch.testing.assert_close(update.row, -expected, rtol=0, atol=1e-5)


def test_an_extension_of_the_loss_sees_single_samples_with_per_sample_gradients() -> None:
    sizes: list[tuple[int, ...]] = []

    def extend(loss: Tensor, networks: Any, x: Tensor, y: Tensor) -> Tensor:
        sizes.append((*x.shape, *y.shape))
        return loss

    site().train(Steps(loss=extend, per_sample_gradients=lambda g: g.mean(dim=0)))
    assert sizes == [(1, 1, 4, 4, 1)]


def test_per_sample_gradients_average_to_the_gradient_of_the_batch() -> None:
    here = site()
    shapes: list[tuple[int, ...]] = []

    def mean(gradients: Tensor) -> Tensor:
        shapes.append(tuple(gradients.shape))
        return gradients.mean(dim=0)

    update = here.train(Steps(per_sample_gradients=mean), lr=1.0)
    torch.testing.assert_close(update.row, -batch_gradient(here.client.data), rtol=0, atol=1e-6)
    assert shapes == [(N, here.flat.layout.d)]


def test_each_row_of_the_per_sample_gradients_is_that_of_one_sample() -> None:
    here = site()
    update = here.train(Steps(batches=in_order, per_sample_gradients=lambda g: g[3]), lr=1.0)
    expected = reference(here.module, here.client.data, [np.array([3])], lr=1.0)
    torch.testing.assert_close(update.row, expected, rtol=0, atol=1e-6)


def test_the_loss_is_reported_with_per_sample_gradients_too() -> None:
    plain = site().train(epochs=1).metrics["loss"]
    each = site().train(Steps(per_sample_gradients=lambda g: g.mean(dim=0)), epochs=1).metrics["loss"]
    assert each == pytest.approx(plain, abs=1e-6)


def test_per_sample_gradients_take_in_private_parts() -> None:
    here = site(shared=("body",))
    shapes: list[tuple[int, ...]] = []

    def nothing(gradients: Tensor) -> Tensor:
        shapes.append(tuple(gradients.shape))
        return torch.zeros(gradients.shape[1])

    update = here.train(Steps(per_sample_gradients=nothing), lr=1.0)
    assert shapes == [(N, here.flat.parameters.numel())]
    assert not update.row.any()
    assert torch.equal(here.client.state["parts"]["head.weight"], here.module.head.weight)


def test_an_empty_batch_is_still_a_step_of_the_per_sample_mechanism() -> None:
    shapes: list[tuple[int, ...]] = []

    def noise(gradients: Tensor) -> Tensor:
        shapes.append(tuple(gradients.shape))
        return gradients.sum(dim=0) + 2.0

    here = site()
    steps = Steps(batches=lambda n, size, stream: [np.zeros(0, dtype=np.int64)], per_sample_gradients=noise)
    update = here.train(steps, lr=0.5)
    d = here.flat.layout.d
    assert shapes == [(0, d)]
    torch.testing.assert_close(update.row, torch.full((d,), -1.0), rtol=0, atol=1e-6)
    assert dict(update.metrics) == {"steps": 1.0}


def test_an_empty_batch_leaves_only_the_decay_of_weights() -> None:
    here = site()
    update = here.train(
        Steps(batches=lambda n, size, stream: [np.zeros(0, dtype=np.int64)]), lr=0.5, weight_decay=0.1
    )
    torch.testing.assert_close(update.row, -0.05 * parameters(here.module), rtol=0, atol=1e-6)


def test_an_extension_masks_the_gradient() -> None:
    here = site()
    mask = torch.zeros(here.flat.layout.d)
    mask[::2] = 1
    update = here.train(Steps(gradients=lambda g: g * mask), lr=1.0)
    torch.testing.assert_close(update.row, -batch_gradient(here.client.data) * mask, rtol=0, atol=1e-6)


def test_an_extension_may_work_on_the_gradient_in_place() -> None:
    here = site()
    update = here.train(Steps(gradients=lambda g: g.mul_(2)), lr=1.0)
    torch.testing.assert_close(update.row, -2 * batch_gradient(here.client.data), rtol=0, atol=1e-6)


def test_the_gradient_that_is_extended_holds_the_prox_term() -> None:
    # As in the prox test: the second gradient of w_00 is -0.2689414 + 0.4 * 0.5.
    seen: list[float] = []

    def look(gradient: Tensor) -> Tensor:
        seen.append(float(gradient[0]))
        return gradient

    site(Linear(), one_sample()).train(Steps(gradients=look), steps=2, lr=1.0, prox=0.4)
    assert seen == pytest.approx([-0.5, -0.0689414], abs=1e-6)


def test_clipping_comes_after_the_extensions_of_the_gradient() -> None:
    update = site().train(Steps(gradients=lambda g: g * 1000), lr=1.0, clip=0.5)
    assert float(update.row.norm()) == pytest.approx(0.5, abs=1e-4)


def test_an_extension_projects_the_parameters_after_the_step() -> None:
    update = site().train(Steps(parameters=lambda p: p.clamp(-0.01, 0.01)), epochs=2, lr=0.5)
    here = site()
    after = parameters(here.module) + update.row
    assert after.abs().max() <= 0.01 + 1e-7


def test_gradients_and_parameters_are_those_that_travel() -> None:
    here = site(shared=("body",))
    seen: list[int] = []

    def look(vector: Tensor) -> Tensor:
        seen.append(vector.numel())
        return vector

    here.train(Steps(gradients=look, parameters=look))
    assert seen == [here.flat.layout.d] * 2


@pytest.mark.parametrize("method", ["per_sample_gradients", "gradients", "parameters"])
def test_an_answer_of_the_wrong_shape_is_refused(method: str) -> None:
    answer: Any = {method: lambda value: torch.zeros(1)}
    message = rf"^{method} of a training step .* shape \(1,\), expected \(\d+,\)$"
    with pytest.raises(PluginError, match=message):
        site().train(Steps(**answer))


# What the component says of itself


def test_every_extension_is_honoured() -> None:
    assert Sgd().honours == set(core_steps.METHODS)


def test_the_shared_parts_are_a_parameter() -> None:
    assert Sgd().shared_parts is None
    assert Sgd(shared=("body",)).shared_parts == ("body",)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"steps": 0},
        {"batch": 0},
        {"lr": 0.0},
        {"momentum": 1.0},
        {"clip": 0.0},
        {"prox": -1.0},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Sgd(**wrong)


def test_training_loads_no_compiler() -> None:
    # The first optimiser of torch.optim, for one, imports torch._dynamo and all that hangs on it.
    code = """
import sys, torch
from fedsec_basics.plugin.model import ResNet18, SmallCnn
from fedsec_basics.plugin.train import Sgd
from fedsec_basics.sgd import train
from fedsec_core.data import Dataset, Spec
from fedsec_core.state import Layout, Networks
from fedsec_core.steps import Steps
from fedsec_core.streams import Stream

data = Dataset(torch.zeros(4, 1, 12, 12, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))
for component in (SmallCnn(), ResNet18(width=2), ResNet18(width=2, norm="batch")):
    module = component.build().build_networks(Spec((1, 12, 12), 2), Stream(0))
    networks = Networks.of(module, Layout.of(module))
    settings = Sgd(batch=2, momentum=0.9, weight_decay=0.1, clip=1.0, prox=0.1)
    assert train(networks, data, settings, Steps(), Stream(1))["steps"] == 2
print("torch._dynamo" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout == "False\n"


def test_describing_components_needs_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from fedsec_basics.plugin import aggregate, evaluate, train; "
        "train.Sgd().honours, aggregate.Mean().provides, evaluate.Classification().needs; "
        "sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

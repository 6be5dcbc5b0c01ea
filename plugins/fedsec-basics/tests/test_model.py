"""The networks: their shapes, their sizes, their initial weights."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from fedsec_basics.networks.classifier import channels_last
from fedsec_basics.networks.resnet18 import Subsampled
from fedsec_basics.plugin.model import ResNet18, SmallCnn
from fedsec_core.component import Component
from fedsec_core.data import Spec
from fedsec_core.errors import FedsecError
from fedsec_core.state import Layout, Networks
from fedsec_core.streams import Stream
from fedsec_core.vocabulary import Capability

GREY, RGB = (1, 28, 28), (3, 28, 28)
NARROW = ResNet18(width=8)
BOTH = pytest.mark.parametrize("component", [SmallCnn(), NARROW, ResNet18(width=8, norm="batch")], ids=repr)


def build(component: Component, shape: tuple[int, ...] = GREY, classes: int = 4, seed: int = 1) -> nn.Module:
    return component.build().build_networks(Spec(shape, classes), Stream(seed))


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@BOTH
@pytest.mark.parametrize("shape", [GREY, RGB, (3, 32, 32), (1, 64, 64), (3, 28, 40)])
def test_images_become_one_logit_per_class(component: Component, shape: tuple[int, ...]) -> None:
    logits = build(component, shape, classes=7)(torch.rand(5, *shape))
    assert logits.shape == (5, 7)
    assert logits.dtype == torch.float32
    assert bool(torch.isfinite(logits).all())


@BOTH
def test_the_parts_are_body_and_head(component: Component) -> None:
    module = build(component)
    layout = Layout.of(module)
    assert layout.parts == ("body", "head")
    assert layout.d == size(module)
    assert isinstance(module.head, nn.Linear)


@BOTH
def test_the_same_stream_gives_the_same_weights(component: Component) -> None:
    first, again, other = (build(component, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


@BOTH
def test_building_leaves_the_global_generator_alone(component: Component) -> None:
    before = torch.get_rng_state()
    build(component)
    assert torch.equal(torch.get_rng_state(), before)


@BOTH
def test_pixels_are_centred_inside(component: Component) -> None:
    module = build(component).eval()
    seen = []
    module.body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    # 0 -> -1, 0.5 -> 0, 1 -> 1
    x = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1).expand(3, *GREY)
    module(x)
    assert seen[0][:, 0, 0, 0].tolist() == [-1.0, 0.0, 1.0]


@BOTH
def test_the_images_are_left_as_they_are(component: Component) -> None:
    x = torch.rand(2, *GREY)
    before = x.clone()
    build(component)(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("component", [SmallCnn(), ResNet18(width=8, norm="batch")], ids=repr)
@pytest.mark.parametrize("shape", [GREY, RGB])
def test_the_order_in_memory_changes_no_figure(component: Component, shape: tuple[int, ...]) -> None:
    results = []
    for innermost in (False, True):
        module = build(component, shape).train().double()
        assert module.channels_last
        module.channels_last = innermost
        made = torch.Generator().manual_seed(3)
        logits = module(torch.rand(8, *shape, generator=made, dtype=torch.float64))
        cross_entropy(logits, torch.arange(8) % 4).backward()
        results.append((logits, [parameter.grad for parameter in module.parameters()]))
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("shape", [GREY, RGB])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_channels_last_moves_values_in_memory_only(shape: tuple[int, ...], n: int) -> None:
    x = torch.rand(n, *shape)
    moved = channels_last(x)
    channels, height, width = shape
    assert torch.equal(moved, x)
    assert moved.stride() == (channels * height * width, 1, channels * width, channels)
    assert torch.equal(torch.vmap(channels_last)(x.unsqueeze(1)).squeeze(1), x)


def test_pooling_before_relu_gives_the_bits_of_pooling_after_it() -> None:
    module = build(SmallCnn())
    other = copy.deepcopy(module)
    order = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "flatten", "hidden", "relu3", "dropout"]
    other.body = nn.Sequential(OrderedDict((name, other.body.get_submodule(name)) for name in order))
    # Black margins, as medical images have them: their four values tie.
    x = torch.zeros(8, *GREY)
    x[:, :, 8:20, 8:20] = torch.rand(8, 1, 12, 12, generator=torch.Generator().manual_seed(4))
    gradients = []
    for network in (module, other):
        cross_entropy(network(x), torch.arange(8) % 4).backward()
        gradients.append({name: parameter.grad for name, parameter in network.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])


@BOTH
def test_every_parameter_learns(component: Component) -> None:
    module = build(component)
    cross_entropy(module(torch.rand(8, *GREY)), torch.arange(8) % 4).backward()
    assert [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()] == []


@BOTH
def test_a_network_survives_flat_vectors_copies_and_pickles(component: Component) -> None:
    module = build(component).eval()
    x = torch.rand(2, *GREY)
    expected = module(x)
    assert torch.equal(copy.deepcopy(module)(x), expected)
    assert torch.equal(pickle.loads(pickle.dumps(module))(x), expected)
    assert torch.equal(Networks.of(module, Layout.of(module)).fresh()(x), expected)


@BOTH
def test_a_single_image_can_be_trained_on(component: Component) -> None:
    module = build(component).train()
    cross_entropy(module(torch.rand(1, *GREY)), torch.tensor([0])).backward()
    assert bool(torch.isfinite(module.head.weight.grad).all())


def test_small_cnn_for_grey_images_has_the_size_of_its_layers() -> None:
    # conv1 16 * (1 * 9 + 1) = 160; conv2 32 * (16 * 9 + 1) = 4640; after two poolings 28 -> 7:
    # hidden 64 * (32 * 7 * 7 + 1) = 100416; head 2 * (64 + 1) = 130
    assert size(build(SmallCnn(), GREY, classes=2)) == 160 + 4640 + 100416 + 130


def test_small_cnn_for_rgb_images_has_the_size_of_its_layers() -> None:
    # conv1 16 * (3 * 9 + 1) = 448; conv2 4640; 32 -> 8: 64 * (32 * 64 + 1) = 131136; head 8 * 65 = 520
    assert size(build(SmallCnn(), (3, 32, 32), classes=8)) == 448 + 4640 + 131136 + 520


def test_small_cnn_takes_its_widths() -> None:
    # conv1 2 * 10 = 20; conv2 3 * (2 * 9 + 1) = 57; 8 -> 2: 5 * (3 * 4 + 1) = 65; head 2 * 6 = 12
    component = SmallCnn(channels=(2, 3), hidden=5)
    assert size(build(component, (1, 8, 8), classes=2)) == 20 + 57 + 65 + 12


def test_small_cnn_names_its_tensors_after_the_layers() -> None:
    assert list(build(SmallCnn()).state_dict()) == [
        f"{layer}.{kind}"
        for layer in ("body.conv1", "body.conv2", "body.hidden", "head")
        for kind in ("weight", "bias")
    ]


def test_dropout_acts_in_training_only() -> None:
    module = build(SmallCnn(dropout=0.5))
    x = torch.rand(4, *GREY)
    with Stream(3).guard():
        assert not torch.equal(module.train()(x), module(x))
    assert torch.equal(module.eval()(x), module(x))


def test_small_cnn_refuses_images_that_are_too_small() -> None:
    with pytest.raises(FedsecError) as caught:
        build(SmallCnn(), (1, 28, 7))
    assert str(caught.value) == (
        "small-cnn needs images of at least 8 x 8 pixels, got 28 x 7: "
        "set resize in [data], or use another model"
    )


@pytest.mark.parametrize("channels", [(16, 0), (-1, 32)])
def test_small_cnn_refuses_layers_without_channels(channels: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be two numbers >= 1"):
        SmallCnn(channels=channels)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_resnet18_for_imagenet_has_its_known_size(norm: str) -> None:
    # 11,689,512 is the usual figure of ResNet-18. Layer by layer, with c(i, o, n) = i * o * n * n:
    # stem c(3, 64, 7) + 128 = 9536; stage 1: 4 c(64, 64, 3) + 4 * 128 = 147968; a stage of o channels
    # after i = o / 2: c(i, o, 3) + 3 c(o, o, 3) + c(i, o, 1) + 5 * 2 o: 525568, 2099712, 8393728;
    # head 1000 * 513 = 513000.
    module = build(ResNet18(norm=norm), (3, 224, 224), classes=1000)
    assert size(module) == 9536 + 147968 + 525568 + 2099712 + 8393728 + 513000 == 11_689_512


def test_resnet18_for_small_images_has_its_known_size() -> None:
    # As above with a stem c(3, 64, 3) + 128 = 1856 and a head of 10 * 513 = 5130.
    module = build(ResNet18(), (3, 32, 32), classes=10)
    assert size(module) == 1856 + 147968 + 525568 + 2099712 + 8393728 + 5130 == 11_173_962


@pytest.mark.parametrize(
    ("stem", "side", "kernel"),
    [
        ("auto", 28, 3),
        ("auto", 63, 3),
        ("auto", 64, 7),
        ("imagenet", 33, 7),
        ("small", 64, 3),
    ],
)
def test_the_stem_fits_the_images_or_is_the_one_asked_for(stem: str, side: int, kernel: int) -> None:
    weight = build(ResNet18(width=8, stem=stem), (1, side, side)).state_dict()["body.stem.conv.weight"]
    assert tuple(weight.shape) == (8, 1, kernel, kernel)


def test_resnet18_names_its_tensors_after_stages_and_layers() -> None:
    names = list(build(NARROW).state_dict())
    assert names[:4] == [
        "body.stem.conv.weight",
        "body.stem.norm.weight",
        "body.stem.norm.bias",
        "body.stage1.0.conv1.weight",
    ]
    assert "body.stage2.0.shortcut.conv.weight" in names
    assert "body.stage1.0.shortcut.conv.weight" not in names
    assert names[-2:] == ["head.weight", "head.bias"]


def test_convolutions_start_with_the_variance_of_he() -> None:
    # From 64 to 128 channels: variance 2 / (128 * 9). 73728 weights: relative standard error
    # sqrt(2 / 73728) = 0.0052.
    weight = build(ResNet18()).state_dict()["body.stage2.0.conv1.weight"]
    assert float(weight.var()) == pytest.approx(2 / 1152, rel=0.03)


@pytest.mark.parametrize(
    ("width", "groups", "expected"),
    [
        (64, 32, [32, 32, 32, 32]),
        (8, 32, [4, 8, 16, 32]),  # two channels share a group at least: 8, 16, 32, 64 channels
        (12, 4, [2, 4, 4, 4]),  # half of 12, 24, 48, 96 channels and 4 have these divisors in common
    ],
)
def test_groups_divide_the_channels(width: int, groups: int, expected: list[int]) -> None:
    body = build(ResNet18(width=width, groups=groups)).body
    assert [body.get_submodule(f"stage{stage}.1.norm2").num_groups for stage in range(1, 5)] == expected


def test_group_normalisation_does_not_mix_the_images_of_a_batch() -> None:
    module = build(NARROW).train()
    x = torch.rand(4, *GREY)
    torch.testing.assert_close(module(x)[:1], module(x[:1]), rtol=1e-5, atol=1e-6)


def test_batch_statistics_are_float32_state_and_declared() -> None:
    component = ResNet18(width=8, norm="batch")
    layout = Layout.of(build(component))
    # A mean and a variance per channel: the stem has 8; the stages of 8, 16, 32 and 64 channels have
    # four norms each and all but the first stage one more in its shortcut.
    assert layout.size - layout.d == 2 * (8 + 4 * 8 + 5 * 16 + 5 * 32 + 5 * 64)
    assert component.provides == {Capability.CLASSIFIER, Capability.BATCH_STATISTICS}


def test_group_normalisation_has_no_state_of_its_own() -> None:
    assert Layout.of(build(NARROW)).buffers == ()
    assert NARROW.provides == SmallCnn().provides == {Capability.CLASSIFIER}


@pytest.mark.parametrize(
    ("component", "side", "message"),
    [
        (ResNet18(), 8, "resnet18 with stem = 'small' needs images of at least 9 x 9 pixels, got 8 x 8"),
        (
            ResNet18(stem="imagenet"),
            32,
            "resnet18 with stem = 'imagenet' needs images of at least 33 x 33 pixels, got 32 x 32",
        ),
    ],
)
def test_resnet18_refuses_images_that_are_too_small(component: ResNet18, side: int, message: str) -> None:
    with pytest.raises(FedsecError) as caught:
        build(component, (1, side, side))
    assert str(caught.value) == f"{message}: set resize in [data], or use another model"


@pytest.mark.parametrize("stem", [("small", 9), ("imagenet", 33)])
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_resnet18_trains_on_one_of_the_smallest_images_it_takes(stem: tuple[str, int], norm: str) -> None:
    kind, side = stem
    module = build(ResNet18(width=2, groups=512, norm=norm, stem=kind), (1, side, side)).train()
    assert bool(torch.isfinite(module(torch.rand(1, 1, side, side))).all())


def test_resnet18_refuses_an_odd_width() -> None:
    with pytest.raises(ValueError, match="must be even, got 9"):
        ResNet18(width=9)


def test_the_projection_of_narrow_stages_is_a_strided_convolution() -> None:
    """Narrow ones take another way, around a fault of a library; what comes out is the same."""
    subsampled = Subsampled(2, 4, 1, stride=2, bias=False)
    strided = torch.nn.Conv2d(2, 4, 1, stride=2, bias=False)
    strided.load_state_dict(subsampled.state_dict())
    x = torch.rand(3, 2, 9, 8)
    torch.testing.assert_close(subsampled(x), strided(x))

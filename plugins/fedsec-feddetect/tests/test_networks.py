"""The conditional DCGAN: shapes, range, what the class does, and images that it cannot make."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fedsec_core.data import Spec
from fedsec_core.errors import FedsecError
from fedsec_core.streams import Stream
from fedsec_feddetect.plugin.model import ConditionalDcgan


def built(shape: tuple[int, int, int] = (1, 28, 28), classes: int = 3, seed: int = 0, **settings: Any) -> Any:
    runtime: Any = ConditionalDcgan(**{"width": 4, "latent": 5, **settings}).build()
    return runtime.build_networks(Spec(shape, classes), Stream(seed))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 32, 64])
def test_images_of_all_sizes_are_made_and_judged(size: int, channels: int) -> None:
    network = built((channels, size, size))
    y = torch.tensor([0, 1, 2, 1])
    images = network(torch.randn(4, 5), y)
    assert images.shape == (4, channels, size, size)
    assert images.min() >= 0 and images.max() <= 1
    assert network.discriminator(images, y).shape == (4,)


def test_the_channels_start_from_the_width() -> None:
    network = built(width=6)
    widths = [each.out_channels for each in network.discriminator.body if hasattr(each, "out_channels")]
    # at 14, 7 and 4 pixels
    assert widths == [6, 12, 12]
    assert network.generator.first.out_features == 12 * 7 * 7


@pytest.mark.parametrize("conditioning", ["projection", "plane"])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_the_class_makes_a_difference_to_both_networks(conditioning: str, norm: str) -> None:
    network = built(conditioning=conditioning, discriminator_norm=norm).eval()
    z, zeros, ones = torch.randn(2, 5), torch.zeros(2, dtype=torch.int64), torch.ones(2, dtype=torch.int64)
    assert not torch.equal(network(z, zeros), network(z, ones))
    x = torch.rand(2, 1, 28, 28)
    assert not torch.equal(network.discriminator(x, zeros), network.discriminator(x, ones))


def test_parts_and_buffers_are_where_the_layout_expects_them() -> None:
    network = built()
    assert [name for name, _ in network.named_children()] == ["generator", "discriminator"]
    assert all(each.dtype == torch.float32 for each in network.parameters())


def test_initial_weights_come_from_the_stream() -> None:
    one, same, other = built(), built(), built(seed=1)
    first = torch.nn.utils.parameters_to_vector(one.parameters())
    assert torch.equal(first, torch.nn.utils.parameters_to_vector(same.parameters()))
    assert not torch.equal(first, torch.nn.utils.parameters_to_vector(other.parameters()))


@pytest.mark.parametrize("shape", [(1, 30, 30), (1, 28, 32)])
def test_images_of_other_sizes_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(FedsecError) as refused:
        built(shape)
    assert str(refused.value) == (
        f"cdcgan makes square images of 28, 32, 64 pixels, got {shape[1]} x {shape[2]}: "
        "set resize in [data], or size for a data set that is drawn"
    )

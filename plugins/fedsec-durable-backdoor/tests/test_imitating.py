"""The guide, the generator that it guides, and the images that fill an attacker's classes."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fedsec_core.data import Dataset
from fedsec_core.errors import FedsecError
from fedsec_core.streams import Stream
from fedsec_durable_backdoor.guide import Guide
from fedsec_durable_backdoor.imitation import Imitator, sameness
from fedsec_durable_backdoor.plugin.attack import DurableBackdoor
from fedsec_durable_backdoor.synthetic import filling, of_each

SHAPE = (1, 28, 28)


class Brightness(nn.Module):
    """Takes dark images for class 0, bright ones for class 1, and nothing for class 2."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 3)
        self.head.weight.data = torch.tensor([[-8.0], [8.0], [0.0]])
        self.head.bias.data = torch.tensor([4.0, -4.0, -9.0])

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(x.flatten(1).mean(dim=1, keepdim=True))
        return logits


def guide() -> Guide:
    return Guide.of(Brightness(), SHAPE)


def own(*labels: int) -> Dataset:
    """Return images of these classes, as bright as class 0 and 1 are."""
    y = torch.tensor(labels)
    return Dataset((y.view(-1, 1, 1, 1) * 255).expand(-1, *SHAPE).to(torch.uint8).contiguous(), y)


def painted(y: Tensor) -> Tensor:
    """Make images: dark ones of class 0, and every second one of another class bright."""
    bright = (y > 0) & (torch.arange(len(y)) % 2 == 0)
    return bright.float().view(-1, 1, 1, 1).expand(-1, *SHAPE)


def test_a_guide_tells_classes_and_has_no_slopes_of_its_own() -> None:
    made = guide()
    assert made.classes == 3
    assert made.classes_of(own(0, 1, 0).x).tolist() == [0, 1, 0]
    x = own(0).x.requires_grad_(True)
    made(x).sum().backward()
    assert x.grad is not None
    assert made.module.head.weight.grad is None
    assert not made.module.training


def test_made_images_bring_every_class_to_the_largest_as_far_as_the_guide_takes_them() -> None:
    # Three of class 0, one of class 1, none of class 2: 2 and 3 are missing. Of 2 images of class 1 one is
    # bright, then the one that is left; of class 2 the guide takes none, in two tries.
    data = own(0, 0, 0, 1)
    found = filling(data, guide(), painted, per_class=None, tries=2)
    assert found.data.y.tolist() == [1, 1]
    assert found.drawn == 2 + 1 + 3 + 3
    assert found.data.pixels.dtype == torch.uint8
    assert found.data.pixels.unique().tolist() == [255]
    one_try = filling(data, guide(), painted, per_class=None, tries=1)
    assert (one_try.data.y.tolist(), one_try.drawn) == ([1], 2 + 3)


def test_a_number_per_class_is_filled_up_to_and_what_is_there_stays() -> None:
    found = filling(own(0, 0, 0, 1), guide(), painted, per_class=2, tries=1)
    assert found.data.y.tolist() == [1]
    assert len(filling(own(0, 1), guide(), painted, per_class=1, tries=1).data) == 0
    floats = own(1).with_pixels(own(1).x)
    assert filling(floats, guide(), painted, per_class=2, tries=1).data.pixels.dtype == torch.float32


def test_a_sheet_has_a_row_for_each_class_grey_where_nothing_was_made() -> None:
    sheet = of_each(own(1, 0, 1), 3, 2)
    assert sheet.shape == (3, 2, *SHAPE)
    assert [[int(image.max()) for image in row] for row in sheet] == [[0, 128], [255, 255], [128, 128]]


def test_statistics_are_the_distance_to_what_batchnorm_has_seen() -> None:
    module = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 2))
    made = Guide.of(module, (1, 2, 2))
    # Mean 3 and variance 4 where 0 and 1 were seen: 9 + 9.
    x = torch.tensor([1.0, 5.0, 1.0, 5.0]).view(1, 1, 2, 2)
    with made.statistics() as unusual:
        made(x)
    assert float(torch.stack(unusual).sum()) == pytest.approx(18.0)
    made(x)
    assert len(unusual) == 2
    with (
        pytest.raises(FedsecError, match="statistics is about BatchNorm, which this model does not have"),
        guide().statistics(),
    ):
        pass


def asked(**changes: Any) -> DurableBackdoor:
    small = {"gan_batch": 6, "gan_width": 2, "latent": 3, "gan_lr": 0.01}
    return DurableBackdoor(**{**small, **changes})


def imitator(memory: dict[str, Any] | None = None, **changes: Any) -> Imitator:
    return Imitator.of(asked(**changes), SHAPE, 3, memory, Stream("weights"))


def test_a_generator_goes_on_from_its_memory_to_the_same_bits() -> None:
    data = own(0, 1, 0, 1)
    whole = imitator()
    whole.train(data, guide(), 2, Stream("one"))
    whole.train(data, guide(), 2, Stream("two"))
    halved = imitator()
    halved.train(data, guide(), 2, Stream("one"))
    halved = imitator(halved.memory())
    halved.train(data, guide(), 2, Stream("two"))
    assert torch.equal(whole.flat.state(), halved.flat.state())
    y = torch.tensor([0, 1, 2])
    draws = [each.draw(y, Stream("draw").torch) for each in (whole, halved)]
    assert torch.equal(*draws)
    assert draws[0].shape == (3, *SHAPE)


@pytest.mark.parametrize(
    ("changes", "moves"),
    [({}, True), ({"guide": 0.0}, True), ({"diversity": 1.0}, True), ({"statistics": 1.0}, False)],
)
def test_generator_and_critic_learn(changes: dict[str, Any], moves: bool) -> None:
    made = imitator(**changes)
    before = made.flat.parameters.clone()

    def learn() -> None:
        made.train(own(0, 1, 0, 1), guide(), 1, Stream("one"))

    if not moves:  # the guide keeps no statistics
        with pytest.raises(FedsecError, match="set it to 0"):
            learn()
        return
    learn()
    for part in ("generator", "critic"):
        place = made.flat.layout.part(part)
        assert not torch.equal(before[place], made.flat.parameters[place])


def test_the_guide_pulls_images_towards_their_classes() -> None:
    data = own(*[0, 1] * 8)
    guided, free = imitator(guide=20.0), imitator(guide=0.0)
    y = torch.tensor([0, 1]).repeat(32)

    def right(made: Imitator) -> float:
        made.train(data, guide(), 60, Stream("one"))
        return float((guide().classes_of(made.draw(y, Stream("draw").torch)) == y).float().mean())

    assert right(guided) > right(free)


def test_halves_that_are_alike_cost_more() -> None:
    z = torch.tensor([[0.0], [1.0], [1.0], [3.0]])
    images = torch.tensor([0.0, 0.0, 0.5, 0.5]).view(4, 1, 1, 1)
    # Latent vectors differ by 1 and 2, images by 1/2 each.
    assert float(sameness(images, z)) == pytest.approx(1.5 / 0.5, rel=1e-4)
    assert float(sameness(images / 2, z)) > float(sameness(images, z))


@pytest.mark.parametrize("shape", [(1, 20, 20), (3, 28, 32)])
def test_other_sizes_are_refused(shape: tuple[int, ...]) -> None:
    expected = (
        f"^the generator makes square images of 28, 32, 64 pixels, got {shape[1]} x {shape[2]}: "
        "set resize in \\[data\\], or gan = false$"
    )
    with pytest.raises(FedsecError, match=expected):
        Imitator.of(asked(), shape, 3, None, Stream("weights"))


def test_extensions_and_knowledge_are_those_of_the_parts_that_are_used() -> None:
    make: Callable[..., DurableBackdoor] = DurableBackdoor
    assert make(step_1=False, mask=False).extends == frozenset()
    assert make(step_1=False).extends == {"gradients"}
    assert make(look_ahead=3).extends == {"gradients", "loss"}
    assert make(gan=False, step_1=False, mask=False).knows == {"own_data"}
    assert make(gan=False, step_1=False).knows == {"own_data"}
    assert make(gan=False).knows == {"own_data", "global_model"}


def test_the_generator_is_drawn_towards_what_the_critic_takes_for_real() -> None:
    # a critic whose logit is the sum of pixels: real is bright, so the generator has to become brighter
    made, y = imitator(guide=0.0), torch.tensor([0, 1, 2] * 4)

    class Bright(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slope = nn.Parameter(torch.tensor(0.01))

        def forward(self, x: Tensor, _y: Tensor) -> Tensor:
            return x.flatten(1).sum(dim=1) * self.slope

    made.pair.critic = Bright()  # type: ignore[assignment]
    made.optimisers["critic"] = SimpleNamespace(step=lambda *_: None)  # type: ignore[assignment]
    before = made.draw(y, Stream("draw").torch).mean()
    made.train(own(0, 1, 0, 1), guide(), 5, Stream("one"))
    assert made.draw(y, Stream("draw").torch).mean() > before


@pytest.mark.parametrize("term", ["diversity", "statistics"])
def test_terms_of_the_generator_are_made_small(term: str) -> None:
    class Normed(nn.Module):
        """Classes by brightness, behind statistics of zero mean and unit variance."""

        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(1)
            self.rest = Brightness()

        def forward(self, x: Tensor) -> Tensor:
            self.norm(x)
            logits: Tensor = self.rest(x)
            return logits

    by = Guide.of(Normed(), SHAPE)

    def cost(weight: float) -> float:
        made = imitator(guide=0.0, gan_lr=0.02, **{term: weight})
        made.train(own(0, 1, 0, 1), by, 8, Stream("one"))
        noise, y = Stream("draw").torch, torch.tensor([0, 1, 2] * 8)
        z = torch.randn(len(y), 3, generator=noise)
        images = made.pair.generator(z, y)
        if term == "diversity":
            return float(sameness(images.detach(), z))
        with by.statistics() as unusual:
            by(images)
        return float(torch.stack(unusual).sum().detach())

    assert cost(50.0) < cost(1e-6)

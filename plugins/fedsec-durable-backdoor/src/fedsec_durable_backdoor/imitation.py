"""A generator that imitates data which the attacker does not have, and its critic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from attrs import define
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fedsec_core.data import Dataset, as_float
from fedsec_core.errors import FedsecError
from fedsec_core.state import Layout, Networks
from fedsec_core.streams import Stream
from fedsec_durable_backdoor.guide import Guide
from fedsec_feddetect import sampling
from fedsec_feddetect.networks.cdcgan import SEED, Discriminator, Generator
from fedsec_feddetect.objectives import discriminator_loss, frozen, generator_loss
from fedsec_feddetect.optimisers import Optimiser, optimiser

if TYPE_CHECKING:
    from fedsec_durable_backdoor.plugin.attack import DurableBackdoor

PARTS = ("critic", "generator")
BETA1 = 0.5


class Pair(nn.Module):
    """A generator of classes and a critic that is not told them: it has never seen some of them."""

    def __init__(self, generator: Generator, critic: Discriminator) -> None:
        super().__init__()
        self.generator = generator
        self.critic = critic

    def judge(self, x: Tensor) -> Tensor:
        """Return logits [n], high where images look like the attacker's own."""
        logits: Tensor = self.critic(x, torch.zeros(len(x), dtype=torch.int64))
        return logits


@define(eq=False)
class Imitator:
    """The pair in training, each with its optimiser."""

    asked: DurableBackdoor
    pair: Pair
    flat: Networks
    optimisers: dict[str, Optimiser]

    @classmethod
    def of(
        cls,
        asked: DurableBackdoor,
        shape: tuple[int, ...],
        classes: int,
        memory: dict[str, Any] | None,
        stream: Stream,
    ) -> Imitator:
        """Go on from `memory`, or begin from weights that `stream` gives; raises FedsecError for a size."""
        require_size(shape)
        channels, height, _ = shape
        with stream.guard():
            pair = Pair(
                Generator(classes, channels, height, asked.gan_width, asked.latent),
                Discriminator(1, channels, height, asked.gan_width, norm="batch", conditioning="projection"),
            )
        flat = Networks.of(pair, Layout.of(pair))
        kept = memory or {}
        if memory is not None:
            flat.load(kept["state"])
        optimisers = {part: _optimiser(flat.layout, part, asked.gan_lr, kept.get(part)) for part in PARTS}
        return cls(asked, pair, flat, optimisers)

    def memory(self) -> dict[str, Any]:
        """Return what `of` goes on from: tensors and plain values."""
        return {"state": self.flat.state(), **{part: made.memory() for part, made in self.optimisers.items()}}

    def train(self, data: Dataset, guide: Guide, steps: int, stream: Stream) -> None:
        """Take so many steps of critic and generator on the attacker's own samples."""
        noise, size = stream.torch, self.asked.gan_batch
        self.pair.train()
        for _ in range(steps):
            index = torch.randint(len(data), (size,), generator=noise)
            z = torch.randn(size, self.asked.latent, generator=noise)
            y = torch.randint(guide.classes, (size,), generator=noise)
            if self.asked.diversity:
                y[size // 2 : size // 2 * 2] = y[: size // 2]
            self._learn(as_float(data.pixels[index]), z, y, guide)

    def _learn(self, x: Tensor, z: Tensor, y: Tensor, guide: Guide) -> None:
        fake = self.pair.generator(z, y)
        self._step("critic", discriminator_loss(self.pair.judge(x), self.pair.judge(fake.detach())))
        frozen(self.pair.critic, yes=True)
        loss = generator_loss(self.pair.judge(fake)) + self._guided(fake, y, guide)
        if self.asked.diversity:
            loss = loss + self.asked.diversity * sameness(fake, z)
        self._step("generator", loss)
        frozen(self.pair.critic, yes=False)

    def _guided(self, fake: Tensor, y: Tensor, guide: Guide) -> Tensor:
        if not self.asked.statistics:
            return self.asked.guide * cross_entropy(guide(fake), y)
        with guide.statistics() as unusual:
            logits = guide(fake)
        return (
            self.asked.guide * cross_entropy(logits, y) + self.asked.statistics * torch.stack(unusual).sum()
        )

    def _step(self, part: str, loss: Tensor) -> None:
        place = self.flat.layout.part(part)
        self.flat.gradients.zero_()
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.optimisers[part].step(self.flat.parameters[place], self.flat.gradients[place])

    def draw(self, y: Tensor, noise: torch.Generator) -> Tensor:
        """Return images [n, C, S, S] in [0, 1] of classes `y` [n]."""
        return sampling.draw(self.pair.generator, y, noise)


def require_size(shape: tuple[int, ...]) -> None:
    """Raise FedsecError for images [C, H, W] of a size that the generator cannot make."""
    _, height, width = shape
    if height != width or height not in SEED:
        known = ", ".join(map(str, SEED))
        raise FedsecError(
            f"the generator makes square images of {known} pixels, got {height} x {width}: "
            "set resize in [data], or gan = false"
        )


def _optimiser(layout: Layout, part: str, lr: float, memory: Any) -> Optimiser:
    place = layout.part(part)
    return optimiser("adam", place.stop - place.start, lr=lr, beta1=BETA1, memory=memory)


def sameness(images: Tensor, z: Tensor) -> Tensor:
    """Return how alike the two halves of a batch are, for how unlike their latent vectors are.

    The mean difference of latent vectors over that of images (mode seeking: Mao et al., CVPR 2019,
    equation 2, turned over); both halves are of the same classes.
    """
    half = len(z) // 2
    apart = (images[:half] - images[half : 2 * half]).abs().mean()
    return (z[:half] - z[half : 2 * half]).abs().mean() / (apart + 1e-5)

"""Trains a GAN on the flat vectors of the worker's networks."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from attrs import define, field
from torch import Tensor

from fedsec_basics.sgd import Gather, batches_of, put, shuffled
from fedsec_core.data import Dataset
from fedsec_core.markers import hookimpl
from fedsec_core.state import Networks
from fedsec_core.steps import Steps
from fedsec_core.streams import Stream
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client
from fedsec_feddetect import objectives
from fedsec_feddetect.gan import Discriminator, parts_of
from fedsec_feddetect.optimisers import Optimiser, optimiser

if TYPE_CHECKING:
    from fedsec_feddetect.plugin.train import FedGan

PARTS = ("discriminator", "generator")
"""In the order in which a step trains them."""


@define(eq=False)
class FedGanTrainer:
    """Runtime of `fedgan`."""

    settings: FedGan

    @hookimpl
    def train_client(self, client: Client, broadcast: Broadcast, steps: Steps, stream: Stream) -> Update:
        """Train both networks on the client's samples; send the shared parts and report the losses."""
        flat, settings = client.networks(), self.settings
        remembered = client.state.get("optimisers", {}) if settings.keep_optimiser else {}
        pair = Pair.of(flat, settings, steps, remembered)
        metrics = pair.train(client.data, stream)
        if flat.layout.private:
            client.state["parts"] = flat.private()
        if settings.keep_optimiser:
            client.state["optimisers"] = pair.memory()
        d = flat.layout.d
        row = flat.parameters[:d] - broadcast.base[:d]
        return Update(row=row, buffers=flat.buffers(), examples=len(client.data), metrics=metrics)


@define(eq=False)
class Losses:
    """The generator's and the discriminator's loss: of the last batch, and summed over a round."""

    last: tuple[float, float] = (math.nan, math.nan)
    sums: tuple[float, float] = (0.0, 0.0)
    batches: int = 0

    def add(self, generator: float, discriminator: float) -> None:
        """Note the losses of a batch."""
        self.last = generator, discriminator
        self.sums = self.sums[0] + generator, self.sums[1] + discriminator
        self.batches += 1

    def metrics(self) -> dict[str, float]:
        """Return those that are finite, by the names under which clients report them."""
        named = {"generator_loss": self.last[0], "discriminator_loss": self.last[1]}
        if self.batches:
            named["mean_generator_loss"] = self.sums[0] / self.batches
            named["mean_discriminator_loss"] = self.sums[1] / self.batches
        return {name: value for name, value in named.items() if math.isfinite(value)}


@define(eq=False)
class Pair:
    """A generator and a discriminator in training, each with its optimiser and its place in the vectors."""

    flat: Networks
    settings: FedGan
    steps: Steps
    places: dict[str, slice]
    optimisers: dict[str, Optimiser]
    taken: int = field(default=0, init=False)

    @classmethod
    def of(cls, flat: Networks, settings: FedGan, steps: Steps, remembered: dict[str, Any]) -> Pair:
        """Prepare to train `flat` from what it holds now."""
        places = _places(flat)
        kind = settings.optimiser or ("rmsprop" if settings.objective == "wgan-gp" else "adam")
        made = {
            part: optimiser(
                kind,
                places[part].stop - places[part].start,
                lr=settings.lr,
                beta1=settings.beta1,
                memory=remembered.get(part),
            )
            for part in PARTS
        }
        return cls(flat, settings, steps, places, made)

    def memory(self) -> dict[str, Any]:
        """Return what the optimisers remember, by part."""
        return {part: made.memory() for part, made in self.optimisers.items()}

    def train(self, data: Dataset, stream: Stream) -> dict[str, float]:
        """Train on `data` and return the metrics: `steps` and the losses."""
        gather, noise = Gather.of(data, self.steps), stream.child("latent").torch
        losses = Losses()
        drawn = batches_of(len(data), self.settings, self.steps.batches or shuffled, stream)
        for _, index in islice(drawn, self.settings.steps):
            x, y = gather(index)
            if self.steps.batch is not None:
                x, y = self.steps.batch(x, y)
            if len(y):
                losses.add(*self.learn(x, y, noise))
        return {"steps": float(self.taken), **losses.metrics()}

    def learn(self, x: Tensor, y: Tensor, noise: torch.Generator) -> tuple[float, float]:
        """Take one step of each network on images `x` [n, C, H, W] of classes `y` [n]; return both losses."""
        gan = parts_of(self.flat.module)
        generator, discriminator = gan.generator, gan.discriminator
        z = torch.randn(len(y), generator.latent, generator=noise)
        fake = generator(z, y)
        objectives.frozen(discriminator, yes=False)
        at_discriminator = self._judge(discriminator, x, fake.detach(), y, noise)
        self._step("discriminator", at_discriminator)
        # its parameters need no derivative for the generator's step: a ninth of the work
        objectives.frozen(discriminator, yes=True)
        wasserstein = self.settings.objective == "wgan-gp"
        loss = objectives.wasserstein_generator_loss if wasserstein else objectives.generator_loss
        at_generator = loss(discriminator(fake, y))
        self._step("generator", at_generator)
        objectives.frozen(discriminator, yes=False)
        self.taken += 1
        return float(at_generator.detach()), float(at_discriminator.detach())

    def _judge(
        self, discriminator: Discriminator, x: Tensor, fake: Tensor, y: Tensor, noise: torch.Generator
    ) -> Tensor:
        real_score, fake_score = discriminator(x, y), discriminator(fake, y)
        if self.settings.objective == "non-saturating":
            return objectives.discriminator_loss(real_score, fake_score)
        mix = torch.rand(len(y), generator=noise)
        # the penalty is about slopes where images lie in [-1, 1], as in the paper
        slope = objectives.gradient_penalty(
            lambda images: discriminator((images + 1) / 2, y), x * 2 - 1, fake * 2 - 1, mix
        )
        return objectives.critic_loss(real_score, fake_score) + self.settings.penalty * slope

    def _step(self, part: str, loss: Tensor) -> None:
        """Let one network follow the slope of its loss; the other stays where it is."""
        flat, place = self.flat, self.places[part]
        flat.gradients.zero_()
        loss.backward()  # type: ignore[no-untyped-call]
        d = flat.layout.d
        travels = place.start < d
        with torch.no_grad():
            if travels and self.steps.gradients is not None:
                put("gradients", self.steps.gradients(flat.gradients[:d]), flat.gradients[:d])
            self.optimisers[part].step(flat.parameters[place], flat.gradients[place])
            # after both networks: in between the generator's gradient is still to be taken where it stood
            if part == PARTS[-1] and self.steps.parameters is not None:
                put("parameters", self.steps.parameters(flat.parameters[:d]), flat.parameters[:d])


def _places(flat: Networks) -> dict[str, slice]:
    """Return where the parameters of each part lie: shared ones first, in the order of the module."""
    start, places = 0, {}
    for part in (*flat.layout.parts, *flat.layout.private):
        size = sum(parameter.numel() for parameter in flat.module.get_submodule(part).parameters())
        places[part] = slice(start, start + size)
        start += size
    return places

"""The server's own discriminator, by which it measures generators that it need not believe."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from attrs import define, field
from torch import Tensor, nn

from fedsec_core.data import as_float
from fedsec_core.rounds import Round
from fedsec_core.streams import Stream
from fedsec_feddetect import objectives
from fedsec_feddetect.gan import Discriminator, Gan, Generator, parts_of
from fedsec_feddetect.optimisers import optimiser

BATCH = 32
SAMPLES = 256
"""Of each client's generator, by which it is measured."""
LR, BETA1 = 2e-4, 0.5


@define(eq=False)
class Judge:
    """A discriminator that learns, round by round, to tell the server's samples from generated ones.

    It starts as the network's own discriminator was built.
    """

    steps: int
    weights: dict[str, Tensor] | None = field(default=None, init=False)
    memory: dict[str, Any] | None = field(default=None, init=False)

    def losses(self, round: Round, stream: Stream) -> np.ndarray:
        """Return the loss [n] of each client's generator; NaN where its row is not finite."""
        shared = parts_of(round.networks())
        if self.weights is not None:
            shared.discriminator.load_state_dict(self.weights)
        with torch.enable_grad():
            self._learn(shared, round, stream.child("learn"))
        self.weights = {n: each.detach().clone() for n, each in shared.discriminator.state_dict().items()}
        noise = stream.child("measure").torch
        y = torch.randint(round.spec.classes, (SAMPLES,), generator=noise)
        z = torch.randn(SAMPLES, shared.generator.latent, generator=noise)
        found = np.full(len(round.rows), np.nan)
        for place in torch.nonzero(round.rows.finite).flatten().tolist():
            theirs = parts_of(round.networks(round.rows.piece(place)))
            found[place] = _loss(theirs.generator, shared.discriminator, z, y)
        return found

    def _learn(self, shared: Gan, round: Round, stream: Stream) -> None:
        """Train on the server's samples and on as many of the generator that was sent out."""
        generator, discriminator, data = shared.generator, shared.discriminator, round.server_data
        parameters = list(discriminator.parameters())
        size = sum(each.numel() for each in parameters)
        made = optimiser("adam", size, lr=LR, beta1=BETA1, memory=self.memory)
        for _ in range(self.steps):
            chosen = torch.from_numpy(stream.numpy.integers(0, len(data), BATCH))
            x, y = as_float(data.pixels[chosen]), data.y[chosen]
            with torch.no_grad():
                fake = generator(torch.randn(BATCH, generator.latent, generator=stream.torch), y)
            loss = objectives.discriminator_loss(discriminator(x, y), discriminator(fake, y))
            vector = nn.utils.parameters_to_vector(parameters).detach()
            # not parameters_to_vector: slopes of convolutions need not lie in memory as their weights do
            slopes = torch.cat([each.reshape(-1) for each in torch.autograd.grad(loss, parameters)])
            made.step(vector, slopes)
            nn.utils.vector_to_parameters(vector, parameters)
        self.memory = made.memory()

    def state(self) -> dict[str, Any]:
        """Return what is remembered."""
        return {"weights": self.weights, "memory": self.memory}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.weights, self.memory = state["weights"], state["memory"]


@torch.no_grad()
def _loss(generator: Generator, discriminator: Discriminator, z: Tensor, y: Tensor) -> float:
    return float(objectives.generator_loss(discriminator(generator(z, y), y)))

"""Losses and optimisers, beside those of torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from fedsec_core.errors import FedsecError
from fedsec_feddetect import objectives
from fedsec_feddetect.optimisers import optimiser


def logits(seed: int, count: int = 6) -> Tensor:
    return 3 * torch.randn(count, generator=torch.Generator().manual_seed(seed)).double()


@given(st.integers(0, 50))
def test_the_losses_are_binary_cross_entropies(seed: int) -> None:
    real, fake = logits(seed), logits(seed + 100)
    ones, zeros = torch.ones(6).double(), torch.zeros(6).double()
    judged = binary_cross_entropy(real.sigmoid(), ones) + binary_cross_entropy(fake.sigmoid(), zeros)
    assert float(objectives.discriminator_loss(real, fake)) == pytest.approx(float(judged), rel=1e-9)
    made = binary_cross_entropy(fake.sigmoid(), ones)
    assert float(objectives.generator_loss(fake)) == pytest.approx(float(made), rel=1e-9)


def test_the_losses_of_wasserstein_are_differences_of_means() -> None:
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.5, 1.5])
    assert float(objectives.critic_loss(real, fake)) == -1.0
    assert float(objectives.wasserstein_generator_loss(fake)) == -1.0


def test_the_penalty_of_a_linear_critic_is_known() -> None:
    slope = torch.tensor([3.0, 4.0])  # of length 5, everywhere
    real, fake = torch.rand(4, 1, 1, 2), torch.rand(4, 1, 1, 2)
    penalty = objectives.gradient_penalty(lambda x: x.flatten(1) @ slope, real, fake, torch.rand(4))
    assert float(penalty.detach()) == pytest.approx(16.0, rel=1e-5)


def test_the_penalty_is_taken_between_the_images() -> None:
    real, fake = torch.ones(2, 1, 1, 1), torch.zeros(2, 1, 1, 1)
    # x squared has the slope 2 x: 1 at a half, where the penalty is zero, and 2 at the real end
    half = objectives.gradient_penalty(lambda x: x.square().flatten(), real, fake, torch.full((2,), 0.5))
    end = objectives.gradient_penalty(lambda x: x.square().flatten(), real, fake, torch.ones(2))
    assert float(half.detach()) == pytest.approx(0.0, abs=1e-9)
    assert float(end.detach()) == pytest.approx(1.0, rel=1e-5)


def theirs(kind: str, start: Tensor) -> tuple[Any, Tensor]:
    parameter = torch.nn.Parameter(start.clone())
    if kind == "adam":
        return torch.optim.Adam([parameter], lr=0.01, betas=(0.5, 0.999)), parameter
    return torch.optim.RMSprop([parameter], lr=0.01), parameter


@pytest.mark.parametrize("kind", ["adam", "rmsprop"])
def test_steps_are_those_of_torch_also_when_the_memory_is_handed_on(kind: str) -> None:
    generator = torch.Generator().manual_seed(3)
    ours = torch.randn(20, generator=generator)
    reference, parameter = theirs(kind, ours)
    memory = None
    for _ in range(6):
        made = optimiser(kind, 20, lr=0.01, beta1=0.5, memory=memory)
        for _ in range(2):
            gradients = torch.randn(20, generator=generator)
            parameter.grad = gradients.clone()
            reference.step()
            made.step(ours, gradients)
        memory = made.memory()
    torch.testing.assert_close(ours, parameter.detach(), rtol=1e-5, atol=1e-6)


def test_a_memory_is_copied_and_must_fit() -> None:
    made = optimiser("adam", 4, lr=0.1, beta1=0.9, memory=None)
    made.step(torch.zeros(4), torch.ones(4))
    kept = made.memory()
    again = optimiser("adam", 4, lr=0.1, beta1=0.9, memory=kept)
    again.step(torch.zeros(4), torch.ones(4))
    assert kept["steps"] == 1
    assert torch.equal(kept["mean"], made.memory()["mean"])  # type: ignore[arg-type]
    for kind, size in (("rmsprop", 4), ("adam", 5)):
        with pytest.raises(FedsecError, match="is of another kind or size"):
            optimiser(kind, size, lr=0.1, beta1=0.9, memory=kept)

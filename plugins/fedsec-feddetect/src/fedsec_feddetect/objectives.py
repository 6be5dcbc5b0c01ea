"""The losses of a GAN: what discriminator and generator minimise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from fedsec_feddetect.gan import Discriminator

Critic = Callable[[Tensor], Tensor]
"""Scores images [n, C, H, W], of classes known to it, with logits [n]."""


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the binary cross entropy of logits [n] of real and [m] of generated images, added up."""
    return softplus(-real).mean() + softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Return the non-saturating loss of logits [n] of generated images (Goodfellow et al. 2014)."""
    return softplus(-fake).mean()


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return Wasserstein's loss of a critic that gave scores [n] to real and [m] to generated images."""
    return fake.mean() - real.mean()


def wasserstein_generator_loss(fake: Tensor) -> Tensor:
    """Return Wasserstein's loss of a generator whose images got scores [n]."""
    return -fake.mean()


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Return the mean squared distance from 1 of the critic's slope between images.

    `mix` [n] in [0, 1] is where between each pair of images [n, C, H, W] the slope is taken
    (Gulrajani et al., NeurIPS 2017, equation 3).
    """
    share = mix.view(-1, 1, 1, 1)
    between = (share * real + (1 - share) * fake).detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    # away from zero, where the length has no derivative
    length = (slope.flatten(1).square().sum(dim=1) + 1e-12).sqrt()
    return (length - 1).square().mean()


def frozen(module: Discriminator, *, yes: bool) -> None:
    """Let the parameters of `module` take part in derivatives, or not."""
    for parameter in module.parameters():
        parameter.requires_grad_(not yes)

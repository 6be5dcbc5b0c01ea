"""Supervised contrast of features, with more weight on the class of a backdoor."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def contrast(features: Tensor, y: Tensor, *, temperature: float, target: int, weight: float) -> Tensor:
    """Return the supervised contrastive loss of features [n, f] with labels `y` [n].

    Of each sample: minus the mean log-probability of the samples with its label, among all others, by
    the products of normalised features over `temperature` (Khosla et al., NeurIPS 2020, equation 2);
    times `weight` where the label is `target` (Dai and Li, ICML 2023). A sample that is alone with its
    label counts as zero.
    """
    z = normalize(features, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool)
    likeness = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    log_share = (likeness - likeness.logsumexp(dim=1, keepdim=True)).masked_fill(itself, 0.0)
    alike = (y[:, None] == y[None, :]) & ~itself
    means = (log_share * alike).sum(dim=1) / alike.sum(dim=1).clamp(min=1)
    return -(means * torch.where(y == target, weight, 1.0)).mean()

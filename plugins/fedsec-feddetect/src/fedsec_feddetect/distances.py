"""How far generated images are from real ones, in the feature space of a network."""

from __future__ import annotations

import torch
from torch import Tensor

SAFE = 1e-12
"""Below this a distance between real images is none."""


def frechet(first: Tensor, second: Tensor) -> float | None:
    """Return the Frechet distance of features [n, f] and [m, f], taken for normal.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2) (Heusel et al., NeurIPS 2017, equation 6), in float64.
    None for fewer than two samples of either.
    """
    if min(len(first), len(second)) < 2:
        return None
    first, second = first.double(), second.double()
    apart = (first.mean(dim=0) - second.mean(dim=0)).square().sum()
    one, other = torch.cov(first.T), torch.cov(second.T)
    # the trace of the root of C1 C2 is that of the root of C1^1/2 C2 C1^1/2, which is symmetric
    root = _root(one)
    between = torch.linalg.eigvalsh(root @ other @ root).clamp(min=0).sqrt().sum()
    return max(0.0, float(apart + one.trace() + other.trace() - 2 * between))


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def kernel_distance(first: Tensor, second: Tensor) -> float | None:
    """Return the kernel distance (KID) of features [n, f] and [m, f]: unbiased, may be below zero.

    The squared maximum mean discrepancy with the kernel (x y / f + 1)^3 (Binkowski et al., ICLR
    2018, section 4). None for fewer than two samples of either.
    """
    n, m = len(first), len(second)
    if min(n, m) < 2:
        return None
    first, second = first.double(), second.double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    within_first, within_second = kernel(first, first), kernel(second, second)
    one = (within_first.sum() - within_first.trace()) / (n * (n - 1))
    other = (within_second.sum() - within_second.trace()) / (m * (m - 1))
    return float(one + other - 2 * kernel(first, second).mean())


def spread(features: Tensor, y: Tensor) -> dict[int, float]:
    """Return, by class, the mean distance between two of its samples; of classes with two or more.

    `features` [n, f], `y` [n].
    """
    found = {}
    for label in sorted(set(y.tolist())):
        own = features[y == label].double()
        if len(own) > 1:
            found[label] = float(torch.pdist(own).mean())
    return found


def diversity(features: Tensor, y: Tensor, real: Tensor, real_y: Tensor) -> float | None:
    """Return how far apart samples of a class are, relative to real ones: 0 all alike, 1 as diverse.

    The mean over classes of the ratio of mean distances; None where there is no class to compare.
    """
    made, given = spread(features, y), spread(real, real_y)
    ratios = [made[label] / given[label] for label in made if given.get(label, 0.0) > SAFE]
    return sum(ratios) / len(ratios) if ratios else None

"""The global model as a guide: frozen, asked for classes and for how unusual its features are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from attrs import define
from torch import Tensor, nn

from fedsec_core.errors import FedsecError
from fedsec_core.evaluation import SHARD

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@define(eq=False)
class Guide:
    """A classifier whose parameters stay as they are; images have slopes through it."""

    module: nn.Module
    classes: int

    @classmethod
    def of(cls, module: nn.Module, shape: tuple[int, ...]) -> Guide:
        """Freeze `module`, which takes images of `shape` [C, H, W]."""
        module.eval()
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        with torch.no_grad():
            return cls(module, module(torch.zeros(1, *shape)).shape[1])

    def __call__(self, x: Tensor) -> Tensor:
        """Return logits [n, classes] of images [n, C, H, W] in [0, 1]."""
        logits: Tensor = self.module(x)
        return logits

    @torch.no_grad()
    def classes_of(self, x: Tensor) -> Tensor:
        """Return the classes [n] that it gives to images, in shards of 256."""
        return torch.cat([self(part).argmax(dim=1) for part in torch.split(x, SHARD)])

    @contextmanager
    def statistics(self) -> Iterator[list[Tensor]]:
        """Collect, while it is asked, how far each BatchNorm's input lies from what it has seen in training.

        Of each layer the squared distance of means and of variances, added up over channels (Yin et al.,
        CVPR 2020, equation 4, squared). Raises FedsecError for a model without one.
        """
        norms = require_statistics(self.module)
        found: list[Tensor] = []

        def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            over = [axis for axis in range(inputs[0].dim()) if axis != 1]
            mean, variance = inputs[0].mean(dim=over), inputs[0].var(dim=over, unbiased=False)
            found.append((mean - layer.running_mean).square().sum())  # type: ignore[operator]
            found.append((variance - layer.running_var).square().sum())  # type: ignore[operator]

        handles = [layer.register_forward_pre_hook(look) for layer in norms]
        try:
            yield found
        finally:
            for handle in handles:
                handle.remove()


def require_statistics(module: nn.Module) -> list[nn.Module]:
    """Return the layers that keep statistics; raises FedsecError for a model without one."""
    norms: list[nn.Module] = [each for each in module.modules() if isinstance(each, NORMS)]
    if not norms:
        raise FedsecError("statistics is about BatchNorm, which this model does not have: set it to 0")
    return norms

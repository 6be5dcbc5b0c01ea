"""Asking a network: in shards of a fixed size, so that the bits do not depend on who asks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fedsec_core.errors import Diverged
from fedsec_core.evaluation import SHARD


@torch.inference_mode()
def predict(module: nn.Module, x: Tensor) -> Tensor:
    """Return the logits [n, classes] of `module`, in evaluation mode, for images `x` [n, C, H, W]."""
    training = module.training
    module.eval()
    shards = [module(shard) for shard in torch.split(x, SHARD)] if len(x) else [module(x)]
    module.train(training)
    return torch.cat(shards).clone()


def finite(logits: Tensor) -> Tensor:
    """Return `logits`, or raise Diverged if they overflowed."""
    if not bool(torch.isfinite(logits).all()):
        raise Diverged("logits")
    return logits

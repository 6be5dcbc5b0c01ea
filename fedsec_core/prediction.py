"""Asking a network: in shards of a fixed size, so that the bits do not depend on who asks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fedsec_core.errors import Diverged, PluginError, one_line
from fedsec_core.evaluation import SHARD


@torch.inference_mode()
def predict(module: nn.Module, x: Tensor, classes: int, title: str) -> Tensor:
    """Return the logits [n, classes] of `module`, in evaluation mode, for images `x` [n, C, H, W].

    Raises PluginError, naming the model component `title`, if it gives something else.
    """
    training = module.training
    module.eval()
    try:
        shards = [module(shard) for shard in torch.split(x, SHARD)] if len(x) else [module(x)]
    except Exception as error:
        raise PluginError(f"{title} failed on images of shape {tuple(x.shape)}: {one_line(error)}") from error
    for shard in shards:
        if not isinstance(shard, Tensor) or shard.ndim != 2 or shard.shape[1] != classes:
            shape = tuple(shard.shape) if isinstance(shard, Tensor) else type(shard).__name__
            raise PluginError(f"{title} must give logits [n, {classes}], got {shape}")
    module.train(training)
    return torch.cat(shards).clone()


def finite(logits: Tensor) -> Tensor:
    """Return `logits`, or raise Diverged if they overflowed."""
    if not bool(torch.isfinite(logits).all()):
        raise Diverged("logits")
    return logits

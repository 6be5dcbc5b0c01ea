"""Local training is extended, never copied: what components may change inside a training step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import numpy as np
from attrs import define
from torch import Tensor

from fedsec_core.errors import FedsecError, PluginError, one_line
from fedsec_core.streams import Stream
from fedsec_core.updates import Update

METHODS = ("batches", "batch", "loss", "per_sample_gradients", "gradients", "parameters", "update")
"""What an object returned by `training_steps` may have, in the order of a training step."""

SINGLE = ("batches", "per_sample_gradients")
"""Methods that at most one component may answer with."""


@define(eq=False, frozen=True)
class Steps:
    """The extensions of all components, composed method by method; None where nobody has one.

    A train component calls those that it honours. `update` is called by the core after
    `train_client`, so every train component honours it.
    """

    batches: Callable[[int, int, Stream], Iterable[np.ndarray]] | None = None
    """`(n, size, stream) -> index arrays`: the batches of one epoch over n samples (Poisson sampling)."""
    batch: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    """`(x [b, C, H, W], y [b]) -> x, y`: rewrite a batch."""
    loss: Callable[[Tensor, Any, Tensor, Tensor], Tensor] | None = None
    """`(loss, networks, x, y) -> loss`: the scalar so far and what to use in its place."""
    per_sample_gradients: Callable[[Tensor], Tensor] | None = None
    """`(g [b, all]) -> g [all]`: the gradient to step with, from one row per sample (DP-SGD).

    Columns are all parameters of the client, those of private parts last. The answer is used as it
    is: whoever clips and sums also divides by the size of the batch.
    """
    gradients: Callable[[Tensor], Tensor] | None = None
    """`(g [d]) -> g [d]`: masks and corrections; may work in place."""
    parameters: Callable[[Tensor], Tensor] | None = None
    """`(p [d]) -> p [d]`: projection after the optimiser's step; may work in place."""
    update: Callable[[Update], Update] | None = None
    """`(update) -> update`: pruning or noise on what is about to be sent."""

    @property
    def used(self) -> frozenset[str]:
        """The names of the methods that somebody answered with."""
        return frozenset(name for name in METHODS if getattr(self, name) is not None)


def compose(answers: list[tuple[str, object]]) -> Steps:
    """Compose the answers `(title, object)` of several components, in order.

    Raises PluginError where two components answer with a method that only one may have.
    """
    composed: dict[str, Any] = {}
    for name in METHODS:
        found = [
            (title, _named(title, name, getattr(answer, name)))
            for title, answer in answers
            if getattr(answer, name, None)
        ]
        if not found:
            continue
        if name in SINGLE and len(found) > 1:
            both = " and ".join(title for title, _ in found)
            raise PluginError(f"{both} both replace {name} of a training step; only one component may")
        composed[name] = _chain(name, [method for _, method in found])
    return Steps(**composed)


def _named(title: str, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Make what goes wrong in a method the fault of the component `title`."""

    def called(*arguments: Any) -> Any:
        try:
            answer = method(*arguments)
        except FedsecError:
            raise
        except Exception as error:
            raise PluginError(f"{title} failed in {name} of its training steps: {one_line(error)}") from error
        if answer is None:
            raise PluginError(f"{title}: {name} of its training steps gave None")
        return answer

    return called


def _chain(name: str, methods: list[Any]) -> Any:
    if len(methods) == 1:
        return methods[0]
    if name == "batch":
        return lambda x, y: reduce(lambda pair, method: method(*pair), methods, (x, y))
    if name == "loss":
        return lambda loss, networks, x, y: reduce(
            lambda so_far, method: method(so_far, networks, x, y), methods, loss
        )
    return lambda value: reduce(lambda so_far, method: method(so_far), methods, value)

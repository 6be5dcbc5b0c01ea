"""What the classifiers share: the parts `body` and `head`, the scale of the input, the least image."""

from __future__ import annotations

from torch import Tensor, nn

from fedsec_core.errors import FedsecError


class Classifier(nn.Module):
    """A network of the parts `body` (images to features [n, f]) and `head` (features to logits)."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [n, classes] of images [n, C, H, W] in [0, 1], mapped to [-1, 1] first."""
        logits: Tensor = self.head(self.body(x * 2 - 1))
        return logits


def refuse_small_images(shape: tuple[int, ...], least: int, what: str) -> None:
    """Raise FedsecError if a side of the images [C, H, W] has less than `least` pixels."""
    _, height, width = shape
    if min(height, width) < least:
        raise FedsecError(
            f"{what} needs images of at least {least} x {least} pixels, got {height} x {width}: "
            "set resize in [data], or use another model"
        )

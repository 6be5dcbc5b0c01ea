"""What the classifiers share: the parts `body` and `head`, the scale of the input, the least image."""

from __future__ import annotations

from torch import Tensor, nn

from fedsec_core.errors import FedsecError


class Classifier(nn.Module):
    """A network of the parts `body` (images to features [n, f]) and `head` (features to logits).

    `channels_last` lays images out with the channels innermost, and with them all that the body
    makes of them: the same sums in another order, faster for some networks and slower for others.
    """

    def __init__(self, body: nn.Module, head: nn.Module, *, channels_last: bool = False) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.channels_last = channels_last

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [n, classes] of images [n, C, H, W] in [0, 1], mapped to [-1, 1] first."""
        if self.channels_last:
            x = channels_last(x)
        logits: Tensor = self.head(self.body(x * 2 - 1))
        return logits


def channels_last(x: Tensor) -> Tensor:
    """Return images [n, C, H, W] with the channels innermost in memory; grey ones are not copied.

    `Tensor.contiguous(memory_format=...)` leaves grey images as they are, with strides that the
    convolutions do not recognise, and is refused inside of `vmap`.
    """
    pixels = x.permute(0, 2, 3, 1)
    # Flat first: a view of the same shape would keep the strides.
    return pixels.flatten().view(pixels.shape).permute(0, 3, 1, 2)


def refuse_small_images(shape: tuple[int, ...], least: int, what: str) -> None:
    """Raise FedsecError if a side of the images [C, H, W] has less than `least` pixels."""
    _, height, width = shape
    if min(height, width) < least:
        raise FedsecError(
            f"{what} needs images of at least {least} x {least} pixels, got {height} x {width}: "
            "set resize in [data], or use another model"
        )

"""The attacks keep the promises of all components."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fedsec_core.testing import Case, Check, contract


def with_image(folder: Path) -> dict[str, Any]:
    """Write a trigger of 2 x 2 white pixels, half of them transparent, and use it."""
    pixels = np.full((2, 2, 4), 255, dtype=np.uint8)
    pixels[0, :, 3] = 0
    Image.fromarray(pixels, "RGBA").save(folder / "trigger.png")
    return {"image": str(folder / "trigger.png"), "target": 1, "source": 2}


@contract(
    "fedsec-backdoors",
    Case("badnets"),
    Case("badnets", {"mode": "blend", "pattern": "noise", "poison_rate": 1.0}),
    Case("badnets", with_image),
)
def test_contract(check: Check) -> None:
    check()

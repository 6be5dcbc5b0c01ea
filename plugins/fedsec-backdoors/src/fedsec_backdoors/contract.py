"""How the attacks are configured when they are put to the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fedsec_core.testing import Case

RIDDEN = {"attack": [{"use": "badnets", "clients": {"fraction": 0.2}}]}
HIDDEN = {**RIDDEN, "model": {"hidden": 6}}


def with_image(folder: Path) -> dict[str, Any]:
    """Write a trigger of 2 x 2 white pixels, half of them transparent, and use it."""
    pixels = np.full((2, 2, 4), 255, dtype=np.uint8)
    pixels[0, :, 3] = 0
    Image.fromarray(pixels, "RGBA").save(folder / "trigger.png")
    return {"image": str(folder / "trigger.png"), "target": 1, "source": 2}


CASES = (
    Case("badnets", {"pattern": "marker", "letter": "L", "corner": "top-left"}),
    Case("badnets", with_image),
    Case("badnets", {"pattern": "tint", "tint": "cast"}, beside={"data": {"shape": [3, 8, 8]}}),
    Case("blended"),
    Case("badnets", {"steps": 2, "norm": 0.5}),
    Case("dba", {"parts": 2, "clients": {"count": 3}}),
    Case("edge-case"),
    Case("edge-case", {"edge": "tail", "poison_rate": 0.2}),
    Case("model-replacement", {"constrain": 0.7, "bound": 5.0, "epochs": 2, "lr": 0.1}),
    Case("neurotoxin", {"clients": "badnets", "top_k": 0.5}, beside=RIDDEN),
    Case("chameleon", {"clients": "badnets", "steps": 4, "contrast": 0.5}, beside=HIDDEN),
    Case("anticipate", {"clients": "badnets", "ahead": 2, "ahead_batch": 4, "norm": 1.0}, beside=RIDDEN),
    Case("pgd", {"clients": "badnets", "eps": 0.1, "period": 3, "scale": "replace"}, beside=RIDDEN),
)

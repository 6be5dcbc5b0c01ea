"""How the components are configured when they are put to the test."""

from __future__ import annotations

from typing import Any

from fedsec_core.testing import Case

DATA = {"data": {"shape": [1, 28, 28], "train": 40, "test": 12, "val": 8}, "partition": {"clients": 4}}
SMALL: dict[str, Any] = {
    "clients": {"count": 1},
    "gan_steps": 2,
    "gan_steps_later": 1,
    "gan_batch": 4,
    "gan_width": 2,
    "latent": 2,
    "tries": 1,
}
RIDDEN = {"attack": [{"use": "fedsec-backdoors:badnets", "clients": {"fraction": 0.2}}]}

CASES = (
    Case("durable-backdoor", {**SMALL, "norm": 1.0, "steps": 3}, beside=DATA),
    Case(
        "durable-backdoor",
        {"gan": False, "look_ahead": 2, "look_ahead_batch": 4, "scale": "replace", "bound": 2.0},
    ),
    Case("durability", {"after": [0, 1]}, beside=RIDDEN),
)

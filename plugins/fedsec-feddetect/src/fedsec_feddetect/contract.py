"""How the components are configured when they are put to the test."""

from __future__ import annotations

from typing import Any

from fedsec_core.testing import Case

GAN: dict[str, Any] = {
    "data": {"shape": [1, 28, 28], "train": 40, "test": 12, "val": 8, "classes": 2},
    "partition": {"clients": 4},
    "model": {"use": "fedsec-feddetect:cdcgan", "width": 4, "latent": 4},
    "train": {"use": "fedsec-feddetect:fedgan", "batch": 8, "lr": 0.002},
}
"""A federation of small GANs, in which what needs one is put to the test."""
LOSS = {"metric": "loss", "warm_up": 0, "trees": 5}
"""What the kit's own trainer reports."""
SERVED = {
    **GAN,
    "data": {**GAN["data"], "server": 8},
    "model": {"use": "fedsec-feddetect:cdcgan", "width": 2, "latent": 2},
}
"""Smaller still: a server that measures trains networks for every cohort that the kit thinks up."""


def gan(*left_out: str) -> dict[str, Any]:
    """Return the federation of GANs without some of its tables."""
    return {role: table for role, table in GAN.items() if role not in left_out}


CASES = (
    Case("cdcgan", {"width": 4, "latent": 4}, beside=gan("model"), rounds=2),
    Case(
        "cdcgan",
        {"width": 4, "latent": 4, "conditioning": "plane", "discriminator_norm": "instance"},
        beside={**gan("model"), "data": {**GAN["data"], "shape": [3, 32, 32]}},
        rounds=2,
    ),
    Case("fedgan", {"batch": 8, "lr": 0.002}, beside=gan("train"), rounds=2),
    Case(
        "fedgan",
        {"steps": 2, "batch": 8, "objective": "wgan-gp", "shared": ["generator", "discriminator"]},
        beside={**gan("train"), "model": {**GAN["model"], "discriminator_norm": "instance"}},
        rounds=2,
    ),
    Case("fedgan-backdoor", {"size": 4, "samples": 16}, beside=GAN),
    Case("fedgan-backdoor", {"corner": "random", "lie": "median", "samples": 16}, beside=GAN),
    Case("feddetect", LOSS),
    Case(
        "feddetect",
        {"loss_source": "server_evaluated", "warm_up": 0, "server_steps": 1, "trees": 2},
        beside=SERVED,
    ),
    Case("feddetect-calibrated", {**LOSS, "margin": 0.5}),
    Case("generation", {"samples": 16}, beside=GAN, rounds=2),
    Case("augmentation", {"real": 6, "synthetic": 8, "steps": 3, "repeats": 1}, beside=GAN, rounds=2),
    Case("suppression"),
)

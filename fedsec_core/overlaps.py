"""Images that occur twice where they must not: across splits, and across clients."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from attrs import frozen

from fedsec_core.data import Dataset, Splits


@frozen
class Overlaps:
    """How many images are exact duplicates of one elsewhere; all zero in a clean set-up."""

    test_in_train: int
    """Test images that are training images too."""
    val_in_train: int
    test_in_val: int
    across_clients: int
    """Training images that more than one client holds (copies, not the same sample)."""
    patients_in_train_and_test: int | None
    """Patients with images in both; None without the metadata."""

    def warnings(self) -> list[str]:
        """Say what was found, one sentence each."""
        found = [
            (self.test_in_train, "test images are exact duplicates of training images"),
            (self.val_in_train, "validation images are exact duplicates of training images"),
            (self.test_in_val, "test images are exact duplicates of validation images"),
            (self.across_clients, "training images have an exact duplicate at another client"),
            (self.patients_in_train_and_test or 0, "patients have images in both train and test"),
        ]
        return [f"{count} {what}" for count, what in found if count]


def find(splits: Splits, partition: Sequence[np.ndarray]) -> Overlaps:
    """Compare the bytes of all images."""
    train, val, test = (_hashes(split) for split in (splits.train, splits.val, splits.test))
    holders: dict[bytes, set[int]] = {}
    for client, index in enumerate(partition):
        for sample in index.tolist():
            holders.setdefault(train[sample], set()).add(client)
    shared = {image for image, clients in holders.items() if len(clients) > 1}
    held = [train[sample] for index in partition for sample in index.tolist()]
    return Overlaps(
        test_in_train=_within(test, train),
        val_in_train=_within(val, train),
        test_in_val=_within(test, val),
        across_clients=sum(image in shared for image in held),
        patients_in_train_and_test=_patients(splits),
    )


def _hashes(data: Dataset) -> list[bytes]:
    flat = data.pixels.reshape(len(data), -1).numpy() if len(data) else np.empty((0, 0))
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in flat]


def _within(images: Sequence[bytes], others: Sequence[bytes]) -> int:
    known = set(others)
    return sum(image in known for image in images)


def _patients(splits: Splits) -> int | None:
    train, test = splits.train.metadata.get("patient"), splits.test.metadata.get("patient")
    return None if train is None or test is None else len(set(train.tolist()) & set(test.tolist()))

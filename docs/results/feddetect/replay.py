"""What a detector would have said of a finished run: its rule on the losses that the run's line holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ledger import Line

from fedsec_feddetect import forest
from fedsec_feddetect.plugin.detect import FedDetect


def verdicts(line: Line, rule: FedDetect) -> list[dict[str, Sequence[Any]]]:
    """Return trust and flags of every round, of clients in order, by FedDetect on the losses reported."""
    columns = {
        int(name.split()[-1]): losses
        for name, losses in line["losses"].items()
        if name.startswith(f"{rule.metric} ")
    }
    clients = sorted(columns)
    weights, counts = dict.fromkeys(clients, 1.0), dict.fromkeys(clients, 0)
    told: list[dict[str, Sequence[Any]]] = []
    for place, number in enumerate(line["losses"]["round"]):
        losses = np.array([columns[client][place] for client in clients])
        suspects, _ = forest.isolated(losses, trees=rule.trees, seed=rule.seed)
        acting = number > rule.warm_up and forest.acts(suspects, len(losses))
        flagged = suspects & acting
        accused = {client for client, flag in zip(clients, flagged, strict=True) if flag}
        weights, counts = forest.fade(weights, counts, accused, rule.decay)
        told.append(
            {"trust": [weights[client] for client in clients], "flagged": flagged.astype(int).tolist()}
        )
    return told

"""All detectors by one ruler: the core knows who attacked, so it scores every verdict itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np


def score(flagged: np.ndarray, clients: Sequence[int], attacking: Collection[int]) -> dict[str, float | None]:
    """Score flags [n] of `clients`; positive = malicious and active in this round.

    `precision` is None when nobody is flagged, `recall` when nobody attacks,
    `false_positive_rate` when nobody is honest, `f1` when neither flags nor attackers exist.
    """
    positive = np.array([client in attacking for client in clients], dtype=bool)
    hits = int((flagged & positive).sum())
    false = int((flagged & ~positive).sum())
    return {
        "precision": _share(hits, hits + false),
        "recall": _share(hits, int(positive.sum())),
        "f1": _share(2 * hits, hits + false + int(positive.sum())),
        "false_positive_rate": _share(false, int((~positive).sum())),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

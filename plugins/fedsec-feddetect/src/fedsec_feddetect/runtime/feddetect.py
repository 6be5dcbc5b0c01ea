"""Runs FedDetect, and remembers how far each client has faded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define, field

from fedsec_core.errors import FedsecError
from fedsec_core.markers import hookimpl
from fedsec_core.rounds import Round
from fedsec_core.streams import Stream
from fedsec_core.updates import Verdict
from fedsec_feddetect import forest
from fedsec_feddetect.runtime.judge import Judge

if TYPE_CHECKING:
    from fedsec_feddetect.plugin.detect import CalibratedFedDetect, FedDetect


LARGEST = float(np.finfo(np.float32).max)
"""The largest loss that scikit-learn's trees, which compute in float32, can tell from infinity."""


def reported(round: Round, metric: str) -> np.ndarray:
    """Return the losses [n] that the clients of a round report as `metric`, NaN where one does not."""
    return np.array([each.get(metric, math.nan) for each in round.metrics], dtype=np.float64)


@define(eq=False)
class FedDetectDetector:
    """Runtime of `feddetect`."""

    asked: FedDetect | CalibratedFedDetect
    weights: dict[int, float] = field(factory=dict, init=False)
    """Of each client ever seen; the largest is 1."""
    counts: dict[int, int] = field(factory=dict, init=False)
    """Flags of each client."""
    judge: Judge | None = field(default=None, init=False)
    heard: bool = field(default=False, init=False)
    """Whether somebody has reported a loss."""

    @hookimpl
    def detect_anomalies(self, round: Round, stream: Stream) -> Verdict:
        """Flag who stands out, and give everybody the trust that its flags have left.

        Whose loss is no number that the forest can hold is flagged and left out, in any round.
        """
        losses = self._losses(round, stream)
        there = np.abs(losses) <= LARGEST
        clients = [client for client, known in zip(round.clients, there, strict=True) if known]
        for client in clients:
            self.weights.setdefault(client, 1.0)
            self.counts.setdefault(client, 0)
        suspects, scores = self._suspects(clients, losses[there])
        acts = round.number > self.asked.warm_up and forest.acts(suspects, len(losses))
        flags = suspects if acts else np.zeros_like(suspects)
        self._remember(clients, suspects)
        accused = {client for client, flag in zip(clients, flags, strict=True) if flag}
        self.weights, self.counts = forest.fade(self.weights, self.counts, accused, self.asked.decay)
        flagged, score, trust = ~there, np.where(there, 0.0, math.inf), np.zeros(len(losses))
        flagged[there], score[there] = flags, scores
        trust[there] = [self.weights[client] for client in clients]
        return Verdict(trust, flagged, score)

    def _losses(self, round: Round, stream: Stream) -> np.ndarray:
        if self.asked.loss_source == "reported":
            self._require_reports(round)
            return reported(round, self.asked.metric)
        if self.judge is None:
            self.judge = Judge(self.asked.server_steps)
        return self.judge.losses(round, stream)

    def _require_reports(self, round: Round) -> None:
        """Raise FedsecError if nobody has ever reported the metric."""
        self.heard = self.heard or any(self.asked.metric in each for each in round.metrics)
        if round.metrics and not self.heard:
            known = ", ".join(sorted({name for each in round.metrics for name in each})) or "nothing"
            raise FedsecError(f"no client reports metric = {self.asked.metric!r}; they report {known}")

    def _suspects(self, clients: Sequence[int], losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return who stands out [n] and scores [n], of the losses [n] of `clients`."""
        return forest.isolated(losses, trees=self.asked.trees, seed=self.asked.seed)

    def _remember(self, clients: Sequence[int], suspects: np.ndarray) -> None:
        """Note who stood out in a round, before anybody is accused of it."""

    def state(self) -> dict[str, Any]:
        """Return what is remembered."""
        judge = None if self.judge is None else self.judge.state()
        kept = {"weights": dict(self.weights), "counts": dict(self.counts)}
        return {**kept, "judge": judge, "heard": self.heard}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.weights, self.counts = dict(state["weights"]), dict(state["counts"])
        self.heard = state["heard"]
        self.judge = None
        if state["judge"] is not None:
            self.judge = Judge(self.asked.server_steps)
            self.judge.restore(state["judge"])


@define(eq=False)
class CalibratedDetector(FedDetectDetector):
    """Runtime of `feddetect-calibrated`."""

    asked: CalibratedFedDetect
    smoothed: dict[int, float] = field(factory=dict, init=False)
    """The loss of each client, smoothed over its rounds."""
    quiet: dict[int, int] = field(factory=dict, init=False)
    """How many rounds in a row a client has not stood out."""

    def _suspects(self, clients: Sequence[int], losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        share = self.asked.smoothing
        for client, loss in zip(clients, np.abs(losses).tolist(), strict=True):
            self.smoothed[client] = share * loss + (1 - share) * self.smoothed.get(client, loss)
        smooth = np.array([self.smoothed[client] for client in clients])
        flags, _ = super()._suspects(clients, smooth)
        deviations = forest.deviations(smooth, self.asked.floor)
        return flags & (deviations > self.asked.margin), deviations

    def _remember(self, clients: Sequence[int], suspects: np.ndarray) -> None:
        for client, suspect in zip(clients, suspects, strict=True):
            self.quiet[client] = 0 if suspect else self.quiet.get(client, 0) + 1
            if self.quiet[client] >= self.asked.forgive:
                self.counts[client], self.weights[client] = 0, 1.0

    def state(self) -> dict[str, Any]:
        """Return what is remembered."""
        return {**super().state(), "smoothed": dict(self.smoothed), "quiet": dict(self.quiet)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        super().restore(state)
        self.smoothed, self.quiet = dict(state["smoothed"]), dict(state["quiet"])

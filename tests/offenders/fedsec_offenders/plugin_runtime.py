"""What the offenders do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from attrs import define, field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fedsec_core.data import Spec
from fedsec_core.errors import TooFewRows
from fedsec_core.evaluation import View
from fedsec_core.findings import Findings
from fedsec_core.markers import hookimpl
from fedsec_core.rounds import AttackView, Round
from fedsec_core.updates import Rows, Update, Verdict, weighted_mean
from fedsec_core.views import Broadcast, Candidate, Client


@define(eq=False)
class Mean:
    @hookimpl
    def aggregate_updates(self, rows: Rows, weights: Tensor) -> Tensor:
        return weighted_mean(rows, weights)


Fragile = Undocumented = Unequal = Wordy = Mean


@define(eq=False)
class Bent:
    @hookimpl
    def aggregate_updates(self, rows: Rows) -> Tensor:
        return rows.matrix.double().quantile(0.5, dim=0)


@define(eq=False)
class Peeking:
    @hookimpl
    def aggregate_updates(self, rows: Rows, weights: Tensor) -> Tensor:
        return weighted_mean(rows.matrix, weights)


@define(eq=False)
class Ordered:
    @hookimpl
    def aggregate_updates(self, rows: Rows, weights: Tensor) -> Tensor:
        weights = weights.clone()
        weights[0] *= 2
        return weighted_mean(rows, weights)


@define(eq=False)
class Grabbing:
    @hookimpl
    def aggregate_updates(self, rows: Rows, weights: Tensor) -> Tensor:
        weights /= weights.sum()
        return weighted_mean(rows, weights)


@define(eq=False)
class Doubling:
    @hookimpl
    def aggregate_updates(self, rows: Rows, weights: Tensor) -> Tensor:
        return 2 * weighted_mean(rows, weights)


@define(eq=False)
class Picky:
    @hookimpl
    def aggregate_updates(self, rows: Rows, weights: Tensor) -> Tensor:
        if len(rows) < 3:
            raise TooFewRows("picky", len(rows), 3)
        return weighted_mean(rows, weights)


@define(eq=False)
class Forgetful:
    velocity: Any = 0.0

    @hookimpl
    def aggregate_updates(self, rows: Rows, weights: Tensor) -> Tensor:
        self.velocity = 0.5 * self.velocity + weighted_mean(rows, weights)
        return self.velocity.clone()


@define(eq=False)
class Sharing:
    seen: ClassVar[list[int]] = []

    @hookimpl
    def aggregate_updates(self, rows: Rows, weights: Tensor) -> Tensor:
        self.seen.append(len(rows))
        return weighted_mean(rows, weights)


@define(eq=False)
class Mute:
    @hookimpl
    def observe_round(self, round: Round) -> None: ...


@define(eq=False)
class Drifting:
    @hookimpl
    def transform_step(self, step: Tensor) -> Tensor:
        return step + 1e-3 * torch.from_numpy(np.random.default_rng().standard_normal(len(step)))


@define(eq=False)
class Hiding:
    @hookimpl
    def transform_step(self, step: Tensor) -> Tensor:
        return torch.where(step.isfinite(), step, 0.0)


@define(eq=False)
class Biased:
    @hookimpl
    def detect_anomalies(self, round: Round) -> Verdict:
        first = np.arange(len(round.clients)) == 0
        return Verdict(1.0 - 0.5 * first, first, first.astype(float))


@define(eq=False)
class Naive:
    @hookimpl
    def detect_anomalies(self, round: Round) -> Verdict:
        if not bool(round.rows.finite.all()):
            raise ValueError("NaN")
        norms = round.rows.norms.numpy()
        return Verdict(np.ones(len(norms)), norms > 2 * np.median(norms), norms)


@define(eq=False)
class Vandal:
    @hookimpl
    def attack_client(self, broadcast: Broadcast, train: Callable[..., Update]) -> Update:
        broadcast.state.neg_()
        return train()


@define(eq=False)
class Idle:
    @hookimpl
    def attack_updates(self, view: AttackView) -> None: ...


@define(eq=False)
class Restless:
    @hookimpl
    def attack_client(self, broadcast: Broadcast) -> Update:
        return Update.zeros(broadcast)

    @hookimpl
    def announce(self, round: Round) -> None:
        round.state.neg_()


@define(eq=False)
class Wasteful:
    left: int = 1

    @hookimpl
    def partition_data(self, labels: np.ndarray) -> list[np.ndarray]:
        count = max(1, len(labels) - self.left)
        return [part for part in np.array_split(np.arange(count), 3) if len(part)]


@define(eq=False)
class Boastful(Wasteful):
    left: int = 0


def descend(client: Client, lr: float, origin: Tensor) -> Update:
    flat, data = client.networks(), client.data
    cross_entropy(flat.module(data.x), data.y).backward()
    flat.parameters -= lr * flat.gradients
    return Update(flat.parameters[: flat.layout.d] - origin[: flat.layout.d], flat.buffers(), len(data))


@define(eq=False)
class Based:
    @hookimpl
    def train_client(self, client: Client, broadcast: Broadcast) -> Update:
        return descend(client, 0.1, broadcast.state)


@define(eq=False)
class Deaf:
    @hookimpl
    def train_client(self, client: Client, broadcast: Broadcast) -> Update:
        return descend(client, 0.1, broadcast.base)


@define(eq=False)
class Tiring:
    trained: int = 0

    @hookimpl
    def train_client(self, client: Client, broadcast: Broadcast) -> Update:
        self.trained += 1
        return descend(client, 0.1 / self.trained, broadcast.base)


@define(eq=False)
class Mixing:
    @hookimpl
    def build_networks(self, spec: Spec) -> nn.Module:
        inputs = int(np.prod(spec.shape))
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(inputs), nn.Linear(inputs, spec.classes))


@define(eq=False)
class Fewer:
    @hookimpl
    def select_clients(self, candidates: Sequence[Candidate]) -> list[int]:
        return [candidate.id for candidate in candidates][:-1]


@define(eq=False)
class Undefined:
    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        brightness = view.data.x.flatten(1).mean(dim=1)
        squares = (brightness - brightness.mean()).square().sum()
        return Findings({"variance": float(squares / torch.tensor(len(brightness) - 1))})


@define(eq=False)
class Spreading:
    @hookimpl
    def transform_updates(self, rows: Rows, weights: Tensor) -> tuple[Rows, Tensor]:
        return Rows(rows.matrix / (len(rows) - 1), rows.ids), weights


@define(eq=False)
class Secretive:
    asked: list[int] = field(factory=list)

    @hookimpl
    def training_steps(self, client: Client) -> None: ...

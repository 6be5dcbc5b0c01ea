"""What the attack of the tests does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from attrs import define, evolve
from torch import Tensor

from fedsec_core.data import Dataset
from fedsec_core.evaluation import View
from fedsec_core.findings import Findings
from fedsec_core.markers import hookimpl
from fedsec_core.rounds import AttackView
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client

if TYPE_CHECKING:
    from fedsec_test_components.plugin import Puppet


@define(eq=False)
class Acting:
    asked: Puppet

    @hookimpl
    def attack_data(self, data: Dataset) -> Dataset | None:
        if self.asked.moment != "data":
            return None
        return Dataset(data.pixels, torch.zeros_like(data.y), data.metadata)

    @hookimpl
    def attack_client(
        self, client: Client, broadcast: Broadcast, train: Callable[..., Update]
    ) -> Update | None:
        if self.asked.moment != "client":
            return None
        if self.asked.reads:
            getattr(client if hasattr(Client, self.asked.reads) else broadcast, self.asked.reads)
        client.state["calls"] = client.state.get("calls", 0) + 1
        honest = train(protected=self.asked.protected)
        return evolve(honest, row=honest.row * self.asked.scale, metrics={"loss": 0.0})

    @hookimpl
    def attack_updates(self, view: AttackView) -> Sequence[Update] | None:
        if self.asked.moment != "updates":
            return None
        if self.asked.reads == "dry_run":
            return self._tried(view)
        if self.asked.reads:
            getattr(view, self.asked.reads)
        return self._updates(view, view.rows * self.asked.scale)

    def _tried(self, view: AttackView) -> Sequence[Update]:
        """Send the better of two rows, by the length of the step that the server would take."""
        options = [view.rows * self.asked.scale, view.rows]
        steps = [view.dry_run(option) for option in options]
        lengths = [0.0 if step is None else float(step.norm()) for step in steps]
        return self._updates(view, options[lengths.index(max(lengths))])

    def _updates(self, view: AttackView, rows: Tensor) -> Sequence[Update]:
        return [
            Update(row, buffers, examples, metrics)
            for row, buffers, examples, metrics in zip(
                rows, view.buffers, view.examples, view.metrics, strict=True
            )
        ]

    @hookimpl
    def prepare_broadcast(self, broadcast: Broadcast) -> Broadcast | None:
        if self.asked.moment != "broadcast":
            return None
        state = broadcast.state * self.asked.scale
        return evolve(broadcast, state=state, base=state)

    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        shares = torch.bincount(view.predict(view.test.x).argmax(1), minlength=4) / len(view.test)
        return Findings({"share_of_class_0": float(shares[0])})

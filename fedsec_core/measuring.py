"""Evaluation: who is asked when, with which view, and what comes back under which name."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve
from torch import Tensor, nn

from fedsec_core import findings
from fedsec_core.errors import Diverged
from fedsec_core.evaluation import RunView, Truth, View
from fedsec_core.federation import Federation
from fedsec_core.findings import Findings
from fedsec_core.reference import cached
from fedsec_core.scenario.model import Slot
from fedsec_core.shadows import metrics_of
from fedsec_core.tasks import Asking
from fedsec_core.vocabulary import Role


class Measuring:
    """Asks components what they find, and remembers the metrics for the evaluation of the run."""

    def __init__(self, federation: Federation) -> None:
        self.federation = federation
        self.history: list[Mapping[str, float | None]] = []
        self.numbers: list[int] = []
        self.found: dict[str, Findings] = {}
        self._latest: Mapping[str, Findings] = {}
        """What was found in the last round that was measured."""
        self._memory: dict[str, Any] = {}
        """What components remembered before they measured the last round, where there are shadows."""

    def memory(self) -> dict[str, Any]:
        """Return what is remembered, as tensors and plain values."""
        found = {label: findings.to_plain(each) for label, each in self.found.items()}
        history = [dict(metrics) for metrics in self.history]
        return {"history": history, "numbers": list(self.numbers), "found": found}

    def restore(self, memory: Mapping[str, Any]) -> None:
        """Take back what `memory` gave."""
        self.history = [dict(metrics) for metrics in memory["history"]]
        self.numbers = list(memory["numbers"])
        self.found = {label: findings.from_plain(each) for label, each in memory["found"].items()}

    def round(self, number: int, attacking: Sequence[int]) -> Findings:
        """Measure the model after a round; raises Diverged where logits overflow."""
        federation = self.federation
        due = [slot for slot in federation.scenario.slots if is_due(slot, number, federation.scenario.rounds)]
        base = self.view(number, attacking)
        views = {slot.label: self._seen(base, slot, federation.state) for slot in due}
        if federation.shadows:
            self._memory = copy.deepcopy(federation.hooks.states(("evaluate_model",)))
        found = federation.hooks.evaluate_model(views)
        self._latest = found
        # as a checkpoint would give them back, so that an interruption changes nothing
        self.found.update(
            {label: findings.from_plain(findings.to_plain(each)) for label, each in found.items()}
        )
        together = union(found)
        self.history.append(together.metrics)
        self.numbers.append(number)
        return together

    def shadows(
        self, number: int, attacking: Sequence[int], states: Mapping[str, Tensor]
    ) -> dict[str, float | None]:
        """Measure the models `states` that shadows would have led to in a round, as `shadow.component.name`.

        A model whose logits overflow has no figures; one that is the federation's own has its figures.
        """
        federation, metrics = self.federation, dict[str, float | None]()
        rounds, shadows = federation.scenario.rounds, federation.shadows
        due = [slot for slot in federation.scenario.slots if is_due(slot, number, rounds)]
        for slot in federation.scenario.shadows:
            if slot.label not in states or not is_due(slot, number, rounds):
                continue
            if states[slot.label] is federation.state:
                metrics |= metrics_of(slot.label, self._latest)
                continue
            base = self.view(number, attacking, states[slot.label])
            shadows.clones.restore(copy.deepcopy(self._memory))
            try:
                found = shadows.clones.evaluate_model(
                    {each.label: self._seen(base, each, states[slot.label]) for each in due}
                )
            except Diverged:
                continue
            metrics |= metrics_of(slot.label, found)
        self.history[-1] = {**self.history[-1], **metrics}
        return metrics

    def run(self) -> Findings:
        """Measure the finished run."""
        view = self.view(self.numbers[-1], ())
        run = RunView(view, tuple(self.history), tuple(self.numbers), self.found)
        found = self.federation.hooks.evaluate_run(run)
        for hooks in self.federation.shadows.shadows.values():
            found |= hooks.evaluate_run(run)
        return union(found)

    def view(self, number: int, attacking: Sequence[int], state: Tensor | None = None) -> View:
        """Return the federation after round `number`, as evaluation sees it, or with another `state`."""
        federation, executor = self.federation, self.federation.executor
        state = federation.state if state is None else state
        val, test = executor.evaluation_data()

        def predict(x: Tensor, client: int | None, served: bool) -> Tensor:
            return executor.predict(Asking(number, state, client, served), x)

        def networks(client: int | None) -> nn.Module:
            return executor.next_model(Asking(number, state, client))

        return View(
            number=number,
            rounds=federation.scenario.rounds,
            classes=federation.splits.classes,
            task=federation.splits.task,
            layout=federation.layout,
            clients=federation.clients,
            twin=federation.twin,
            data=test,
            val=val,
            test=test,
            training=federation.splits.train,
            truth=Truth(federation.attackers.clients, tuple(attacking), federation.partition),
            predict=predict,
            networks=networks,
            map=self._mapped(number, state, ""),
            train=lambda data, **changes: federation.train_apart(data, None, **changes),
            local_test=federation.scenario.the(Role.PARTITION).keys.local_test,
            cached=lambda name, build, *inputs: cached(federation.reference, name, build, inputs),
        )

    def _seen(self, view: View, slot: Slot, state: Tensor) -> View:
        data = view.val if slot.keys.on == "val" else view.test
        return evolve(view, data=data, map=self._mapped(view.number, state, slot.label))

    def _mapped(self, number: int, state: Tensor, label: str) -> Callable[..., list[Any]]:
        def mapped(function: Callable[..., Any], clients: Sequence[int], *args: Any) -> list[Any]:
            askings = [Asking(number, state, client) for client in clients]
            return self.federation.executor.map(function, askings, label, args)

        return mapped


def is_due(slot: Slot, number: int, rounds: int) -> bool:
    """Tell whether `slot` evaluates after round `number`: always after the last one."""
    every = slot.keys.every
    return number == rounds or (every != "end" and number % every == 0)


def union(found: Mapping[str, Findings]) -> Findings:
    """Put the labels in front of all names."""
    metrics: dict[str, float | None] = {}
    for label, each in found.items():
        for name, value in each.metrics.items():
            metrics[f"{label}.{name}"] = None if value is None else float(value)
    tables = {
        f"{label}.{name}": table for label, each in found.items() for name, table in each.tables.items()
    }
    pictures = {
        f"{label}.{name}": one for label, each in found.items() for name, one in each.pictures.items()
    }
    return Findings(metrics, tables, pictures)

"""The hooks that run on the server, typed: load, split, select, judge, aggregate, evaluate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import evolve
from torch import Tensor

from fedsec_core.data import Splits
from fedsec_core.evaluation import RunView, View
from fedsec_core.findings import Findings
from fedsec_core.hooks import answers
from fedsec_core.hooks.members import Member, Members, wrong
from fedsec_core.rounds import AttackView, Round
from fedsec_core.updates import Rows, Update, Verdict
from fedsec_core.views import Candidate
from fedsec_core.vocabulary import Role


class ServerHooks(Members):
    """What the server calls. Everything per client is in ascending order of client id."""

    def load_data(self) -> Splits:
        return answers.splits(*self.only("load_data", {}))

    def partition_data(
        self, labels: np.ndarray, metadata: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, ...]:
        member, answer = self.only("partition_data", {"labels": labels, "metadata": metadata})
        return answers.partition(member, answer, len(labels))

    def select_clients(self, candidates: Sequence[Candidate], number: int) -> tuple[int, ...]:
        """Ask the select component; without one everybody takes part."""
        known = [candidate.id for candidate in candidates]
        if not self.answering("select_clients"):
            return tuple(known)
        arguments = {"candidates": candidates, "round": number}
        member, answer = self.only("select_clients", arguments, number=number)
        return answers.cohort(member, answer, known)

    def announce(self, round: Round) -> dict[str, tuple[Member, Mapping[str, Tensor]]]:
        """Gather announcements, by label of who makes them."""
        found = {}
        for member in self.answering("announce"):
            answer = self.call(member, "announce", {"round": member.sees(round)}, number=round.number)
            if answer is not None:
                found[member.label] = member, answers.tensors(member, "announce", answer)
        return found

    def attack_updates(self, views: Mapping[str, AttackView]) -> dict[str, tuple[Update, ...]]:
        """Ask each attack of `views` for its own clients' updates; those that answer, by label."""
        found = {}
        for member in self.answering("attack_updates", list(views)):
            if (view := views.get(member.label)) is None:
                continue
            answer = self.call(member, "attack_updates", {"view": view}, number=view.number)
            if answer is not None:
                found[member.label] = answers.updates(member, answer, len(view.clients), view.layout)
        return found

    def detect_anomalies(self, round: Round) -> dict[str, Verdict]:
        """Gather verdicts, by label of the detector."""
        found = {}
        for member in self.answering("detect_anomalies"):
            answer = self.call(member, "detect_anomalies", {"round": member.sees(round)}, number=round.number)
            if answer is not None:
                found[member.label] = answers.verdict(member, answer, len(round.clients))
        return found

    def transform_updates(self, rows: Rows, weights: Tensor, round: Round) -> tuple[Rows, Tensor]:
        for member in self.answering("transform_updates"):
            arguments = {"rows": rows, "weights": weights, "round": member.sees(round)}
            answer = self.call(member, "transform_updates", arguments, number=round.number)
            rows, weights = answers.rows(member, answer, (rows, weights))
        return rows, weights

    def aggregate_updates(self, rows: Rows, weights: Tensor, round: Round) -> Tensor:
        asked = self.answering("aggregate_updates")
        seen = asked[0].sees(round) if asked else round
        arguments = {"rows": rows, "weights": weights, "round": seen}
        member, answer = self.only("aggregate_updates", arguments, number=round.number)
        return answers.step(member, "aggregate_updates", answer, round.layout.d)

    def transform_step(self, step: Tensor, round: Round) -> Tensor:
        for member in self.answering("transform_step"):
            arguments = {"step": step, "round": member.sees(round)}
            answer = self.call(member, "transform_step", arguments, number=round.number)
            step = step if answer is None else answers.step(member, "transform_step", answer, round.layout.d)
        return step

    def observe_round(self, round: Round) -> None:
        for member in self.answering("observe_round"):
            answer = self.call(member, "observe_round", {"round": member.sees(round)}, number=round.number)
            if answer is not None:
                raise wrong(member, "observe_round", "must give None")

    def evaluate_model(self, views: Mapping[str, View]) -> dict[str, Findings]:
        """Ask those whose turn it is, with the view that each chose, by label."""
        found = {}
        for member in self.answering("evaluate_model"):
            if (view := views.get(member.label)) is not None:
                answer = self.call(member, "evaluate_model", {"view": view}, number=view.number)
                found[member.label] = answers.findings(member, "evaluate_model", answer)
        return found

    def evaluate_run(self, run: RunView) -> dict[str, Findings]:
        """Ask everybody, by label; what an attack sees of the model is cut to its grants."""
        found = {}
        for member in self.answering("evaluate_run"):
            seen = run
            if member.slot.role is Role.ATTACK:
                seen = evolve(run, view=evolve(run.view, grants=member.grants))
            answer = self.call(member, "evaluate_run", {"run": seen})
            if answer is not None:
                found[member.label] = answers.findings(member, "evaluate_run", answer)
        return found

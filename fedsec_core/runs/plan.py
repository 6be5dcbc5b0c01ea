"""What an experiment is made of: federations to play, and who is told how they get on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from fedsec_core.scenario.model import Experiment, Scenario

if TYPE_CHECKING:
    from fedsec_core.records import RoundRecord


@frozen
class Plan:
    """One federation to play."""

    variant: str
    seed: int
    twin: bool
    scenario: Scenario

    @property
    def title(self) -> str:
        """`main`, `undefended.twin`, with the seed."""
        return f"{self.variant}{'.twin' if self.twin else ''} seed {self.seed}"

    @property
    def place(self) -> str:
        """Its sub-folder."""
        return f"{self.variant}{'.twin' if self.twin else ''}/{self.seed}"


class Watcher(Protocol):
    """Who is told how a run gets on."""

    def begin(self, plan: Plan, index: int, count: int) -> None:
        """A federation begins."""

    def round(self, record: RoundRecord) -> None:
        """A round ended."""

    def end(self, status: str) -> None:
        """The federation ended.

        `status` is `done`, `diverged`, `interrupted` or `failed`, or else `copied`, or `finished` before.
        """


class Silent:
    """Tells nobody."""

    def begin(self, plan: Plan, index: int, count: int) -> None: ...

    def round(self, record: RoundRecord) -> None: ...

    def end(self, status: str) -> None: ...


def plans(experiment: Experiment, only: Sequence[str] | None = None) -> Iterator[Plan]:
    """Give the federations of an experiment: main, its twin, then variants with theirs, seed by seed."""
    for variant, scenario in experiment.scenarios().items():
        if only is None or variant in only:
            for twin in (False, True) if experiment.twin else (False,):
                for seed in experiment.seeds:
                    yield Plan(variant, seed, twin, scenario)

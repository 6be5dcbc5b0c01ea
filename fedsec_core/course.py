"""The course of a federation: round by round, each played, measured, digested and recorded."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from fedsec_core import digests
from fedsec_core.errors import Diverged
from fedsec_core.federation import Federation
from fedsec_core.findings import Findings
from fedsec_core.measuring import Measuring
from fedsec_core.playing import Play, play
from fedsec_core.records import EndRecord, RoundRecord


class Course:
    """A federation on its way from the built model to its last round."""

    def __init__(self, federation: Federation) -> None:
        self.federation = federation
        self.measuring = Measuring(federation)

    def run(self) -> Iterator[RoundRecord]:
        """Play all rounds; gives round 0, the built model, first. Ends early where it diverges."""
        for number in range(self.federation.scenario.rounds + 1):
            record = self._round(number)
            yield record
            if record.diverged:
                return

    def _round(self, number: int) -> RoundRecord:
        federation = self.federation
        began = perf_counter()
        played = play(federation, number) if number else Play(federation.state)
        federation.state = played.state
        found, diverged = self._measure(number, played)
        metrics = {**played.scores, **found.metrics}
        receipts = {
            **played.digests,
            "state": digests.of_tensor(federation.state),
            "metrics": digests.of_values(metrics),
        }
        federation.digest = digests.chain(federation.digest, receipts)
        return RoundRecord(
            number=number,
            cohort=played.cohort,
            attacking=played.attacking,
            metrics=metrics,
            tables=found.tables,
            pictures=found.pictures,
            verdicts=played.verdicts,
            weights=played.weights,
            non_finite=played.non_finite,
            dry_runs=played.dry_runs,
            notes=played.notes,
            digests=receipts,
            seconds=perf_counter() - began,
            diverged=diverged,
        )

    def _measure(self, number: int, played: Play) -> tuple[Findings, str]:
        """Return what was found, and what overflowed if anything did: a diverged model is not measured."""
        if played.diverged:
            return Findings(), played.diverged
        try:
            return self.measuring.round(number, played.attacking), ""
        except Diverged as overflow:
            return Findings(), overflow.what

    def finish(self, status: str) -> EndRecord:
        """Measure the finished run; `status` is how its rounds ended, `done` or `diverged`."""
        digest = self.federation.digest
        if status != "done":
            return EndRecord(status, digest)
        try:
            found = self.measuring.run()
        except Diverged:
            return EndRecord("diverged", digest)
        digest = digests.chain(digest, {"metrics": digests.of_values(dict(found.metrics))})
        return EndRecord(status, digest, found.metrics, found.tables, found.pictures)

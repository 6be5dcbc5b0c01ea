"""Replaying a run and comparing receipts: which round differs first, and in which quantity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from fedsec_core import digests
from fedsec_core.course import Course
from fedsec_core.errors import FedsecError
from fedsec_core.execution.computing import one_thread
from fedsec_core.federation import Federation
from fedsec_core.records import EndRecord, RoundRecord
from fedsec_core.runs.experiment import Playing
from fedsec_core.runs.key import digest_class, key_parts
from fedsec_core.runs.names import WEIGHTS
from fedsec_core.runs.plan import Plan
from fedsec_core.runs.reading import FederationResult, read_federation
from fedsec_core.runs.starting import read_weights

QUANTITIES = ("cohort", "honest_rows", "verdict", "state", "metrics")
"""In the order in which they come about within a round."""


@frozen
class Difference:
    """Where a replay leaves the record for the first time."""

    round: int | None
    """None: the evaluation of the finished run."""
    quantity: str
    recorded: str
    replayed: str
    edited: bool = False
    """The recorded figures are not those of their own digest."""

    def __str__(self) -> str:
        where = "the finished run" if self.round is None else f"round {self.round}"
        if self.edited:
            return f"{where}: the recorded {self.quantity} are not what the record's digests say"
        return f"{where} differs first, in {self.quantity}: {self.recorded} was {self.replayed} now"


@frozen
class Verification:
    """What came of replaying one federation."""

    place: str
    compared: tuple[int, int]
    """The first and the last round that were compared."""
    difference: Difference | None
    changed: tuple[str, ...] = ()
    """What changed since it was recorded: code, versions, weights to start from."""
    classes: tuple[Mapping[str, str], Mapping[str, str]] | None = field(default=None)
    """The digest classes, recorded and here, where they are not the same: equal bits are not promised."""

    @property
    def failed(self) -> bool:
        """Whether something differs that was promised to be the same."""
        return self.difference is not None and (self.classes is None or self.difference.edited)


def verify(playing: Playing, plan: Plan, rounds: tuple[int, int] | None) -> Verification:
    """Replay one federation of a run folder and compare `rounds` (both included; None: all, and the end).

    Raises FedsecError if there is nothing to compare with.
    """
    assert playing.folder is not None
    recorded = read_federation(playing.folder / plan.place)
    first, last = _limits(recorded, rounds)
    federation = playing.federation(plan, keep=False)
    try:
        data = federation.splits.digest()
        parts = key_parts(plan.scenario, plan.seed, twin=plan.twin, data_digest=data)
        found = _compare(federation, recorded, first, last, whole=rounds is None, watcher=playing.watcher)
    finally:
        federation.close()
    made_of = recorded.facts.get("made_of", {})
    then, now = recorded.facts["digest_class"], digest_class()
    return Verification(
        place=plan.place,
        compared=(first, last),
        difference=found,
        changed=tuple(sorted(name for name in {*made_of, *parts} if made_of.get(name) != parts.get(name))),
        classes=None if then == now else (then, now),
    )


def _limits(recorded: FederationResult, rounds: tuple[int, int] | None) -> tuple[int, int]:
    if not recorded.rounds:
        raise FedsecError(f"{recorded.folder}: no round was finished: there is nothing to verify")
    there = recorded.rounds[-1]["round"]
    first, last = rounds or (0, there)
    if not 0 <= first <= last <= there:
        raise FedsecError(f"{recorded.folder}: cannot verify rounds {first}..{last}: it has 0..{there}")
    return first, last


def _compare(
    federation: Federation, recorded: FederationResult, first: int, last: int, *, whole: bool, watcher: Any
) -> Difference | None:
    if edited := _edited(recorded, first, last):
        return edited
    then = str(recorded.facts["partition"])
    now = digests.of_arrays(federation.partition)
    if then != now:
        return Difference(0, "partition", then, now)
    course = Course(federation)
    diverged = False
    for record, event in zip(course.run(until=last), recorded.rounds, strict=False):
        watcher.round(record)
        diverged = bool(record.diverged)
        if record.number >= first and (found := _differs(record, event)):
            return found
    if course.number < last:
        return Difference(course.number, "end", "went on", "overflowed")
    if not whole or recorded.end is None:
        return None
    end: EndRecord = course.finish("diverged" if diverged else "done")
    if end.digest != recorded.end["digest"]:
        return Difference(None, "metrics", recorded.end["digest"], end.digest)
    return _left_over(recorded, federation, end.digest)


def _edited(recorded: FederationResult, first: int, last: int) -> Difference | None:
    """Find figures in the record that are not those of their own digest."""
    for event in recorded.rounds[first : last + 1]:
        for quantity, figures in (("cohort", tuple(event["cohort"])), ("metrics", event["metrics"])):
            then, now = event["digests"].get(quantity), digests.of_values(figures)
            if then not in (None, now):
                return Difference(event["round"], quantity, str(then), now, edited=True)
    return None


def _left_over(recorded: FederationResult, federation: Federation, digest: str) -> Difference | None:
    """Find final weights, or a digest of the run, that are not those of the replay."""
    then = str(recorded.facts.get("digest"))
    if then != digest:
        return Difference(None, "digest", then, digest, edited=True)
    weights = federation.layout.pack(read_weights(recorded.folder / WEIGHTS))
    then, now = digests.of_tensor(weights), digests.of_tensor(federation.state)
    return None if then == now else Difference(None, "weights", then, now, edited=True)


def _differs(record: RoundRecord, event: Mapping[str, Any]) -> Difference | None:
    for quantity in QUANTITIES:
        then, now = event["digests"].get(quantity), record.digests.get(quantity)
        if then != now:
            return Difference(record.number, quantity, str(then), str(now))
    return None


def verify_all(
    playing: Playing, plans: Sequence[Plan], rounds: tuple[int, int] | None
) -> Iterator[Verification]:
    """Verify several federations of a run folder, one after another."""
    for index, plan in enumerate(plans):
        playing.watcher.begin(plan, index, len(plans))
        with one_thread():
            found = verify(playing, plan, rounds)
        playing.watcher.end("done")
        yield found

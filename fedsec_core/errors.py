"""The faults a person can meet, each of which ends in one clear line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

KEPT = "finished rounds are kept, and fedsec resume goes on from them"
"""What a person is told where a run cannot go on writing."""


def one_line(error: BaseException) -> str:
    """Say what an exception of somebody else's code was, its line breaks taken out."""
    if isinstance(error, Elsewhere):
        return str(error)
    return " ".join(f"{type(error).__name__}: {error}".split())


class Elsewhere(Exception):
    """An exception of another process that could not come along itself: what `one_line` says of it."""


class FedsecError(Exception):
    """A fault that is reported in one line and ends the command with exit code 2."""

    def __reduce__(self) -> Any:
        # subclasses take other arguments than the message: a worker's error arrives as it was raised
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[Exception], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> Exception:
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(attributes)
    return error


@frozen
class Fault:
    """One thing wrong with a scenario: where it stands and what was expected."""

    where: str
    """File and line, `bad.toml:12`, or what stands in for them (`--set`)."""
    path: str
    """The key, dotted: `train.lr`; empty for the file as a whole."""
    message: str

    def __str__(self) -> str:
        return ": ".join(text for text in (self.where, self.path, self.message) if text)


class ScenarioError(FedsecError):
    """Everything that is wrong with a scenario, in the order of the file."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class PluginError(FedsecError):
    """A component could not be loaded, raised, or answered with something wrong; it is named."""


class DataError(FedsecError):
    """A file of data that cannot be used, with the file named."""


class MissingGrant(FedsecError):
    """A component read what its scenario does not let it know."""

    def __init__(self, label: str, what: str, grant: str) -> None:
        super().__init__(
            f"{label} read {what}, which needs the knowledge {grant!r}; "
            f"grant it with knows = [..., {grant!r}] in the table of {label}"
        )
        self.grant = grant


class TooFewRows(FedsecError):
    """An aggregation rule was given fewer rows than it is defined for; the round keeps its state."""

    def __init__(self, rule: str, rows: int, needed: int, why: str = "") -> None:
        super().__init__(f"{rule} needs at least {needed} rows{f' ({why})' if why else ''}, got {rows}")
        self.rows, self.needed = rows, needed


class WorkerDied(FedsecError):
    """A worker process ended while it was at work; its round can be played again."""


class Diverged(Exception):
    """A step, a state or logits overflowed: the run ends with this result, it has not failed."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

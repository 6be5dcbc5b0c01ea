"""The members of a federation and the one way to call them: in order, by name, at fault by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from time import perf_counter
from types import ModuleType
from typing import Any

import pluggy
from attrs import define

from fedsec_core import hookspecs
from fedsec_core.errors import (
    DataError,
    Diverged,
    FedsecError,
    MissingGrant,
    PluginError,
    TooFewRows,
    WorkerDied,
    one_line,
)
from fedsec_core.markers import PROJECT
from fedsec_core.rounds import Round
from fedsec_core.scenario.model import Slot
from fedsec_core.streams import Stream
from fedsec_core.views import Grants
from fedsec_core.vocabulary import Capability, Knowledge, Role

ONLY: dict[str, tuple[Role, ...]] = {
    "load_data": (Role.DATA,),
    "build_networks": (Role.MODEL,),
    "partition_data": (Role.PARTITION,),
    "select_clients": (Role.SELECT,),
    "train_client": (Role.TRAIN,),
    "aggregate_updates": (Role.AGGREGATE,),
    "attack_data": (Role.ATTACK,),
    "attack_client": (Role.ATTACK,),
    "attack_updates": (Role.ATTACK,),
}
"""Hooks that only these roles may answer; any other may be answered by any component."""

FIRST: dict[str, tuple[Role, ...]] = {
    "transform_data": (Role.PROTECT,),
    "prepare_broadcast": (Role.PROTECT,),
    "training_steps": (Role.PROTECT,),
    "detect_anomalies": (Role.DETECT, Role.AGGREGATE),
    "transform_updates": (Role.BEFORE,),
    "transform_step": (Role.AFTER,),
    "serve_model": (Role.PROTECT,),
    "evaluate_model": (Role.EVALUATE, Role.ATTACK, Role.PROTECT),
}
"""The roles that are asked first; the others follow in the order of `Role`."""

LAST: dict[str, tuple[Role, ...]] = {
    "prepare_broadcast": (Role.ATTACK,),
    "training_steps": (Role.ATTACK,),
}
"""The roles that are asked last."""

CLOSED_TO_ATTACKS = frozenset(
    {"transform_data", "detect_anomalies", "transform_updates", "transform_step", "serve_model"}
)


EVALUATION = ("evaluate_model", "evaluate_run")
"""What an attack still answers on a clean twin."""


@define(eq=False)
class Member:
    """One component that takes part, as built on this side."""

    slot: Slot
    runtime: Any
    calls: dict[str, Callable[..., Any]]
    """What it answers, by name of the hook."""

    @property
    def label(self) -> str:
        return self.slot.label

    @property
    def grants(self) -> Grants:
        return Grants(self.slot.label, self.slot.granted)

    @property
    def is_attack(self) -> bool:
        return self.slot.role is Role.ATTACK

    @property
    def may_use_server_data(self) -> bool:
        """True for an attack that was granted the server's samples, and for others that declare the need."""
        if self.is_attack:
            return Knowledge.SERVER_DATA in self.slot.granted
        return Capability.SERVER_DATA in self.slot.component.needs

    def sees(self, round: Round) -> Round:
        """Return the round as this member may see it."""
        return round.seen_by(self.grants, attack=self.is_attack, server_data=self.may_use_server_data)


class Members:
    """The components of one side (the server, or a worker), registered with pluggy.

    Every call goes to one implementation at a time, in the order that the hook states: the
    order of installation never matters, and whoever raises is known.
    """

    def __init__(self, slots: Sequence[Slot], seed: int, *, quiet_attacks: bool = False) -> None:
        """Build and register the components; `quiet_attacks` lets attacks only evaluate (a clean twin)."""
        self.seed = seed
        self.spent: dict[str, float] = {}
        """Seconds inside the hooks of each component, by label; whoever reads it clears it."""
        self._inside = 0.0
        manager = _Manager(PROJECT)
        for module in hookspecs.GROUPS:
            manager.add_hookspecs(module)
        runtimes = [(slot, _build(slot)) for slot in slots]
        for slot, runtime in runtimes:
            _register(manager, slot, runtime)
        self.members = [Member(slot, runtime, _calls(manager, slot, runtime)) for slot, runtime in runtimes]
        self._able = {member.label: frozenset(member.calls) for member in self.members}
        for member in self.members:
            if quiet_attacks and member.slot.role is Role.ATTACK:
                member.calls = {hook: member.calls[hook] for hook in EVALUATION if hook in member.calls}

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    def answering(self, hook: str, labels: Sequence[str] | None = None) -> list[Member]:
        """Return who answers `hook`, in order; `labels` leaves out attacks that are not among them."""
        asked = [m for m in self.members if hook in m.calls]
        if labels is not None:
            asked = [m for m in asked if m.slot.role is not Role.ATTACK or m.label in labels]
        return sorted(asked, key=lambda member: _rank(hook, member.slot.role))

    def able(self, hook: str) -> list[Member]:
        """Return who implements `hook`, also where it is not asked."""
        return [member for member in self.members if hook in self._able[member.label]]

    def call(
        self,
        member: Member,
        hook: str,
        arguments: Mapping[str, Any],
        *,
        number: int | None = None,
        client: int | None = None,
    ) -> Any:
        """Call one member's implementation of `hook` with a stream of its own.

        `number` is the round, `client` the client that the call is about.

        Raises PluginError that names the member, in place of whatever it raised.
        """
        stream = Stream(self.seed, hook, member.label, number, client)
        with stream.guard(), self._timed(member.label):
            try:
                return member.calls[hook](stream, arguments)
            except (TooFewRows, MissingGrant, DataError, PluginError, Diverged, WorkerDied):
                raise
            except FedsecError as error:
                raise PluginError(f"{member.slot.title}: {error}") from error
            except Exception as error:
                raise PluginError(f"{member.slot.title} failed in {hook}: {one_line(error)}") from error

    @contextmanager
    def _timed(self, label: str) -> Iterator[None]:
        """Count the time inside a call as the component's, less that of calls inside it."""
        began, outer = perf_counter(), self._inside
        self._inside = 0.0
        try:
            yield
        finally:
            took = perf_counter() - began
            self.spent[label] = self.spent.get(label, 0.0) + took - self._inside
            self._inside = outer + took

    def only(
        self, hook: str, arguments: Mapping[str, Any], *, number: int | None = None, client: int | None = None
    ) -> tuple[Member, Any]:
        """Call a hook that has one answer; None is no answer."""
        asked = self.answering(hook)
        if not asked:
            (role,) = ONLY[hook]
            slot = next(member.slot for member in self.members if member.slot.role is role)
            raise PluginError(f"{slot.title} does not answer {hook}")
        answer = self.call(asked[0], hook, arguments, number=number, client=client)
        if answer is None:
            raise wrong(asked[0], hook, "gave no answer (None)")
        return asked[0], answer

    def states(self, hooks: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        """Return the memory of every member that has one (and answers one of `hooks`), by label."""
        return {
            m.label: m.runtime.state()
            for m in self.members
            if hasattr(m.runtime, "state") and (hooks is None or not m.calls.keys().isdisjoint(hooks))
        }

    def restore(self, states: dict[str, dict[str, Any]]) -> None:
        """Give members back what `states` returned."""
        for member in self.members:
            if member.label in states:
                member.runtime.restore(states[member.label])


def wrong(member: Member, hook: str, what: str) -> PluginError:
    """Say what is wrong with a member's answer."""
    return PluginError(f"{member.slot.title}: {hook} {what}")


def _rank(hook: str, role: Role) -> int:
    if role in FIRST.get(hook, ()):
        return FIRST[hook].index(role) - len(Role)
    if role in LAST.get(hook, ()):
        return len(Role)
    return list(Role).index(role)


def _build(slot: Slot) -> Any:
    try:
        return slot.component.build()
    except Exception as error:
        raise PluginError(f"{slot.title} could not be built: {one_line(error)}") from error


class _Manager(pluggy.PluginManager):
    """Looks for no implementation under Python's own names, and reads each group of specifications once.

    Half of an object's names are such, and small federations are built by the thousand.
    """

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:
        return _specifications(module_or_class).get(name)


@cache
def _specifications(module: ModuleType) -> dict[str, Any]:
    parser = pluggy.PluginManager(PROJECT)
    found = {name: parser.parse_hookspec_opts(module, name) for name in dir(module)}
    return {name: options for name, options in found.items() if options is not None}


def _register(manager: pluggy.PluginManager, slot: Slot, runtime: Any) -> None:
    name = f"{slot.role.value}:{slot.label}"
    try:
        manager.register(runtime, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"{slot.title}: {' '.join(str(error).split())}") from error
    except (TypeError, ValueError) as error:
        why = "runtime classes are @attrs.define(eq=False)"
        raise PluginError(f"{slot.title} could not be registered: {error} ({why})") from error


def _calls(manager: pluggy.PluginManager, slot: Slot, runtime: Any) -> dict[str, Callable[..., Any]]:
    others = [plugin for plugin in manager.get_plugins() if plugin is not runtime]
    calls: dict[str, Callable[..., Any]] = {}
    for caller in manager.get_hookcallers(runtime) or ():
        hook = caller.name
        (implementation,) = [each for each in caller.get_hookimpls() if each.plugin is runtime]
        _refuse(slot, hook, implementation.function, implementation.opts.get("wrapper", False))
        takes_stream = "stream" in (caller.spec.argnames if caller.spec else ())
        call = manager.subset_hook_caller(hook, others)
        calls[hook] = _single(call, takes_stream)
    return calls


def _single(call: Callable[..., list[Any]], takes_stream: bool) -> Callable[..., Any]:
    def ask(stream: Stream, arguments: Mapping[str, Any]) -> Any:
        answers = call(**arguments, stream=stream) if takes_stream else call(**arguments)
        return answers[0] if answers else None

    return ask


def _refuse(slot: Slot, hook: str, function: Callable[..., Any], wrapper: bool) -> None:
    if slot.role not in ONLY.get(hook, tuple(Role)):
        roles = " or ".join(role.value for role in ONLY[hook])
        raise PluginError(f"{slot.title} answers {hook}, which only {roles} components may")
    if slot.role is Role.ATTACK and hook in CLOSED_TO_ATTACKS:
        raise PluginError(f"{slot.title} answers {hook}, which attacks may not")
    if wrapper:
        raise PluginError(f"{slot.title} wraps {hook}: components answer hooks, they do not wrap each other")
    named = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    if named:
        raise PluginError(
            f"{slot.title}: {hook} takes {named[0]!r} as keyword-only; pluggy would never fill it"
        )

"""The reference of hooks, from the hookspecs and the rules of the facade."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fedsec_core import hookspecs, steps
from fedsec_core.hooks import ClientHooks
from fedsec_core.hooks.members import CLOSED_TO_ATTACKS, FIRST, LAST, ONLY
from fedsec_core.vocabulary import Role
from generator.markdown import attribute_docs, head

SEVERAL = {
    "announce": "all, by label",
    "training_steps": "all, composed method by method",
    "attack_data": "the client's attack",
    "attack_client": "the client's attack",
    "attack_updates": "each attack for its own clients",
    "detect_anomalies": "least trust, any flag",
    "observe_round": "all",
    "evaluate_model": "union, by label",
    "evaluate_run": "union, by label",
}
"""What becomes of several answers, where the hook is neither answered once nor a chain."""


def page() -> str:
    """Return the reference of hooks, in the order of a federation's life."""
    conventions = (inspect.getdoc(hookspecs) or "").partition("\n\n")[2]
    found = [(group, _hooks(group)) for group in hookspecs.GROUPS]
    lines = [
        *head("Hook reference"),
        "Hooks are the moments at which components act. A component answers one by a method of",
        "that name, marked with `fedsec_core.hookimpl`.",
        "",
        conventions,
        "",
        "| hook | answered by | on | several answers |",
        "|---|---|---|---|",
        *(_line(name, hook) for _, hooks in found for name, hook in hooks),
    ]
    for group, hooks in found:
        title = (inspect.getdoc(group) or "").partition("\n")[0].rstrip(".")
        lines += ["", f"## {title}", *(line for name, hook in hooks for line in _section(name, hook))]
    extensions = attribute_docs(steps, "Steps")
    single = " and ".join(f"`{name}`" for name in steps.SINGLE)
    return "\n".join(
        [
            *lines,
            "",
            "## Extensions of a training step",
            "",
            "What an object that `training_steps` answers with may have. Of each of",
            f"{single} a scenario has at most one.",
            "",
            *(f"- `{name}`: {extensions[name]}" for name in steps.METHODS),
        ]
    )


def _hooks(group: Any) -> list[tuple[str, Callable[..., Any]]]:
    return [(name, each) for name, each in vars(group).items() if hasattr(each, "fedsec_spec")]


def _line(name: str, hook: Callable[..., Any]) -> str:
    return f"| [`{name}`](#{name}) | {_answered_by(name)} | {_side(name)} | {_several(name, hook)} |"


def _section(name: str, hook: Callable[..., Any]) -> list[str]:
    lines = [
        "",
        f"### `{name}`",
        "",
        "```python",
        _signature(hook),
        "```",
        "",
        inspect.getdoc(hook) or "",
        "",
    ]
    lines += [f"- Answered by: {_answered_by(name)}.", f"- Called on: {_side(name)}."]
    return [*lines, f"- Order: {order}."] if (order := _order(name)) else lines


def _signature(hook: Callable[..., Any]) -> str:
    signature = inspect.signature(hook)
    arguments = [f"{each.name}: {each.annotation}" for each in signature.parameters.values()]
    start, end = f"def {hook.__name__}(", f") -> {signature.return_annotation}: ..."
    line = f"{start}{', '.join(arguments)}{end}"
    return line if len(line) <= 100 else "\n".join([start, *(f"    {each}," for each in arguments), end])


def _answered_by(name: str) -> str:
    if name in ONLY:
        return " or ".join(role.value for role in ONLY[name])
    return "any component but attacks" if name in CLOSED_TO_ATTACKS else "any component"


def _side(name: str) -> str:
    return "a worker" if hasattr(ClientHooks, name) else "the server"


def _several(name: str, hook: Callable[..., Any]) -> str:
    if name in SEVERAL:
        return SEVERAL[name]
    if name in ONLY:
        return "one"
    if "chain" in (inspect.getdoc(hook) or ""):
        return "chain"
    raise ValueError(f"say in SEVERAL what becomes of several answers to {name}")


def _order(name: str) -> str:
    if name in ONLY:
        return "" if not ONLY[name][0].many else "the order of the file"
    first, last = FIRST.get(name, ()), LAST.get(name, ())
    between = [role for role in Role if role not in (*first, *last)]
    asked = [*first, *between, *last]
    if name in CLOSED_TO_ATTACKS:
        asked.remove(Role.ATTACK)
    return f"{', '.join(role.value for role in asked)}; within a role, the order of the file"

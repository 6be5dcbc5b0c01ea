"""Every hook is documented, held to promises by the conformance kit, and keeps its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedsec_core import hookspecs
from fedsec_core.hooks import ClientHooks, ServerHooks
from fedsec_core.testing.promises import promises

SNAPSHOT = Path(__file__).parent / "hook_signatures.txt"
NO_PROMISE: dict[str, str] = {}
"""Hooks that no promise of the conformance kit is about, each with the reason."""

HOOKS: dict[str, Callable[..., Any]] = {
    name: function
    for module in hookspecs.GROUPS
    for name, function in vars(module).items()
    if hasattr(function, "fedsec_spec")
}


def signature(name: str) -> str:
    return f"{name}{inspect.signature(HOOKS[name])}".replace("'", "")


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_says_when_it_is_called_and_what_none_means(name: str) -> None:
    doc = inspect.getdoc(HOOKS[name]) or ""

    assert doc.splitlines()[0].endswith(".")
    assert "Called " in doc
    answers = inspect.signature(HOOKS[name]).return_annotation
    if "None" in answers and answers != "None":
        assert "None" in doc


@pytest.mark.parametrize("name", HOOKS)
def test_every_argument_and_answer_has_a_type(name: str) -> None:
    described = inspect.signature(HOOKS[name])

    assert described.return_annotation is not inspect.Signature.empty
    assert all(each.annotation is not each.empty for each in described.parameters.values())


def test_every_hook_is_held_to_a_promise_or_has_a_reason() -> None:
    promised = {hook for promise in promises() for hook in promise.hooks}

    assert HOOKS.keys() - promised == NO_PROMISE.keys()
    assert promised <= HOOKS.keys(), "a promise about a hook that does not exist"


@pytest.mark.parametrize("name", HOOKS)
def test_one_side_of_the_facade_calls_the_hook(name: str) -> None:
    sides = [side for side in (ServerHooks, ClientHooks) if name in vars(side)]

    assert len(sides) == 1


def test_signatures_are_those_of_the_snapshot() -> None:
    """Plugins depend on them: a change here is a change of the contract, made on purpose."""
    found = "".join(signature(name) + "\n" for name in HOOKS)

    assert found == SNAPSHOT.read_text(), f"if the change is meant, write it to {SNAPSHOT.name}:\n{found}"

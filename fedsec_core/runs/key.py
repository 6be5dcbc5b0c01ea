"""The key of a run: a hash of everything that can change its result."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from fedsec_core.runs.starting import read_weights, weights_digest, weights_file
from fedsec_core.scenario.model import SHADOW, Scenario
from fedsec_core.scenario.resolve import resolve
from fedsec_core.scenario.structure import contains_path
from fedsec_core.sources import code_of, module_of, requirements, underneath, version_of
from fedsec_core.vocabulary import Role

CORE = "fedsec-core"


def key_of(scenario: Scenario, seed: int, *, twin: bool, data_digest: str) -> str:
    """Return the key of one federation, 32 hexadecimal digits: a hash over its `key_parts`."""
    return key_from(key_parts(scenario, seed, twin=twin, data_digest=data_digest))


def key_from(parts: Mapping[str, str]) -> str:
    """Return the key of the federation that `key_parts` tells of."""
    return _digest(parts)


def key_parts(scenario: Scenario, seed: int, *, twin: bool, data_digest: str) -> dict[str, str]:
    """Return one digest for each thing that can change the result, by name.

    `scenario`: the resolved scenario less its name; `files`: what parameters point to, by content;
    `data`; `device`: the digest class; `versions` of what is installed; `start`: the weights to
    start from, by content; `code NAME` of each distribution that takes part, and of
    editable ones that they require. How the scenario is
    executed is none of them. Raises FedsecError for weights that cannot be read.
    """
    facts: dict[str, Any] = {
        "scenario": _tables(scenario, seed, twin=twin),
        "files": _files(scenario),
        "data": data_digest,
        "device": digest_class(),
        "versions": versions(scenario),
        "start": _start(scenario, seed),
    }
    code = {f"code {name}": code_of(name, modules) for name, modules in _modules(scenario).items()}
    return {name: _digest(fact) for name, fact in {**facts, **code}.items()}


def distributions(scenario: Scenario) -> tuple[str, ...]:
    """Return the distributions that take part, the core first."""
    return (CORE, *sorted({slot.offer.distribution for slot in scenario.everyone}))


def versions(scenario: Scenario) -> dict[str, str]:
    """Return the versions of the distributions that take part and of their installed requirements."""
    found = {"python": platform.python_version()}
    for name in distributions(scenario):
        for each in (name, *requirements(name)):
            if (version := version_of(each)) is not None:
                found[each] = version
    return dict(sorted(found.items()))


def digest_class() -> dict[str, str]:
    """Return what must be equal for two machines to be expected to give the same bits."""
    import torch

    return {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability(), "device": "cpu"}


def _modules(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """Return the top-level modules of each distribution that takes part, or that one of them rests on."""
    found: dict[str, set[str]] = {CORE: {"fedsec_core"}}
    for slot in scenario.everyone:
        found.setdefault(slot.offer.distribution, set()).add(slot.offer.module)
    for name in {each for taking_part in [*found] for each in underneath(taking_part)}:
        found.setdefault(name, {module_of(name)})
    return {name: tuple(sorted(modules)) for name, modules in sorted(found.items())}


def _digest(facts: Any) -> str:
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _tables(scenario: Scenario, seed: int, *, twin: bool) -> dict[str, Any]:
    """Return the resolved scenario without its name and without paths."""
    tables = resolve(scenario, (seed,), twin)
    tables["scenario"].pop("name")
    for slot in scenario.everyone:
        _drop_paths(tables[SHADOW if slot.shadow else slot.role.value], slot.label, type(slot.component))
    tables[Role.MODEL.value].pop("start", None)
    return tables


def _start(scenario: Scenario, seed: int) -> str | None:
    start = scenario.the(Role.MODEL).keys.start
    return None if start is None else weights_digest(read_weights(weights_file(start, seed)))


def _files(scenario: Scenario) -> dict[str, str]:
    found: dict[str, str] = {}
    for slot in scenario.everyone:
        for field in attrs.fields(type(slot.component)):
            value = getattr(slot.component, field.name)
            if isinstance(value, Path) and value.is_file():
                found[f"{slot.label}.{field.name}"] = hashlib.blake2b(value.read_bytes()).hexdigest()
    return found


def _drop_paths(table: Any, label: str, kind: type[Any]) -> None:
    """Take paths out of a resolved table: what lies there counts, not where."""
    tables: list[Mapping[str, Any]] = table if isinstance(table, list) else [table]
    for each in tables:
        if each["as"] == label and isinstance(each, dict):
            for field in attrs.fields(kind):
                if contains_path(field.type):
                    each.pop(field.alias, None)

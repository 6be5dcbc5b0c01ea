"""The registry of known plugins, installed or not; it only ever gives hints and listings."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from attrs import frozen

from fedsec_core.vocabulary import Role


@frozen
class Entry:
    """One plugin of the registry: a paper or a family of methods."""

    distribution: str
    title: str
    source: str
    """What to hand to pip."""
    offers: dict[str, tuple[str, ...]]
    """Names of components, by role."""
    facts: dict[str, Any]
    """Everything the registry says of it: authors, venue, link, scenarios, reproduction."""

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install {self.source}"


@cache
def entries() -> tuple[Entry, ...]:
    """Read the registry that ships with the core."""
    import tomli

    with (Path(__file__).parent / "registry.toml").open("rb") as file:
        tables = tomli.load(file)
    return tuple(
        Entry(
            name,
            facts["title"],
            facts["source"],
            {role: tuple(names) for role, names in facts["offers"].items()},
            facts,
        )
        for name, facts in tables["plugin"].items()
    )


def offering(role: Role, use: str) -> Entry | None:
    """Return the plugin that offers the component `use` of `role`, or None."""
    for entry in entries():
        if use in entry.offers.get(role.value, ()):
            return entry
    return None

"""What is installed and what could be; reads metadata and the registry, imports no plugin."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from fedsec_core import registry
from fedsec_core.catalogue import Catalogue, Offer
from fedsec_core.vocabulary import Role


def installed() -> dict[str, list[dict[str, str]]]:
    """Return the installed components by role."""
    catalogue = Catalogue.installed()
    return {role.value: [_facts(offer) for offer in catalogue.of(role)] for role in Role}


def _facts(offer: Offer) -> dict[str, str]:
    return {"name": offer.name, "distribution": offer.distribution, "version": offer.version}


def installed_lines() -> list[str]:
    """Return the same as lines for a person."""
    lines = []
    for role, found in installed().items():
        lines.append(role)
        lines += [f"  {each['name']:<16} {each['distribution']} {each['version']}" for each in found] or [
            "  (none)"
        ]
    return lines


def available() -> list[dict[str, Any]]:
    """Return the registry: every known plugin, and whether it is installed."""
    present = {offer.distribution for offer in Catalogue.installed().offers}
    return [
        {"distribution": entry.distribution, "installed": entry.distribution in present, **entry.facts}
        for entry in registry.entries()
    ]


def available_lines() -> list[str]:
    """Return the same as lines for a person."""
    lines = []
    present = {offer.distribution for offer in Catalogue.installed().offers}
    for entry in registry.entries():
        state = "installed" if entry.distribution in present else entry.install
        lines.append(f"{entry.distribution}  ({state})")
        lines.append(f"  {entry.title}")
        lines += [f"  {role}: {', '.join(names)}" for role, names in entry.offers.items()]
    return lines


def version_lines() -> list[str]:
    """Return the versions of core, torch and every installed plugin."""
    names = ["fedsec-core", "torch", *sorted({offer.distribution for offer in Catalogue.installed().offers})]
    lines = []
    for name in names:
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} (not installed)")
    return lines

"""What the registry says of the plugins: a page of the reference, a table for the README."""

from __future__ import annotations

from fedsec_core import registry
from generator.markdown import head

STATES = {"reproduced": "Reproduced", "partly": "Reproduced in part", "not": "Not reproduced"}


def page() -> str:
    """Return what the registry says of each plugin."""
    lines = [*head("Plugins of this repository"), "`fedsec plugins --available` lists the same."]
    for entry in registry.entries():
        facts, reproduced = entry.facts, entry.facts["reproduction"]
        lines += ["", f"## {entry.distribution}", ""]
        lines += [
            f"[{entry.title}]({facts['link']}), {facts['authors']}, {facts['venue']} {facts['year']}.",
            "",
        ]
        lines += ["| role | components |", "|---|---|"]
        lines += [
            f"| {role} | {', '.join(f'`{name}`' for name in names)} |" for role, names in entry.offers.items()
        ]
        scenarios = ", ".join(f"`{entry.distribution}:{name}`" for name in facts["scenarios"]) or "none"
        lines += [
            "",
            f"- Scenarios: {scenarios}",
            f"- {STATES[reproduced['state']]}: {reproduced['note']}",
        ]
        lines += [f"- Read more: [{entry.source}](../../{entry.source}/README.md)"]
    return "\n".join(lines)


def brief() -> str:
    """Return the table of plugins for the README."""
    lines = ["| plugin | components |", "|---|---|"]
    for entry in registry.entries():
        offers = "; ".join(
            f"{role}: {', '.join(f'`{name}`' for name in names)}" for role, names in entry.offers.items()
        )
        lines.append(f"| [{entry.distribution}]({entry.source}/README.md) | {offers} |")
    return "\n".join(lines)

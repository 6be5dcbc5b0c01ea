"""The help of every command, from click."""

from __future__ import annotations

import click

from fedsec_core.cli.commands import fedsec
from generator.markdown import head


def page() -> str:
    """Return the help of every command."""
    lines = [
        *head("Command line"),
        "`fedsec` and `python -m fedsec_core` are the same. Progress and messages go to stderr, the table or",
        "the JSON to stdout. Where stderr is no terminal, progress is one plain line a round.",
        "",
        "| exit code | meaning |",
        "|---|---|",
        "| 0 | done; a run that diverged is done too |",
        "| 1 | `--strict`: a claim does not hold, or is undecided |",
        "| 2 | bad input, or the fault of a component, in one line (`fedsec -v ...` shows the traceback) |",
        "| 130 | interrupted; finished rounds are kept |",
        "",
        "`FEDSEC_DATA` names a folder where data files are looked for that are not beside the scenario.",
    ]
    root = click.Context(fedsec, info_name="fedsec", max_content_width=88, terminal_width=88)
    root.help_option_names = list(fedsec.context_settings["help_option_names"])
    lines += _section(root)
    for name, command in fedsec.commands.items():
        lines += _section(click.Context(command, info_name=name, parent=root))
    return "\n".join(lines)


def _section(context: click.Context) -> list[str]:
    return ["", f"## `{context.command_path}`", "", "```text", context.get_help(), "```"]

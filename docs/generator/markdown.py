"""Markdown, and what can be read of the code but not asked at run time."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from types import ModuleType

COMMAND = "python docs/generate.py"
NOTE = f"<!-- Made by `{COMMAND}` from the code. Changes to this file are lost. -->"
PIPE = r"\|"


def head(title: str) -> list[str]:
    """Begin a generated page."""
    return [NOTE, "", f"# {title}", ""]


def table(rows: Sequence[tuple[str, str, str, str, str]]) -> list[str]:
    """Draw rows of name, type, range, default and meaning."""
    lines = ["| key | type | range | default | meaning |", "|---|---|---|---|---|"]
    for name, kind, limits, default, doc in rows:
        shown = {"left out": "-", "required": "**required**"}.get(default, f"`{default}`")
        cells = (f"`{name}`", kind, limits, shown, doc)
        lines.append(f"| {' | '.join(cell.replace('|', PIPE) for cell in cells)} |")
    return lines


def between(text: str, name: str, content: str) -> str:
    """Return `text` with `content` between the markers `name`."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.partition(end)[2]}"


def attribute_docs(module: ModuleType, kind: str) -> dict[str, str]:
    """Return the docstrings behind the attributes of the class `kind`, by name of the attribute."""
    (found,) = [
        node
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef) and node.name == kind
    ]
    docs: dict[str, str] = {}
    for statement, following in zip(found.body, found.body[1:], strict=False):
        target = (
            statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        )
        if isinstance(target, ast.Name) and isinstance(following, ast.Expr):
            docs[target.id] = inspect.cleandoc(ast.literal_eval(following.value)).replace("\n", " ").strip()
    return docs

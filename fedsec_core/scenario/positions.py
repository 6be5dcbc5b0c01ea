"""Which line of a TOML file a key stands on; tomli gives the values but keeps no positions."""

from __future__ import annotations

import re
from collections.abc import Iterator

Path = tuple[str | int, ...]

_KEY = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*([.=\]])""")


def key_lines(text: str) -> dict[Path, int]:
    """Map the path of every table and key of `text`, valid TOML, to its line, counted from 1.

    A key inside an inline table or an array has no line of its own: look up the longest known
    beginning of its path.
    """
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, line in _statements(text):
        stripped = line.lstrip()
        if stripped.startswith("[["):
            table = _latest(_keys(stripped[2:]), counts, new=True)
        elif stripped.startswith("["):
            table = _latest(_keys(stripped[1:]), counts, new=False)
        else:
            path = (*table, *_keys(stripped))
            for length in range(len(table) + 1, len(path) + 1):
                lines.setdefault(path[:length], number)
            continue
        for length in range(1, len(table) + 1):
            lines.setdefault(table[:length], number)
    return lines


def _latest(keys: Path, counts: dict[Path, int], *, new: bool) -> Path:
    """Put the index of the current element behind every array of tables on the way."""
    path: Path = ()
    for position, key in enumerate(keys):
        path = (*path, key)
        if new and position == len(keys) - 1:
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path = (*path, counts[path] - 1)
    return path


def _keys(line: str) -> Path:
    keys: list[str | int] = []
    position = 0
    while found := _KEY.match(line, position):
        keys.append(found[1].strip("\"'"))
        position = found.end()
        if found[2] != ".":
            break
    return tuple(keys)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Give the lines on which a header or a key begins, skipping the rest of values of several lines."""
    depth, quote = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not depth and not quote and line.strip() and not line.lstrip().startswith("#"):
            yield number, line
            header = line.lstrip().startswith("[")
            if header:
                continue
        depth, quote = _scan(line, depth, quote)


def _scan(line: str, depth: int, quote: str) -> tuple[int, str]:
    """Return the depth of open brackets and the open quote of several lines at the end of `line`."""
    position = 0
    while position < len(line):
        if quote:
            if quote[0] == '"' and line[position] == "\\":
                position += 2
                continue
            if line.startswith(quote, position):
                position += len(quote)
                quote = ""
                continue
        elif line[position] in "\"'":
            mark = line[position]
            quote = mark * 3 if line.startswith(mark * 3, position) else mark
            position += len(quote)
            continue
        elif line[position] == "#":
            break
        else:
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(line[position], 0)
        position += 1
    return depth, quote if len(quote) == 3 else ""

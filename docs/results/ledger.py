"""A file of results: one line of JSON for each finished federation, appended and never changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def read(file: Path) -> list[Line]:
    """Return the lines of `file`; one that was cut off by a kill is left out, and taken off the file."""
    if not file.exists():
        return []
    text = file.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        os.truncate(file, len(whole))
    return [json.loads(line) for line in whole.splitlines()]


def append(file: Path, line: Line) -> None:
    """Add a line, and have it on the disk when this returns."""
    with file.open("ab") as opened:
        opened.write((json.dumps(line) + "\n").encode())
        opened.flush()
        os.fsync(opened.fileno())

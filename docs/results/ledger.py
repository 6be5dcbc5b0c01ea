"""A file of results: one line of JSON for each finished federation, appended and never changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def read(file: Path) -> list[Line]:
    """Return the lines of `file`; one that was cut off by a kill, or is being written, is left out."""
    if not file.exists():
        return []
    return [json.loads(line) for line in _whole(file.read_bytes()).splitlines()]


def append(file: Path, line: Line) -> None:
    """Add a line in place of one that was cut off, and have it on the disk when this returns."""
    with file.open("ab") as opened:
        os.truncate(file, len(_whole(file.read_bytes())))
        opened.write((json.dumps(line) + "\n").encode())
        opened.flush()
        os.fsync(opened.fileno())


def _whole(text: bytes) -> bytes:
    return text[: text.rfind(b"\n") + 1]

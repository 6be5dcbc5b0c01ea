"""Memory of a whole process tree from outside: PSS, in which shared pages count once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

PROC = Path("/proc")
INTERVAL = 0.05
"""Seconds between two samples."""


def tree(root: int) -> list[int]:
    """Return the process `root` and all its descendants."""
    children: dict[int, list[int]] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                # the name, in brackets, may hold anything
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(folder.name))
    found, left = [], [root]
    while left:
        found.append(left.pop())
        left.extend(children.get(found[-1], ()))
    return found


def of(process: int) -> int:
    """Return the PSS of a process in bytes, 0 if it has ended."""
    try:
        text = (PROC / str(process) / "smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Pss:")), 0)


def watch(root: int, running: Callable[[], bool]) -> list[tuple[float, int]]:
    """Sample the tree below `root` while `running`; return wall-clock times (`time.time`) and bytes."""
    samples = []
    while running():
        began = time.time()
        samples.append((began, sum(map(of, tree(root)))))
        time.sleep(max(0.0, began + INTERVAL - time.time()))
    return samples

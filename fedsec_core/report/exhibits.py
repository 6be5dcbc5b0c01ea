"""What components found besides metrics: their tables, and pictures as part of the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from fedsec_core.runs.reading import FederationResult

ENLARGED = 900
"""Pictures are enlarged by a whole factor to at most this width, in CSS pixels."""


@frozen
class Shown:
    """A picture in the page, and the variants in which it was the same."""

    name: str
    caption: str
    when: str
    data: str
    """Its bytes as a data URI."""
    width: int
    """In CSS pixels."""
    variants: tuple[str, ...]


@frozen
class Exhibit:
    """A table as a component gave it."""

    name: str
    caption: str
    when: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def by_client(self) -> bool:
        """True if it says what happened to which client in which round."""
        places = [self.columns.index(name) for name in ("round", "client") if name in self.columns]
        return len(places) == 2 and all(isinstance(row[place], int) for row in self.rows for place in places)

    @property
    def shares(self) -> tuple[tuple[float, ...], ...] | None:
        """Of a square table of amounts by name: each row's shares, for shading; None of any other."""
        names = tuple(row[0] for row in self.rows)
        cells = [row[1:] for row in self.rows]
        amounts = all(isinstance(cell, int | float) and cell >= 0 for row in cells for cell in row)
        if not names or names != self.columns[1:] or not amounts:
            return None
        return tuple(tuple(cell / (sum(row) or 1) for cell in row) for row in cells)


def tables(run: FederationResult) -> list[Exhibit]:
    """Return each table of a federation as it was given last."""
    last: dict[str, Exhibit] = {}
    for when, event in _events(run):
        for name, table in event["tables"].items():
            columns = table["columns"]
            rows = tuple(zip(*columns.values(), strict=True))
            last[name] = Exhibit(name, table["caption"], when, tuple(columns), rows)
    return list(last.values())


def pictures(runs: Sequence[FederationResult]) -> list[Shown]:
    """Return each picture as it was given last; equal ones of several variants once."""
    found: dict[tuple[str, bytes], tuple[str, str, list[str]]] = {}
    for run in runs:
        for name, (when, picture) in _last_pictures(run).items():
            file = run.folder / picture["file"]
            if file.is_file():
                same = found.setdefault((name, file.read_bytes()), (picture["caption"], when, []))
                same[2].append(run.variant)
    return [
        Shown(name, caption, when, _uri(content), _width(content), tuple(variants))
        for (name, content), (caption, when, variants) in found.items()
    ]


def _last_pictures(run: FederationResult) -> dict[str, tuple[str, Mapping[str, str]]]:
    return {picture["name"]: (when, picture) for when, event in _events(run) for picture in event["pictures"]}


def _events(run: FederationResult) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for event in run.rounds:
        yield f"round {event['round']}", event
    if run.end is not None:
        yield "finished run", run.end


def _uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _width(content: bytes) -> int:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        return image.width * max(1, min(8, ENLARGED // image.width))

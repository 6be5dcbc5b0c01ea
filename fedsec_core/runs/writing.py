"""The folder of one federation, written as it is played; what is written survives a crash."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field

from fedsec_core.errors import FedsecError
from fedsec_core.findings import Picture, Table
from fedsec_core.records import EndRecord, RoundRecord

FACTS = "run.json"
EVENTS = "metrics.jsonl"
WEIGHTS = "final.safetensors"
IMAGES = "images"


@define(eq=False)
class RunFolder:
    """One federation on disk: `run.json`, `metrics.jsonl`, `images/`, `final.safetensors`.

    `facts` are what is known before the first round; `run.json` is replaced as a whole.
    """

    folder: Path
    facts: dict[str, Any]
    _events: Any = field(init=False, default=None)

    def open(self) -> None:
        """Make the folder; raises FedsecError if that is not possible."""
        try:
            self.folder.mkdir(parents=True)
            self._events = (self.folder / EVENTS).open("w", encoding="utf-8")
            self.describe(status="running")
        except OSError as error:
            raise FedsecError(f"{self.folder}: cannot write results: {error.strerror}") from error

    def describe(self, **facts: Any) -> None:
        """Add to the facts and write them."""
        self.facts.update(facts)
        replace(self.folder / FACTS, json.dumps(self.facts, indent=1) + "\n")

    def round(self, record: RoundRecord) -> None:
        """Commit a finished round."""
        event: dict[str, Any] = {
            "event": "round",
            "round": record.number,
            "cohort": list(record.cohort),
            "attacking": list(record.attacking),
            "metrics": dict(record.metrics),
            "weights": list(record.weights),
            "verdicts": {
                label: {
                    "trust": verdict.trust.tolist(),
                    "flagged": verdict.flagged.tolist(),
                    "score": _finite(verdict.score.tolist()),
                }
                for label, verdict in record.verdicts.items()
            },
            "non_finite": list(record.non_finite),
            "dry_runs": dict(record.dry_runs),
            "notes": list(record.notes),
            "tables": _tables(record.tables),
            "pictures": self._pictures(f"round-{record.number:04d}", record.pictures),
            "digests": dict(record.digests),
            "seconds": round(record.seconds, 4),
        }
        if record.diverged:
            event["diverged"] = record.diverged
        self._write(event)

    def end(self, record: EndRecord) -> None:
        """Commit what was measured on the finished run."""
        self._write(
            {
                "event": "end",
                "status": record.status,
                "metrics": dict(record.metrics),
                "tables": _tables(record.tables),
                "pictures": self._pictures("end", record.pictures),
                "digest": record.digest,
            }
        )
        self.describe(status=record.status, digest=record.digest)

    def weights(self, tensors: Mapping[str, Any]) -> None:
        """Write the final weights, by the names of the module's state dict."""
        from safetensors.torch import save_file

        unfinished = self.folder / (WEIGHTS + ".unfinished")
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, unfinished)
        unfinished.replace(self.folder / WEIGHTS)

    def close(self) -> None:
        """Close the stream of events."""
        if self._events is not None:
            self._events.close()

    def _write(self, event: Mapping[str, Any]) -> None:
        try:
            self._events.write(json.dumps(event, allow_nan=False) + "\n")
            self._events.flush()
            os.fsync(self._events.fileno())
        except OSError as error:
            raise FedsecError(f"{self.folder / EVENTS}: cannot write: {error.strerror}") from error

    def _pictures(self, when: str, pictures: Mapping[str, Picture]) -> list[dict[str, str]]:
        written = []
        for name, picture in pictures.items():
            file = f"{IMAGES}/{when}.{name}.png"
            (self.folder / IMAGES).mkdir(exist_ok=True)
            _save(self.folder / file, picture.pixels)
            written.append({"name": name, "file": file, "caption": picture.caption})
        return written


def replace(file: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new, never half of it."""
    unfinished = file.with_name(file.name + ".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)


def _tables(tables: Mapping[str, Table]) -> dict[str, Any]:
    return {
        name: {
            "caption": table.caption,
            "columns": {key: _plain(column) for key, column in table.columns.items()},
        }
        for name, table in tables.items()
    }


def _plain(column: Any) -> list[Any]:
    values = column.tolist() if hasattr(column, "tolist") else list(column)
    return _finite([value.item() if isinstance(value, np.generic) else value for value in values])


def _finite(values: list[Any]) -> list[Any]:
    return [None if isinstance(value, float) and not np.isfinite(value) else value for value in values]


def _save(file: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    if pixels.dtype != np.uint8:
        pixels = (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(file)

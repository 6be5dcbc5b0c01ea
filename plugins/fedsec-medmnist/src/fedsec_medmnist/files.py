"""Official files on disk: where they are looked for, how they are checked and how they are fetched."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from attrs import define

from fedsec_core.errors import DataError
from fedsec_medmnist.index import OfficialFile

CHUNK = 1 << 20
"""Bytes per read of a download."""

TIMEOUT = 30.0
"""Seconds without a byte after which a download is given up."""


def folders(path: Path | None) -> tuple[Path, ...]:
    """Return where files are looked for, in order: `path`, `$FEDSEC_DATA`, medmnist's own folder."""
    named = os.environ.get("FEDSEC_DATA")
    places = [path, Path(named).expanduser() if named else None, Path("~/.medmnist").expanduser()]
    return tuple(dict.fromkeys(place for place in places if place is not None))


def locate(file: OfficialFile, places: Sequence[Path], *, download: bool) -> Path:
    """Return where the official `file` is: the first of `places` that has it, else downloaded into the first.

    Raises DataError if there is none, if it cannot be fetched, and if its MD5 is not the official one.
    """
    for place in places:
        if os.path.isfile(place):
            raise DataError(f"{place} is a file; name the folder that holds {file.name}")
        if os.path.isfile(place / file.name):
            _require_official(place / file.name, file)
            return place / file.name
    if download:
        return fetch(file, places[0])
    also = f" (also looked in {', '.join(map(str, places[1:]))})" if len(places) > 1 else ""
    raise DataError(
        f"{file.name} is missing: put it into {places[0]}{also}, from {file.url}, "
        "or set download = true in [data] to have it fetched"
    )


def fetch(file: OfficialFile, folder: Path) -> Path:
    """Download `file` into `folder`, checked before it gets its name; raises DataError."""
    partial = folder / f".{file.name}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target = partial.open("wb")
    except OSError as error:
        raise DataError(
            f"cannot write {file.name} into {folder} ({error.strerror}); name another folder with path"
        ) from error
    try:
        with target:
            _download(file, folder, target)
        _require_official(partial, file)
        return partial.replace(folder / file.name)
    finally:
        partial.unlink(missing_ok=True)


def _download(file: OfficialFile, folder: Path, target: BinaryIO) -> None:
    try:
        with urllib.request.urlopen(file.url, timeout=TIMEOUT) as reply:
            progress = Progress(file.name, int(reply.headers.get("Content-Length") or 0))
            while chunk := reply.read(CHUNK):
                target.write(chunk)
                progress.advance(len(chunk))
            progress.end()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DataError(
            f"could not download {file.url} ({error}); put {file.name} into {folder} yourself"
        ) from error


def _require_official(path: Path, file: OfficialFile) -> None:
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if found != file.md5:
        raise DataError(
            f"{path} is not the official {file.name} (MD5 {found}, official {file.md5}); "
            'use = "npz" takes other files'
        )


@define
class Progress:
    """How far a download is, on stderr: one line that is rewritten, or plain lines if that is no terminal."""

    name: str
    total: int
    """Bytes to come; 0 if the server does not say."""
    done: int = 0

    def __attrs_post_init__(self) -> None:
        if not sys.stderr.isatty():
            print(f"downloading {self.name}, {self.total / 1e6:.1f} MB", file=sys.stderr)

    def advance(self, count: int) -> None:
        """Count `count` further bytes."""
        self.done += count
        if sys.stderr.isatty():
            share = f" of {self.total / 1e6:.1f}" if self.total else ""
            print(f"\rdownloading {self.name}, {self.done / 1e6:.1f}{share} MB", end="", file=sys.stderr)

    def end(self) -> None:
        """Leave the line."""
        print("" if sys.stderr.isatty() else f"downloaded {self.name}", file=sys.stderr)

"""A disk that is full: what is said, what can still be read, and that the run goes on later."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import safetensors.torch
import tomli_w
import torch
from attrs import define, field

import fedsec_core
from fedsec_core.errors import FedsecError
from fedsec_core.runs.reading import FederationResult
from fedsec_test_components.comparing import fingerprint

NO_ROOM = "No space left on device"
GO_ON = "; finished rounds are kept, and fedsec resume goes on from them"


@pytest.fixture
def whole(tmp_path: Path) -> Callable[[dict[str, Any]], FederationResult]:
    """Play tables in process, without an interruption."""
    return lambda tables: fedsec_core.run(tables, out=tmp_path / "whole", report=False).of()


@define
class Disk:
    """A disk that is full from some write on, until there is room again."""

    file: str
    """The name that the first write that fails ends with."""
    spared: int
    """How many writes to it still succeed."""
    full: bool = field(default=False, init=False)

    def check(self, file: Path | str) -> None:
        """Raise if there is no room for `file`."""
        if not self.full and str(file).endswith(self.file):
            self.full = self.spared == 0
            self.spared -= 1
        if self.full:
            raise OSError(errno.ENOSPC, NO_ROOM, str(file))


@contextmanager
def filling(disk: Disk) -> Iterator[None]:
    """Have everything that writes results meet the limits of `disk`."""
    with pytest.MonkeyPatch.context() as patch:
        write, text, picture = os.write, Path.write_text, PIL.Image.Image.save
        save, weights = torch.save, safetensors.torch.save_file

        def written(number: int, data: bytes) -> int:
            place = os.readlink(f"/proc/self/fd/{number}")
            if place.endswith("metrics.jsonl"):
                try:
                    disk.check(place)
                except OSError:
                    # a disk that runs full takes a part first
                    if len(data) > 20:
                        return write(number, data[: len(data) // 2])
                    raise
            return write(number, data)

        def by_torch(value: Any, file: Path) -> None:
            try:
                disk.check(file)
            except OSError as error:
                raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos") from error
            save(value, file)

        def by_safetensors(tensors: Any, file: Path) -> None:
            try:
                disk.check(file)
            except OSError as error:
                raise safetensors.SafetensorError(f"I/O error: {NO_ROOM} (os error 28)") from error
            weights(tensors, file)

        room = os.statvfs
        patch.setattr(os, "write", written)
        patch.setattr(Path, "write_text", lambda f, t, **k: (disk.check(f), text(f, t, **k))[1])
        patch.setattr(PIL.Image.Image, "save", lambda i, f, *a: (disk.check(f), picture(i, f, *a))[1])
        patch.setattr(torch, "save", by_torch)
        patch.setattr(safetensors.torch, "save_file", by_safetensors)
        patch.setattr(os, "statvfs", lambda path: Full() if disk.full else room(path))
        yield


class Full:
    f_bavail = 0


@pytest.mark.parametrize(
    ("ending", "spared", "named", "rounds", "why"),
    [
        ("metrics.jsonl", 2, "metrics.jsonl", 2, NO_ROOM + GO_ON),
        ("round-2.pt.unfinished", 0, "checkpoint/round-2.pt", 3, NO_ROOM + GO_ON),
        ("-2.pt.unfinished", 1, r"checkpoint/clients/\d-2.pt", 3, NO_ROOM + GO_ON),
        ("round-0002.witness.grey.png", 0, "images/round-0002.witness.grey.png", 2, NO_ROOM + GO_ON),
        (
            "final.safetensors.unfinished",
            0,
            "final.safetensors",
            5,
            rf"I/O error: {NO_ROOM} \(os error 28\)" + GO_ON,
        ),
        ("run.json.unfinished", 1, "run.json", 5, NO_ROOM + GO_ON),
    ],
    ids=["metrics", "checkpoint", "client", "image", "weights", "facts"],
)
def test_a_full_disk_is_reported_and_the_run_goes_on_when_there_is_room(
    remembering: dict[str, Any],
    whole: Callable[..., FederationResult],
    tmp_path: Path,
    ending: str,
    spared: int,
    named: str,
    rounds: int,
    why: str,
) -> None:
    disk = Disk(ending, spared)
    with filling(disk), pytest.raises(FedsecError, match=f"/main/1/{named}: cannot write: {why}$"):
        fedsec_core.run(remembering, out=tmp_path / "full", report=False)
    assert disk.full
    (folder,) = (tmp_path / "full").glob("*-*")
    there = fedsec_core.open_run(folder).of()
    assert [event["round"] for event in there.rounds] == list(range(rounds))
    assert there.status == "running"
    assert not list(folder.rglob("*.unfinished"))
    assert fingerprint(fedsec_core.resume(folder).of()) == fingerprint(whole(remembering))


SMALL = """
mount -t tmpfs -o size=200k tmpfs "$1" || exit 77
"$2" -m fedsec_core run scenario.toml --out "$1/runs" --quiet --no-report; echo "ended $?"
"$2" -c 'import sys, fedsec_core; print(len(fedsec_core.open_run(sys.argv[1]).of().rounds))' "$1"/runs/*-*
mount -o remount,size=50m "$1"
"$2" -m fedsec_core resume "$1"/runs/*-* --quiet > /dev/null; echo "ended $?"
cp -r "$1/runs" kept
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="there is no unshare(1)")
def test_a_disk_that_is_really_full_is_reported_and_the_run_goes_on(
    remembering: dict[str, Any], whole: Callable[..., FederationResult], tmp_path: Path
) -> None:
    remembering["model"]["hidden"] = 64
    (tmp_path / "scenario.toml").write_text(tomli_w.dumps(remembering))
    small = tmp_path / "small"
    small.mkdir()
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        SMALL,
        "sh",
        small,
        sys.executable,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("a file system cannot be mounted here")
    assert f": cannot write: {NO_ROOM}" in done.stderr
    first, there, second = done.stdout.splitlines()
    assert (first, second) == ("ended 2", "ended 0")
    assert 0 < int(there) < 5
    (facts,) = (tmp_path / "kept").glob("*/main/1/run.json")
    assert json.loads(facts.read_text())["digest"] == whole(remembering).facts["digest"]

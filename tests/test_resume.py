"""`fedsec resume`: whatever ended a run, it goes on from its last checkpoint to the same bits."""

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
from random import Random
from typing import Any

import PIL.Image
import pytest
import safetensors.torch
import tomli_w
import torch
from attrs import define, field

import fedsec_core
from fedsec_core.errors import FedsecError
from fedsec_core.execution.launching import Nursery
from fedsec_core.records import RoundRecord
from fedsec_core.runs import key as keys
from fedsec_core.runs.plan import Plan, Silent
from fedsec_core.runs.reading import FederationResult
from fedsec_test_components import crashing
from fedsec_test_components.crashing import Crashing, Moment

NO_ROOM = "No space left on device"
GO_ON = "; finished rounds are kept, and fedsec resume goes on from them"


class Stopping(Silent):
    """Interrupts as soon as a round is written down, before its checkpoint; notes what was played."""

    def __init__(self, after: int = 99, place: str = "main/1") -> None:
        self.after, self.place = after, place
        self.begun = ""
        self.played: list[int] = []

    def begin(self, plan: Plan, index: int, count: int) -> None:
        self.begun = plan.place

    def round(self, record: RoundRecord) -> None:
        self.played.append(record.number)
        if (self.begun, record.number) == (self.place, self.after):
            raise KeyboardInterrupt


@pytest.fixture
def stop(tmp_path: Path, nursery: Nursery) -> Callable[..., Path]:
    """Play tables until a round is written down and return the run folder."""

    def stopped(tables: dict[str, Any], after: int, *, place: str = "main/1", workers: int = 1) -> Path:
        out = tmp_path / "stopped"
        watcher = Stopping(after, place)
        with pytest.raises(KeyboardInterrupt):
            fedsec_core.run(tables, out=out, report=False, watcher=watcher, workers=workers, nursery=nursery)
        (folder,) = out.glob("*-*")
        return folder

    return stopped


@pytest.fixture
def whole(tmp_path: Path) -> Callable[[dict[str, Any]], FederationResult]:
    """Play tables in process, without an interruption."""
    return lambda tables: fedsec_core.run(tables, out=tmp_path / "whole", report=False).of()


def fingerprint(run: FederationResult) -> tuple[Any, ...]:
    """Return all that is the same if two runs are: the digests, the figures, pictures and final weights."""
    events = [
        {key: event[key] for key in ("round", "cohort", "metrics", "tables", "pictures", "digests")}
        for event in run.rounds
    ]
    pictures = {file.name: file.read_bytes() for file in (run.folder / "images").iterdir()}
    return run.facts["digest"], events, run.end, pictures, (run.folder / "final.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("after", "every", "before", "now", "goes_on_after"),
    [(0, 1, 1, 2, None), (1, 3, 2, 1, 0), (3, 1, 2, 4, 2), (4, 3, 1, 1, 3), (3, 2, 2, 2, 2)],
)
def test_an_interrupted_run_goes_on_to_the_same_bits(
    stop: Callable[..., Path],
    whole: Callable[..., FederationResult],
    remembering: dict[str, Any],
    nursery: Nursery,
    after: int,
    every: int,
    before: int,
    now: int,
    goes_on_after: int | None,
) -> None:
    remembering["execute"] = {"checkpoint_every": every}
    folder = stop(remembering, after, workers=before)
    interrupted = fedsec_core.open_run(folder).of()
    assert (interrupted.status, interrupted.facts["why"]) == ("interrupted", "interrupted by the user")
    assert [event["round"] for event in interrupted.rounds] == list(range(after + 1))
    watcher = Stopping()
    resumed = fedsec_core.resume(folder, workers=now, nursery=nursery, watcher=watcher).of()
    # before the first checkpoint there is nothing to go on from: it begins anew
    assert resumed.facts.get("resumed_after") == (None if goes_on_after is None else [goes_on_after])
    assert watcher.played == list(range(0 if goes_on_after is None else goes_on_after + 1, 5))
    assert resumed.status == "done"
    assert "why" not in resumed.facts
    assert not (resumed.folder / "checkpoint").exists()
    assert fingerprint(resumed) == fingerprint(whole(remembering))


def test_a_run_may_be_interrupted_again_and_again(
    stop: Callable[..., Path], whole: Callable[..., FederationResult], remembering: dict[str, Any]
) -> None:
    folder = stop(remembering, 1)
    for after in (2, 3, 4):
        with pytest.raises(KeyboardInterrupt):
            fedsec_core.resume(folder, watcher=Stopping(after))
    resumed = fedsec_core.resume(folder).of()
    assert resumed.facts["resumed_after"] == [0, 1, 2, 3]
    assert fingerprint(resumed) == fingerprint(whole(remembering))


def test_memory_of_private_parts_comes_back_where_only_evaluation_asks_for_it(
    stop: Callable[..., Path],
    whole: Callable[..., FederationResult],
    remembering: dict[str, Any],
    nursery: Nursery,
) -> None:
    remembering["train"]["shared"] = ["body"]
    remembering["evaluate"] = [{"use": "visitor", "shared": False}]
    folder = stop(remembering, 4)
    resumed = fedsec_core.resume(folder, workers=2, nursery=nursery).of()
    alone = whole(remembering)
    assert resumed.facts["digest"] == alone.facts["digest"]
    assert resumed.rounds[-1]["metrics"] == alone.rounds[-1]["metrics"]


def test_an_attack_that_may_know_past_models_finds_them_again(
    stop: Callable[..., Path], whole: Callable[..., FederationResult], remembering: dict[str, Any]
) -> None:
    remembering["attack"][0] |= {"past": True, "knows": ["own_data", "own_updates", "past_models"]}
    folder = stop(remembering, 3)
    past = sorted(file.name for file in (folder / "main" / "1" / "checkpoint" / "past").iterdir())
    assert past == ["0.pt", "1.pt"]
    assert fingerprint(fedsec_core.resume(folder).of()) == fingerprint(whole(remembering))


def test_finished_federations_stay_and_the_others_are_played(
    stop: Callable[..., Path], tables: dict[str, Any], puppet: dict[str, Any], tmp_path: Path
) -> None:
    tables["attack"] = [puppet]
    tables["scenario"]["twin"] = True
    tables["variant"] = [{"as": "slow", "set": {"train.lr": 0.01}}]
    folder = stop(tables, 2, place="main.twin/1")
    first = (folder / "main" / "1" / "metrics.jsonl").read_bytes()
    resumed = fedsec_core.resume(folder)
    assert [(each.variant, each.twin, each.status) for each in resumed.federations] == [
        ("main", False, "done"),
        ("main", True, "done"),
        ("slow", False, "done"),
        ("slow", True, "done"),
    ]
    assert (folder / "main" / "1" / "metrics.jsonl").read_bytes() == first
    assert resumed.of(twin=True).facts["resumed_after"] == [1]
    alone = fedsec_core.run(tables, out=tmp_path / "alone", report=False)
    assert [each.facts["digest"] for each in resumed.federations] == [
        each.facts["digest"] for each in alone.federations
    ]


def test_the_folder_of_one_federation_may_be_named(
    stop: Callable[..., Path], tables: dict[str, Any], fedsec: Callable[..., Any]
) -> None:
    tables["scenario"]["seed"] = [1, 2]
    folder = stop(tables, 2)
    assert fedsec("resume", folder / "main" / "1", "--quiet").code == 0
    opened = fedsec_core.open_run(folder)
    assert [(each.seed, each.status) for each in opened.federations] == [(1, "done")]
    assert fedsec("resume", folder, "--quiet").code == 0
    assert [each.seed for each in fedsec_core.open_run(folder).federations] == [1, 2]


def test_inside_the_folder_a_dot_is_enough(
    stop: Callable[..., Path],
    tables: dict[str, Any],
    fedsec: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables["protect"] = [{"use": "herald"}]
    folder = stop(tables, 2)
    monkeypatch.chdir(folder)
    assert fedsec("resume", ".", "--quiet").code == 0
    assert fedsec_core.open_run(folder).of().status == "done"
    assert not (folder / ".reference").exists()


def test_a_finished_run_is_left_as_it_is(tables: dict[str, Any], tmp_path: Path) -> None:
    folder = fedsec_core.run(tables, out=tmp_path, report=False).folder
    # as if it had been killed between its last line and the removal of the checkpoint
    (folder / "main" / "1" / "checkpoint").mkdir()
    before = (folder / "main" / "1" / "run.json").read_bytes()
    watcher = Stopping()
    fedsec_core.resume(folder, watcher=watcher)
    assert watcher.played == []
    assert (folder / "main" / "1" / "run.json").read_bytes() == before
    assert not (folder / "main" / "1" / "checkpoint").exists()


def test_something_else_than_a_run_folder_is_refused(fedsec: Callable[..., Any], tmp_path: Path) -> None:
    ran = fedsec("resume", tmp_path)
    said = f"{tmp_path}: is not a run folder: it holds no scenario.toml\n"
    assert (ran.code, ran.err) == (2, said)


@pytest.mark.parametrize("cut", [1, 40])
def test_an_unfinished_last_line_is_cut_off(
    stop: Callable[..., Path],
    whole: Callable[..., FederationResult],
    remembering: dict[str, Any],
    cut: int,
) -> None:
    remembering["execute"] = {"checkpoint_every": 2}
    folder = stop(remembering, 3)
    events = folder / "main" / "1" / "metrics.jsonl"
    events.write_bytes(events.read_bytes()[:-cut])
    assert len(fedsec_core.open_run(folder).of().rounds) == 3
    resumed = fedsec_core.resume(folder).of()
    assert [event["round"] for event in resumed.rounds] == [0, 1, 2, 3, 4]
    assert fingerprint(resumed) == fingerprint(whole(remembering))


def test_code_that_changed_since_is_refused_by_name(
    stop: Callable[..., Path],
    remembering: dict[str, Any],
    fedsec: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = stop(remembering, 2)
    code = keys.code_of
    monkeypatch.setattr(
        keys, "code_of", lambda name, modules: "new" if name == "fedsec-basics" else code(name, modules)
    )
    ran = fedsec("resume", folder, "--quiet")
    what = "code fedsec-basics changed since it was begun; run the scenario anew"
    assert (ran.code, ran.err) == (2, f"{folder}/main/1: cannot go on: {what}\n")
    assert [event["round"] for event in fedsec_core.open_run(folder).of().rounds] == [0, 1, 2]


def test_data_and_scenario_that_changed_since_are_refused_by_name(
    stop: Callable[..., Path], remembering: dict[str, Any], fedsec: Callable[..., Any]
) -> None:
    folder = stop(remembering, 2)
    file = folder / "scenario.toml"
    file.write_text(file.read_text().replace("noise = 0.2", "noise = 0.3"))
    ran = fedsec("resume", folder, "--quiet")
    what = "data, scenario changed since it was begun; run the scenario anew"
    assert (ran.code, ran.err) == (2, f"{folder}/main/1: cannot go on: {what}\n")


def test_a_folder_that_another_process_plays_is_refused(
    remembering: dict[str, Any], fedsec: Callable[..., Any], tmp_path: Path
) -> None:
    remembering["train"]["dawdle"] = 0.5
    remembering["scenario"]["rounds"] = 50
    (tmp_path / "scenario.toml").write_text(tomli_w.dumps(remembering))
    playing = Crashing.run(tmp_path, tmp_path / "scenario.toml")
    crashing.until(lambda: crashing.recorded(tmp_path) >= 0)
    folder = crashing.run_folder(tmp_path)
    ran = fedsec("resume", folder, "--quiet")
    said = f"{folder}: is being played by process {playing.process.pid}\n"
    assert (ran.code, ran.err) == (2, said)
    assert playing.process.poll() is None
    playing.kill()
    # the lock went with the process, though its file is still there
    assert (folder / "lock").exists()
    with pytest.raises(KeyboardInterrupt):
        fedsec_core.resume(folder, watcher=Stopping(2))
    assert not (folder / "lock").exists()


def test_killed_at_random_moments_it_loses_no_round_and_leaves_nothing_behind(
    whole: Callable[..., FederationResult], remembering: dict[str, Any], tmp_path: Path
) -> None:
    remembering["scenario"]["rounds"] = 12
    digest = whole(remembering).facts["digest"]
    remembering["train"]["dawdle"] = 0.2
    (tmp_path / "scenario.toml").write_text(tomli_w.dumps(remembering))
    random = Random(4)
    run, expected = Crashing.run(tmp_path, tmp_path / "scenario.toml"), list[int]()
    # later and later, so that every start gets somewhere before it is killed
    for first, victim in ((0, "run"), (2, "worker"), (4, "run"), (6, "worker"), (8, "run")):
        assert run.await_moment(Moment.draw(random, [first, first + 1], 0.0, 0.3))
        if victim == "worker":
            assert run.kill_worker(random)
            continue
        run.kill()
        run.seconds_until_gone()
        assert run.left_behind() == []
        written, kept = crashing.events(tmp_path), crashing.checkpoint(tmp_path)
        assert crashing.recorded(tmp_path) - kept in (0, 1)
        expected.append(kept)
        run = Crashing.resume(tmp_path)
        crashing.until(lambda: crashing.facts(tmp_path).get("resumed_after") == expected)
        assert crashing.events(tmp_path)[: kept + 1] == written[: kept + 1]
    assert run.wait() == 0
    run.seconds_until_gone()
    facts = crashing.facts(tmp_path)
    assert (facts["status"], facts["digest"], facts["resumed_after"]) == ("done", digest, expected)
    notes = [note for event in crashing.events(tmp_path) for note in event.get("notes", ())]
    assert len(notes) == 2
    assert all("was killed by signal 9 (SIGKILL, perhaps out of memory) while " in note for note in notes)


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
        ("round-2.pt.unfinished", 0, "checkpoint/round-2.pt", 3, NO_ROOM),
        ("-2.pt.unfinished", 1, r"checkpoint/clients/\d-2.pt", 3, NO_ROOM),
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
"$2" -m fedsec_core run scenario.toml --out "$1/runs" --workers 2 --quiet --no-report; echo "ended $?"
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

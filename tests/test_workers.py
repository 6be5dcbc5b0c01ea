"""Workers in processes: the same bits as in process, the same errors, and what happens when one dies."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from safetensors.torch import save_file

import fedsec_core
from fedsec_core.cli import main
from fedsec_core.errors import FedsecError, WorkerDied
from fedsec_core.execution.launching import Nursery
from fedsec_core.records import RoundRecord
from fedsec_core.runs.plan import Silent
from fedsec_core.runs.reading import FederationResult
from fedsec_test_components.comparing import fingerprint
from fedsec_test_components.crashing import Crashing, facts, recorded, until

KILLED = r"worker [12] \(process \d+\) was killed by signal 9 \(SIGKILL, perhaps out of memory\)"


@pytest.fixture
def play(tmp_path: Path, nursery: Nursery) -> Callable[..., FederationResult]:
    """Run tables and return the one federation; with `workers` > 1 in processes of the shared nursery."""

    def played(tables: dict[str, Any], workers: int = 1, **options: Any) -> FederationResult:
        return fedsec_core.run(
            tables, out=tmp_path, workers=workers, report=False, nursery=nursery, **options
        ).of()

    return played


def children(process: int) -> list[int]:
    """Return the living processes whose parent is `process`."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = file.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == process and state not in "ZX":
            found.append(int(file.parent.name))
    return found


@pytest.mark.parametrize(
    ("workers", "dawdle", "every"), [(2, 0.0, 1), (4, 0.0, 3), (4, 0.05, 1), (2, 0.03, 3)]
)
def test_the_number_of_workers_and_who_finishes_first_change_nothing(
    play: Callable[..., FederationResult],
    remembering: dict[str, Any],
    workers: int,
    dawdle: float,
    every: int,
) -> None:
    alone = play(remembering)
    remembering["train"]["dawdle"] = dawdle
    remembering["execute"] = {"checkpoint_every": every}
    assert fingerprint(play(remembering, workers)) == fingerprint(alone)


def test_what_is_remembered_matters(
    play: Callable[..., FederationResult], remembering: dict[str, Any]
) -> None:
    # or else the tests above and below would compare nothing
    kept = play(remembering)
    forgetful = play({**remembering, "train": {**remembering["train"], "keep": 0.0}})
    assert kept.rounds[1]["digests"] == forgetful.rounds[1]["digests"]
    assert kept.facts["digest"] != forgetful.facts["digest"]
    assert any(min(event["verdicts"]["habit"]["trust"]) < 1 for event in kept.rounds[1:])
    assert any(event["attacking"] for event in kept.rounds)


@pytest.mark.parametrize("workers", [2, 3])
def test_private_parts_and_served_models_are_the_same_on_workers(
    play: Callable[..., FederationResult], remembering: dict[str, Any], workers: int
) -> None:
    remembering["train"]["shared"] = ["body"]
    remembering["protect"] = [{"use": "shield", "dim": 0.8, "clip": 0.1, "shift": 0.5}]
    remembering["evaluate"] = [{"use": "visitor", "shared": False}]
    alone = play(remembering)
    last = alone.rounds[-1]["metrics"]
    assert last["visitor.asked_0"] != last["visitor.raw_0"]
    assert last["visitor.weights_0"] != last["visitor.weights_2"]
    assert fingerprint(play(remembering, workers)) == fingerprint(alone)


def test_more_images_than_a_shard_are_shared_out_among_workers(
    play: Callable[..., FederationResult], remembering: dict[str, Any]
) -> None:
    remembering["data"]["test"] = 1100
    assert fingerprint(play(remembering, 2)) == fingerprint(play(remembering))


def test_components_that_act_in_many_places_are_the_same_on_workers(
    play: Callable[..., FederationResult], tables: dict[str, Any]
) -> None:
    tables["protect"] = [{"use": "herald"}]
    tables["evaluate"] = [{"use": "witness", "local": True}]
    assert fingerprint(play(tables, 2)) == fingerprint(play(tables))


class Looking(Silent):
    """Looks at the processes there are, whenever a round is over."""

    def __init__(self, nursery: Nursery) -> None:
        self.nursery = nursery.process.pid
        self.workers: list[list[int]] = []

    def round(self, record: RoundRecord) -> None:
        self.workers.append(sorted(children(self.nursery)))


def test_workers_are_children_of_the_nursery_live_for_the_whole_run_and_end_with_it(
    play: Callable[..., FederationResult], remembering: dict[str, Any], nursery: Nursery
) -> None:
    watcher = Looking(nursery)
    play(remembering, 2, watcher=watcher)
    assert len(watcher.workers) == 5
    assert {len(each) for each in watcher.workers} == {2}
    assert len({tuple(each) for each in watcher.workers}) == 1
    until(lambda: not children(nursery.process.pid))


def test_a_run_leaves_no_open_files_behind(
    play: Callable[..., FederationResult], tables: dict[str, Any], remembering: dict[str, Any]
) -> None:
    play(tables, 2)
    before = len(os.listdir("/proc/self/fd"))
    play(tables, 2)
    play(remembering, 2)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_run_that_is_refused_leaves_no_open_files_behind(
    play: Callable[..., FederationResult], tables: dict[str, Any], tmp_path: Path
) -> None:
    weights = tmp_path / "other.safetensors"
    save_file({"elsewhere": torch.zeros(2)}, weights)
    tables["model"]["start"] = str(weights)

    def refused() -> int:
        with pytest.raises(FedsecError, match="elsewhere"):
            play(tables, 2)
        return len(os.listdir("/proc/self/fd"))

    first = refused()
    gc.collect()
    assert refused() == first


def test_data_without_a_validation_split_are_played_on_workers_too(
    play: Callable[..., FederationResult], tables: dict[str, Any]
) -> None:
    tables["data"]["val"] = 0
    assert fingerprint(play(tables, 2)) == fingerprint(play(tables, 1))


@pytest.mark.parametrize(
    ("file", "every", "doing"),
    [
        ("1-2", 1, "training client 1 in round 2"),
        ("4-4", 3, "training client 4 in round 4"),
        ("visit-4-3", 1, "working for visitor"),
    ],
)
def test_a_round_whose_worker_dies_is_played_once_more_to_the_same_bits(
    play: Callable[..., FederationResult],
    remembering: dict[str, Any],
    tmp_path: Path,
    file: str,
    every: int,
    doing: str,
) -> None:
    del remembering["select"]
    alone = play(remembering)
    remembering["execute"] = {"checkpoint_every": every}
    told(remembering, tmp_path, file, "once")
    survived = play(remembering, 2)
    assert not (tmp_path / "deaths" / file).exists()
    assert fingerprint(survived) == fingerprint(alone)
    number = int(file.rpartition("-")[2])
    (note,) = survived.rounds[number]["notes"]
    assert_matches(rf"{KILLED} while {doing}; the round was played again", note)
    assert not any(event["notes"] for event in survived.rounds if event["round"] != number)


def test_a_round_whose_worker_dies_every_time_ends_the_run_which_can_go_on_later(
    play: Callable[..., FederationResult], remembering: dict[str, Any], tmp_path: Path, nursery: Nursery
) -> None:
    del remembering["select"]
    alone = play(remembering)
    deadly = told(remembering, tmp_path, "1-3", "always")
    doing = "while training client 1 in round 3"
    with pytest.raises(WorkerDied) as death:
        play(remembering, 2)
    again = "; the round had been played again once before: "
    assert_matches(f"{KILLED} {doing}{again}{KILLED} {doing}", str(death.value))
    folder = alone.folder.parents[1].with_name(alone.folder.parents[1].name + "-2")
    failed = fedsec_core.open_run(folder).of()
    assert (failed.status, failed.facts["why"]) == ("failed", str(death.value))
    assert [event["round"] for event in failed.rounds] == [0, 1, 2]
    deadly.unlink()
    resumed = fedsec_core.resume(folder, workers=2, nursery=nursery).of()
    assert resumed.facts["resumed_after"] == [2]
    assert fingerprint(resumed) == fingerprint(alone)


def told(tables: dict[str, Any], tmp_path: Path, file: str, text: str) -> Path:
    """Tell trainer and visitor who is to be killed; returns the file that says so."""
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    (deaths / file).write_text(text)
    tables["train"]["deaths"] = str(deaths)
    tables["evaluate"][1]["deaths"] = str(deaths)
    return deaths / file


def assert_matches(pattern: str, text: str) -> None:
    __tracebackhide__ = True
    if not re.fullmatch(pattern, text):
        pytest.fail(f"{text!r}\ndoes not match\n{pattern!r}")


OURS = "(fedsec-test-components 0.1.0)"
TRAIN = f"train:keeper {OURS} failed in train_client"
VISIT = f"evaluate:visitor {OURS} failed in evaluate_model"
PUPPET = {"use": "puppet", "moment": "client", "minimum": ["own_data"], "knows": ["own_data"]}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"train": {"awry": "raises"}}, f"{TRAIN}: RuntimeError: no power"),
        ({"train": {"awry": "few"}}, "keeper needs at least 2 rows (it is a test), got 1"),
        ({"train": {"awry": "data"}}, "scan-7.png: cannot be read"),
        ({"visitor": {"awry": "raises"}}, f"{VISIT}: LookupError: nobody home"),
        ({"visitor": {"awry": "strange"}}, f"{VISIT}: Strange: the door: is locked"),
        ({"visitor": {"awry": "few"}}, "visitor needs at least 2 rows, got 1"),
        (
            {"attack": [{**PUPPET, "reads": "base", "clients": {"ids": [1]}}]},
            "puppet read the state it received, which needs the knowledge 'global_model'; "
            "grant it with knows = [..., 'global_model'] in the table of puppet",
        ),
    ],
    ids=["plugin", "rows", "data", "map", "strange", "map-rows", "grant"],
)
def test_an_error_on_a_worker_arrives_as_in_process(
    play: Callable[..., FederationResult],
    remembering: dict[str, Any],
    tmp_path: Path,
    tables: dict[str, Any],
    message: str,
    workers: int,
) -> None:
    del remembering["select"]
    remembering["train"] |= tables.get("train", {})
    remembering["evaluate"][1] |= tables.get("visitor", {})
    remembering["attack"] = tables.get("attack", [])
    with pytest.raises(FedsecError) as error:
        play(remembering, workers)
    assert str(error.value) == message
    (folder,) = tmp_path.glob("remembering-*")
    failed = fedsec_core.open_run(folder).of()
    assert (failed.status, failed.facts["why"]) == ("failed", message)


def test_an_answer_that_cannot_travel_is_refused_and_kills_no_worker(
    play: Callable[..., FederationResult], remembering: dict[str, Any]
) -> None:
    remembering["evaluate"][1]["awry"] = "lambda"
    with pytest.raises(FedsecError, match=r"^evaluate:visitor .*Can't pickle local object") as error:
        play(remembering, 2)
    assert not isinstance(error.value, WorkerDied)


@pytest.mark.parametrize("workers", [1, 2])
def test_logits_that_overflow_on_a_worker_end_the_run_as_diverged(
    play: Callable[..., FederationResult], remembering: dict[str, Any], workers: int
) -> None:
    remembering["after"] = [{"use": "scale-step", "factor": 1e30}]
    run = play(remembering, workers)
    assert (run.status, run.facts["why"]) == ("diverged", "logits overflowed in round 1")


def test_the_command_line_shows_where_on_a_worker_it_was_on_request(
    remembering: dict[str, Any], tmp_path: Path
) -> None:
    del remembering["select"]
    remembering["train"]["awry"] = "raises"
    file = tmp_path / "scenario.toml"
    file.write_text(tomli_w.dumps(remembering))
    with pytest.raises(FedsecError) as error:
        main(["-v", "run", str(file), "--out", str(tmp_path), "--workers", "2", "--quiet", "--no-report"])
    assert str(error.value) == f"{TRAIN}: RuntimeError: no power"
    (note,) = error.value.__notes__
    assert note.startswith("in a worker process:\nTraceback (most recent call last):\n")
    assert 'keeping.py", line ' in note
    assert "RuntimeError: no power" in note


SCRIPT = """
import json, os, sys, threading

forks = []
sys.addaudithook(lambda event, _: forks.append(event) if event in ("os.fork", "os.forkpty") else None)
import torch
import fedsec_core

torch.set_num_threads(3)
found = {}


def work():
    result = fedsec_core.run("scenario.toml", workers=2, out="results", report=False)
    found["digest"] = result.of().facts["digest"]
    found["threads"] = torch.get_num_threads()


WORK
print(json.dumps({**found, "forks": forks}))
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], str]:
    """Return the digest of tables that are played in process, once for all tests."""
    known: dict[str, str] = {}

    def digest(tables: dict[str, Any]) -> str:
        text = tomli_w.dumps(tables)
        if text not in known:
            out = tmp_path_factory.mktemp("alone")
            known[text] = fedsec_core.run(tables, workers=1, out=out, report=False).of().facts["digest"]
        return known[text]

    return digest


@pytest.mark.parametrize("way", ["script", "thread"])
def test_a_script_without_a_guard_and_a_thread_can_use_workers(
    alone: Callable[[dict[str, Any]], str], remembering: dict[str, Any], tmp_path: Path, way: str
) -> None:
    (tmp_path / "scenario.toml").write_text(tomli_w.dumps(remembering))
    started = "thread = threading.Thread(target=work); thread.start(); thread.join()"
    text = SCRIPT.replace("WORK", started if way == "thread" else "work()")
    if way == "script":
        # a folder and a file that could not be imported
        (tmp_path / "my analysis.py").write_text(text)
        command = ["my analysis.py"]
    else:
        command = ["-c", text]
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"digest": alone(remembering), "threads": 3, "forks": []}


@pytest.fixture
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def test_the_callers_thread_count_comes_back_from_a_run_that_failed(
    play: Callable[..., FederationResult], remembering: dict[str, Any], threads: int
) -> None:
    remembering["evaluate"][1]["awry"] = "raises"
    with pytest.raises(FedsecError):
        play(remembering, 2)
    assert torch.get_num_threads() == threads


def test_an_interrupt_ends_everything_and_the_run_can_go_on(
    alone: Callable[[dict[str, Any]], str], remembering: dict[str, Any], tmp_path: Path
) -> None:
    remembering["scenario"]["rounds"] = 6
    digest = alone(remembering)
    # slow enough to be interrupted before the end, whatever the machine is doing
    remembering["train"]["dawdle"] = 0.2
    (tmp_path / "scenario.toml").write_text(tomli_w.dumps(remembering))
    run = Crashing.run(tmp_path, tmp_path / "scenario.toml")
    until(lambda: recorded(tmp_path) >= 1)
    # as a terminal does: everyone in the foreground gets it
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.wait() == 130
    assert run.output.splitlines()[-1] == "interrupted: finished rounds are kept"
    run.seconds_until_gone()
    assert run.left_behind() == []
    assert facts(tmp_path)["status"] == "interrupted"
    assert facts(tmp_path)["why"] == "interrupted by the user"
    there = recorded(tmp_path)
    again = Crashing.resume(tmp_path)
    assert again.wait() == 0
    assert facts(tmp_path)["status"] == "done"
    assert facts(tmp_path)["resumed_after"][0] in (there - 1, there)
    assert facts(tmp_path)["digest"] == digest

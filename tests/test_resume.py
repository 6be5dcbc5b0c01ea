"""`fedsec resume`: whatever ended a run, it goes on from its last checkpoint to the same bits."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import tomli_w

import fedsec_core
from fedsec_core.errors import FedsecError
from fedsec_core.execution.launching import Nursery
from fedsec_core.records import RoundRecord
from fedsec_core.runs import key as keys
from fedsec_core.runs.reading import FederationResult
from fedsec_test_components import crashing
from fedsec_test_components.comparing import Stopping, fingerprint
from fedsec_test_components.crashing import Crashing, Moment


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


class Meddling(Stopping):
    """Tries to resume the run that is being played."""

    said = ""

    def __init__(self, out: Path) -> None:
        super().__init__()
        self.out = out

    def round(self, record: RoundRecord) -> None:
        super().round(record)
        (self.folder,) = self.out.glob("*-*")
        with pytest.raises(FedsecError) as error:
            fedsec_core.resume(self.folder)
        self.said = str(error.value)


def test_a_folder_that_is_being_played_is_refused(tables: dict[str, Any], tmp_path: Path) -> None:
    watcher = Meddling(tmp_path)
    run = fedsec_core.run(tables, out=tmp_path, report=False, watcher=watcher).of()
    assert watcher.said == f"{watcher.folder}: is being played by process {os.getpid()}"
    assert (run.status, watcher.played) == ("done", [0, 1, 2, 3])
    assert not (watcher.folder / "lock").exists()


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
    # of two at most: a note goes with its round where that is played once more after a kill of the run
    assert len(notes) <= 2
    assert all("was killed by signal 9 (SIGKILL, perhaps out of memory) while " in note for note in notes)


def test_rounds_that_are_played_again_are_compared_with_what_they_were(
    stop: Callable[..., Path], remembering: dict[str, Any]
) -> None:
    remembering["execute"] = {"checkpoint_every": 3}
    folder = stop(remembering, 2)
    file = folder / "main" / "1" / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[1]["digests"]["state"] = "0" * 32
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(FedsecError, match="^round 1 was played again and came out differently"):
        fedsec_core.resume(folder)

"""`fedsec verify`: a run is replayed, and what differs from the record first is named."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import fedsec_core
from fedsec_core.execution.launching import Nursery
from fedsec_core.runs import api
from fedsec_core.runs import key as keys
from fedsec_test_components.comparing import Stopping

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def recorded() -> dict[str, Path]:
    """The run that the tests take copies of, once it was made."""
    return {}


@pytest.fixture
def folder(
    recorded: dict[str, Path],
    remembering: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> Path:
    """The folder of a finished run, 4 rounds, everybody remembers."""
    if not recorded:
        out = tmp_path_factory.mktemp("recorded")
        recorded["folder"] = fedsec_core.run(remembering, out=out, report=False).folder
    return shutil.copytree(recorded["folder"], tmp_path / "out" / recorded["folder"].name)


def contents(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file): hashlib.blake2b(file.read_bytes()).hexdigest() for file in files}


def change(folder: Path, number: int, changed: Callable[[dict[str, Any]], Any]) -> None:
    """Change the event of a round in the record."""
    file = folder / "main" / "1" / "metrics.jsonl"
    events = [json.loads(line) for line in file.read_text().splitlines()]
    changed(events[number])
    file.write_text("".join(json.dumps(event) + "\n" for event in events))


def digest_of(folder: Path, number: int, quantity: str) -> str:
    digest = fedsec_core.open_run(folder).of().rounds[number]["digests"][quantity]
    assert isinstance(digest, str)
    return digest


def test_a_replay_gives_the_same_bits_and_changes_nothing_in_the_folder(
    fedsec: Command, folder: Path
) -> None:
    before = contents(folder.parent)
    ran = fedsec("verify", folder, "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "main/1: rounds 0 to 4: the same, to the bit\n", "")
    assert contents(folder.parent) == before


def test_what_one_process_recorded_workers_confirm(folder: Path, nursery: Nursery) -> None:
    (found,) = api.verify(folder, workers=2, nursery=nursery)
    assert (found.place, found.compared, found.difference, found.changed) == ("main/1", (0, 4), None, ())


def test_every_federation_of_a_run_is_verified_or_the_one_that_is_named(
    fedsec: Command, tables: dict[str, Any], tmp_path: Path
) -> None:
    tables["scenario"]["seed"] = [1, 2]
    tables["variant"] = [{"as": "other", "set": {"train.lr": 0.2}}]
    folder = fedsec_core.run(tables, out=tmp_path, report=False).folder
    same = "rounds 0 to 3: the same, to the bit"
    ran = fedsec("verify", folder, "--quiet")
    assert ran.out.splitlines() == [f"{v}/{seed}: {same}" for v in ("main", "other") for seed in (1, 2)]
    ran = fedsec("verify", folder / "other" / "2", "--quiet")
    assert ran.out.splitlines() == [f"other/2: {same}"]


@pytest.mark.parametrize(
    ("rounds", "said"), [("2..3", "rounds 2 to 3"), ("3", "round 3"), ("0..0", "round 0")]
)
def test_some_rounds_can_be_asked_for(fedsec: Command, folder: Path, rounds: str, said: str) -> None:
    ran = fedsec("verify", folder, "--rounds", rounds, "--quiet")
    assert (ran.code, ran.out) == (0, f"main/1: {said}: the same, to the bit\n")


def test_the_replay_ends_after_the_last_round_that_is_compared(fedsec: Command, folder: Path) -> None:
    ran = fedsec("verify", folder, "--rounds", "1..2")
    assert [line.split("  ")[0] for line in ran.err.splitlines()] == [
        "[1/1] main seed 1",
        "main seed 1: round 0/4",
        "main seed 1: round 1/4",
        "main seed 1: round 2/4",
    ]


@pytest.mark.parametrize("rounds", ["2..9", "3..2"])
def test_rounds_that_are_not_there_are_refused(fedsec: Command, folder: Path, rounds: str) -> None:
    ran = fedsec("verify", folder, "--rounds", rounds, "--quiet")
    assert (ran.code, ran.err) == (2, f"{folder}/main/1: cannot verify rounds {rounds}: it has 0..4\n")


@pytest.mark.parametrize("rounds", ["a..b", "1..", "-1", "1...2"])
def test_rounds_that_are_no_numbers_are_refused(fedsec: Command, folder: Path, rounds: str) -> None:
    ran = fedsec("verify", folder, f"--rounds={rounds}", "--quiet")
    assert ran.code == 2
    assert f"--rounds {rounds}: expected A..B, as in --rounds 3..7" in ran.err


@pytest.mark.parametrize("quantity", ["honest_rows", "verdict", "state"])
def test_the_first_round_and_quantity_that_differ_are_named(
    fedsec: Command, folder: Path, quantity: str
) -> None:
    real = digest_of(folder, 2, quantity)
    other = "0" * 32
    change(folder, 2, lambda event: event["digests"].update({quantity: other}))
    change(folder, 3, lambda event: event["digests"].update({"state": other}))
    ran = fedsec("verify", folder, "--quiet")
    assert (ran.code, ran.out) == (
        1,
        f"main/1: round 2 differs first, in {quantity}: {other} was {real} now\n",
    )
    assert fedsec("verify", folder, "--rounds", "0..1", "--quiet").code == 0
    assert fedsec("verify", folder, "--rounds", "4..4", "--quiet").code == 0


@pytest.mark.parametrize(
    ("quantity", "edit"),
    [
        ("metrics", lambda event: event["metrics"].update({"witness.accuracy": 1.0})),
        ("cohort", lambda event: event["cohort"].reverse()),
    ],
)
def test_figures_that_were_edited_are_found(
    fedsec: Command, folder: Path, quantity: str, edit: Callable[[dict[str, Any]], Any]
) -> None:
    change(folder, 1, edit)
    ran = fedsec("verify", folder, "--quiet")
    said = f"main/1: round 1: the recorded {quantity} are not what the record's digests say\n"
    assert (ran.code, ran.out) == (1, said)


@pytest.mark.parametrize("file", ["run.json", "final.safetensors"])
def test_a_digest_or_weights_that_are_not_those_of_the_rounds_are_found(
    fedsec: Command, folder: Path, file: str
) -> None:
    (place,) = folder.glob(f"main/*/{file}")
    if file == "run.json":
        facts = json.loads(place.read_text())
        place.write_text(json.dumps({**facts, "digest": "0" * 32}))
    else:
        weights = load_file(place)
        name = next(name for name, tensor in weights.items() if tensor.is_floating_point())
        weights[name].flatten()[0] += 1
        save_file(weights, place)
    ran = fedsec("verify", folder, "--quiet")
    what = "digest" if file == "run.json" else "weights"
    said = f"main/1: the finished run: the recorded {what} are not what the record's digests say\n"
    assert (ran.code, ran.out) == (1, said)


def test_the_end_of_the_run_is_compared_too(fedsec: Command, folder: Path) -> None:
    real = fedsec_core.open_run(folder).of().facts["digest"]
    change(folder, 5, lambda event: event.update(digest="0" * 32))
    ran = fedsec("verify", folder, "--quiet")
    assert (ran.code, ran.out) == (
        1,
        f"main/1: the finished run differs first, in metrics: {'0' * 32} was {real} now\n",
    )
    assert fedsec("verify", folder, "--rounds", "0..4", "--quiet").code == 0


def test_a_difference_on_another_class_of_machine_is_reported_and_is_no_failure(
    fedsec: Command, folder: Path
) -> None:
    file = folder / "main" / "1" / "run.json"
    facts = json.loads(file.read_text())
    here = ", ".join(f"{name} {value}" for name, value in facts["digest_class"].items())
    facts["digest_class"]["cpu"] = "ANOTHER"
    file.write_text(json.dumps(facts))
    there = ", ".join(f"{name} {value}" for name, value in facts["digest_class"].items())
    classes = f"    recorded on {there}; this is {here}: equal bits are not promised"
    ran = fedsec("verify", folder, "--quiet")
    assert ran.code == 0
    assert ran.out.splitlines() == ["main/1: rounds 0 to 4: the same, to the bit", classes]
    real = digest_of(folder, 2, "state")
    change(folder, 2, lambda event: event["digests"].update(state="0" * 32))
    ran = fedsec("verify", folder, "--quiet")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"main/1: round 2 differs first, in state: {'0' * 32} was {real} now",
        classes,
    ]


def test_other_weights_to_start_from_are_named(
    fedsec: Command, folder: Path, remembering: dict[str, Any], tmp_path: Path
) -> None:
    start = tmp_path / "start.safetensors"
    weights = load_file(folder / "main" / "1" / "final.safetensors")
    save_file(weights, start)
    remembering["model"]["start"] = str(start)
    warm = fedsec_core.run(remembering, out=tmp_path / "warm", report=False).folder
    assert fedsec("verify", warm, "--quiet").out == "main/1: rounds 0 to 4: the same, to the bit\n"
    save_file({name: tensor * 2 for name, tensor in weights.items()}, start)
    ran = fedsec("verify", warm, "--quiet")
    assert ran.code == 1
    first, second = ran.out.splitlines()
    assert first.startswith("main/1: round 0 differs first, in state: ")
    assert second == "    changed since it was recorded: start"


def test_code_that_changed_is_named_even_where_the_bits_did_not(
    fedsec: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = keys.code_of
    monkeypatch.setattr(
        keys, "code_of", lambda name, modules: "new" if name == "fedsec-basics" else code(name, modules)
    )
    ran = fedsec("verify", folder, "--quiet")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "main/1: rounds 0 to 4: the same, to the bit",
        "    changed since it was recorded: code fedsec-basics",
    ]


def test_a_run_that_was_interrupted_is_verified_as_far_as_it_came(
    fedsec: Command, remembering: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fedsec_core.run(remembering, out=tmp_path, report=False, watcher=Stopping(2))
    (folder,) = tmp_path.glob("remembering-*")
    ran = fedsec("verify", folder, "--quiet")
    assert (ran.code, ran.out) == (0, "main/1: rounds 0 to 2: the same, to the bit\n")


def test_a_run_without_a_round_cannot_be_verified(fedsec: Command, folder: Path) -> None:
    (folder / "main" / "1" / "metrics.jsonl").write_text("")
    ran = fedsec("verify", folder, "--quiet")
    said = f"{folder}/main/1: no round was finished: there is nothing to verify\n"
    assert (ran.code, ran.err) == (2, said)


@pytest.fixture
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def test_the_replay_has_one_thread_as_the_run_had(folder: Path, threads: int) -> None:
    watcher = Stopping()
    list(api.verify(folder, watcher=watcher))
    assert watcher.threads == {1}
    assert torch.get_num_threads() == threads

"""What measures the result pages runs each federation once, whenever it is stopped and started again."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from fedsec_core.errors import FedsecError
from fedsec_core.runs.reading import FederationResult

RESULTS = Path(__file__).parent.parent / "docs" / "results"
TINY = """
scenario = { name = "tiny", rounds = 1, seed = [1, 2] }
data = { use = "phantom", train = 60, val = 8, test = 12 }
model = { use = "small-cnn", channels = [2, 2], hidden = 4 }
partition = { use = "iid", clients = 3 }
train = { use = "sgd", steps = 1 }
aggregate = { use = "mean" }
evaluate = [{ use = "classification" }]
variant = [{ as = "median", aggregate = { use = "median" } }]
"""


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """The module, which is in no package, and gone again afterwards."""
    monkeypatch.syspath_prepend(str(RESULTS))
    module = importlib.import_module("sweep")
    monkeypatch.setattr(module, "RUNS", tmp_path / "runs")
    yield module
    for name, each in [*sys.modules.items()]:
        if (getattr(each, "__file__", None) or "").startswith(str(RESULTS)):
            del sys.modules[name]


def test_a_federation_that_is_there_is_not_run_again(
    sweep: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario, results = tmp_path / "tiny.toml", tmp_path / "results.jsonl"
    scenario.write_text(TINY)
    wanted = list(sweep.items(str(scenario)))
    assert [(each.variant, each.seed) for each in wanted] == [
        ("main", 1),
        ("median", 1),
        ("main", 2),
        ("median", 2),
    ]

    def accuracy(item: object, found: FederationResult) -> dict[str, object]:
        return {"accuracy": found.final["classification.accuracy"]}

    sweep.run(wanted[:2], results, accuracy, at_once=1)
    first = results.read_bytes()
    # as a kill in the middle of a line leaves it
    results.write_bytes(first + b'{"scenario": "ti')
    sweep.run(wanted, results, accuracy, at_once=2)
    assert results.read_bytes().startswith(first)
    assert "2 of 4 federations are there, 2 to run" in capsys.readouterr().out

    lines = sweep.ledger.read(results)
    assert {(line["variant"], line["seed"]) for line in lines} == {(w.variant, w.seed) for w in wanted}
    assert len(lines) == len(wanted)
    assert all(0 <= line["accuracy"] <= 1 and line["status"] == "done" for line in lines)
    assert not [path for path in (tmp_path / "runs").iterdir() if not path.name.startswith(".")]
    assert set(sweep.finished(lines, wanted)) == set(wanted)


def test_federations_start_from_what_another_ended_with_which_is_played_once_per_seed(
    sweep: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario, warm, results = (tmp_path / name for name in ("tiny.toml", "warm.toml", "results.jsonl"))
    scenario.write_text(TINY)
    warm.write_text(TINY.replace('"tiny"', '"warm"').replace("rounds = 1", "rounds = 2"))
    wanted = list(sweep.items(str(scenario), start=str(warm)))

    def accuracies(item: object, found: FederationResult) -> dict[str, object]:
        return {"accuracies": [event["metrics"]["classification.accuracy"] for event in found.rounds]}

    sweep.run(wanted[:3], results, accuracies, at_once=2)
    sweep.run(wanted, results, accuracies, at_once=2)
    told = capsys.readouterr().out
    assert told.count("warm.toml, main, seed 1: done") == told.count("warm.toml, main, seed 2: done") == 1
    lines = sweep.finished(sweep.ledger.read(results), wanted)
    assert len(lines) == 4
    begun = {(item.variant, item.seed): line["accuracies"][0] for item, line in lines.items()}
    assert begun["main", 1] == begun["median", 1]
    weights = sorted((tmp_path / "runs" / ".weights").iterdir())
    assert len(weights) == 2
    # with another beginning it is another federation
    assert not {each.settings for each in sweep.items(str(scenario))} & {each.settings for each in wanted}
    warm.write_text(TINY.replace('"tiny"', '"warm"').replace("rounds = 1", "rounds = 3"))
    assert not sweep.finished(sweep.ledger.read(results), sweep.items(str(scenario), start=str(warm)))


def test_other_settings_are_run_anew_and_the_place_of_a_file_is_none(
    sweep: ModuleType, tmp_path: Path
) -> None:
    def settings(text: str, name: str = "tiny") -> set[str]:
        file = tmp_path / f"{name}.toml"
        file.write_text(text)
        return {item.settings for item in sweep.items(str(file))}

    assert settings(TINY) == settings(TINY, "elsewhere")
    assert not settings(TINY) & settings(TINY.replace("steps = 1", "steps = 2"))
    assert not settings(TINY) & settings(TINY.replace("rounds = 1", "rounds = 2"))
    plain, started = "channels = [2, 2]", 'channels = [2, 2], start = "{}/weights.safetensors"'
    found = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "weights.safetensors").touch()
        found.append(settings(TINY.replace(plain, started.replace("{}", place))))
    assert found[0] == found[1] != settings(TINY)


def test_what_a_killed_sweep_left_is_cleared_away_and_two_do_not_run_at_once(
    sweep: ModuleType, tmp_path: Path
) -> None:
    scenario, results = tmp_path / "tiny.toml", tmp_path / "results.jsonl"
    scenario.write_text(TINY)
    wanted = list(sweep.items(str(scenario)))[:1]
    kept, left = tmp_path / "runs" / ".reference", tmp_path / "runs" / "tiny-left-behind"
    kept.mkdir(parents=True)
    left.mkdir()
    with sweep.locked(tmp_path / "runs"), pytest.raises(FedsecError, match="is being played by process"):
        sweep.run(wanted, results, lambda item, found: {})
    assert left.exists()
    sweep.run(wanted, results, lambda item, found: {})
    assert kept.exists()
    assert not left.exists()
    assert len(sweep.ledger.read(results)) == 1


def test_reading_results_leaves_a_line_that_is_being_written(sweep: ModuleType, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    results.write_text('{"seed": 1}\n{"see')
    assert sweep.ledger.read(results) == [{"seed": 1}]
    assert results.read_text().endswith('{"see')
    sweep.ledger.append(results, {"seed": 2})
    assert results.read_text() == '{"seed": 1}\n{"seed": 2}\n'


def test_what_cannot_be_played_says_why_and_a_line_before_it_stays(sweep: ModuleType, tmp_path: Path) -> None:
    scenario, results = tmp_path / "tiny.toml", tmp_path / "results.jsonl"
    scenario.write_text(TINY)
    first, second, *_ = sweep.items(str(scenario))
    sweep.run([first], results, lambda item, found: {}, at_once=1)
    scenario.write_text(TINY.replace('use = "sgd"', 'use = "sgdd"'))
    with pytest.raises(FedsecError, match=r"(?s)median, seed 1: was not played.*sgdd.*sgd"):
        sweep.run([second], results, lambda item, found: {})
    assert [line["variant"] for line in sweep.ledger.read(results)] == ["main"]


def test_a_scenario_that_is_changed_under_way_gets_no_line(sweep: ModuleType, tmp_path: Path) -> None:
    scenario, results = tmp_path / "tiny.toml", tmp_path / "results.jsonl"
    scenario.write_text(TINY)
    first, *_ = sweep.items(str(scenario))
    scenario.write_text(TINY.replace("steps = 1", "steps = 2"))
    with pytest.raises(FedsecError, match="main, seed 1: the scenario was changed meanwhile; start again"):
        sweep.run([first], results, lambda item, found: {})
    assert not results.exists()


def test_stopping_it_stops_the_federations(sweep: ModuleType, tmp_path: Path) -> None:
    scenario = tmp_path / "long.toml"
    scenario.write_text(TINY.replace("rounds = 1", "rounds = 100000"))
    (tmp_path / "runs").mkdir()
    children = sweep.Children(tmp_path / "runs")
    wanted = list(sweep.items(str(scenario)))

    def play(item: object) -> None:
        if item is not wanted[0]:
            while not list((tmp_path / "runs").rglob("metrics.jsonl")):
                time.sleep(0.05)
            raise KeyboardInterrupt
        children.play(str(scenario), "main", 1)

    with pytest.raises(KeyboardInterrupt):
        sweep.side_by_side(2, wanted, play, children)
    assert not children.running


def test_a_federation_ends_with_the_sweep_that_is_killed(tmp_path: Path) -> None:
    scenario = tmp_path / "long.toml"
    scenario.write_text(TINY.replace("rounds = 1", "rounds = 100000"))
    options = ["--variant", "main", "--seed", "1", "--out", str(tmp_path / "runs"), "--workers", "1"]
    command = [sys.executable, str(RESULTS / "child.py"), "run", str(scenario), *options, "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        while child.poll() is None and not list(tmp_path.rglob("metrics.jsonl")):
            time.sleep(0.05)
        assert child.poll() is None
        # what the system does when the process that holds this end is gone
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(30) == 1

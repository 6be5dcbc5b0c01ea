"""Bad input of every kind ends in one clear line and exit code 2, never in a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tomli_w

import fedsec_core

OURS = "(fedsec-test-components 0.1.0)"


@pytest.fixture
def outcome(fedsec: Any, tables: dict[str, Any], tmp_path: Path) -> Any:
    """Run the tiny scenario with some tables changed; gives exit code and the last line of stderr."""

    def run(**changes: Any) -> tuple[int, str]:
        file = tmp_path / "bad.toml"
        changed = {
            key: {**tables.get(key, {}), **value} if isinstance(value, dict) else value
            for key, value in changes.items()
        }
        file.write_text(tomli_w.dumps({**tables, **changed}))
        ran = fedsec("run", file, "--out", tmp_path / "runs", "--no-report")
        assert "Traceback" not in ran.err
        return ran.code, ran.err.splitlines()[-1]

    return run


@pytest.mark.parametrize(
    ("awry", "message"),
    [
        ("nan-image", "load_data the train split holds NaN or infinite pixels"),
        ("bad-label", "load_data gave train labels from 1 to 4, out of range for 4 classes"),
        (
            "bad-shape",
            "load_data the train split must hold bytes or float32 images [n, C, H, W], "
            "got (160, 8, 8) torch.uint8",
        ),
        ("no-test", "load_data gave no test samples"),
        ("none", "load_data gave no answer (None)"),
    ],
)
def test_wrong_data_are_refused_where_they_come_in(outcome: Any, awry: str, message: str) -> None:
    assert outcome(data={"awry": awry}) == (2, f"data:quadrants {OURS}: {message}")


def test_a_component_that_raises_is_named_in_one_line(outcome: Any) -> None:
    code, line = outcome(data={"awry": "raises"})
    assert code == 2
    assert line == f"data:quadrants {OURS} failed in load_data: ZeroDivisionError: the data are gone"


@pytest.mark.parametrize(
    ("awry", "message"),
    [
        ("shape", ": aggregate_updates gave step of shape (555,), expected (556,)"),
        ("none", ": aggregate_updates gave no answer (None)"),
        ("raises", " failed in aggregate_updates: RuntimeError: singular matrix"),
    ],
)
def test_a_wrong_step_is_the_aggregators_fault(outcome: Any, awry: str, message: str) -> None:
    assert outcome(aggregate={"use": "sum", "awry": awry}) == (2, f"aggregate:sum {OURS}{message}")


@pytest.mark.parametrize(
    ("awry", "message"),
    [
        ("nan-trust", ": detect_anomalies gave a trust that is not finite"),
        ("short", ": detect_anomalies gave trust of shape (5,) for 6 clients"),
        ("raises", " failed in detect_anomalies: KeyError: 'no such client'"),
    ],
)
def test_a_wrong_verdict_is_the_detectors_fault(outcome: Any, awry: str, message: str) -> None:
    detect = [{"use": "distrust", "as": "mine", "awry": awry}]
    assert outcome(detect=detect) == (2, f"detect:mine {OURS}{message}")


def test_a_trust_above_one_is_refused(outcome: Any) -> None:
    _, line = outcome(detect=[{"use": "distrust", "ids": [0], "trust": 1.5}])
    assert line == f"detect:distrust {OURS}: detect_anomalies gave a trust outside of 0..1: 1 to 1.5"


@pytest.mark.parametrize(
    ("awry", "message"),
    [
        ("nan", ": evaluate_model gave the metric 'figure' = nan; give a finite number, or None"),
        ("kind", ": evaluate_model must give Findings or None, got a dict"),
        ("raises", " failed in evaluate_model: LookupError: nothing there"),
        ("text", ": evaluate_model gave the metric 'figure' = 'abc'; give a finite number, or None"),
        ("cell", ": evaluate_model gave the table 'odd' a cell that is an object"),
        (
            "picture",
            ": evaluate_model gave the picture 'odd' as a ndarray of shape (2, 2, 2, 2); "
            "give [H, W] or [H, W, 3]",
        ),
        (
            "name",
            ": evaluate_model named something '../figure': use letters, digits, '.', '-' and '_'",
        ),
        ("list", ": evaluate_model must give metrics by name, got a list"),
    ],
)
def test_a_wrong_metric_is_the_evaluators_fault(outcome: Any, awry: str, message: str) -> None:
    assert outcome(evaluate=[{"use": "witness", "awry": awry}]) == (2, f"evaluate:witness {OURS}{message}")


@pytest.mark.parametrize(
    ("awry", "message"),
    [
        ("steps", " failed in gradients of its training steps: OverflowError: too much"),
        ("no-steps", ": gradients of its training steps gave None"),
        ("update", " failed in update of its training steps: OverflowError: too much"),
        ("serve", ": serve_model gave a function that gives no logits [64, classes]"),
        ("no-serve", ": serve_model must give a function or None, got an int"),
    ],
)
def test_what_a_protection_does_inside_others_is_its_own_fault(outcome: Any, awry: str, message: str) -> None:
    assert outcome(protect=[{"use": "shield", "awry": awry}]) == (2, f"protect:shield {OURS}{message}")


@pytest.mark.parametrize(
    ("awry", "message"),
    [
        ("wide", " must give logits [n, 4], got (64, 8)"),
        ("raises", " failed on images of shape (64, 1, 8, 8): ArithmeticError: no power"),
    ],
)
def test_a_network_that_gives_no_logits_is_the_models_fault(outcome: Any, awry: str, message: str) -> None:
    assert outcome(model={"awry": awry}) == (2, f"model:perceptron {OURS}{message}")


def test_a_network_in_double_precision_is_refused(outcome: Any) -> None:
    _, line = outcome(model={"awry": "double"})
    assert line == f"model:perceptron {OURS}: head.weight is torch.float64; networks must be float32"


def test_a_parameter_outside_of_every_part_is_refused(outcome: Any) -> None:
    _, line = outcome(model={"awry": "no-parts"})
    expected = "loose belongs to no part: put it into a direct child of the network"
    assert line == f"model:perceptron {OURS}: {expected}"


def test_a_client_without_enough_data_is_one_line(outcome: Any) -> None:
    code, line = outcome(partition={"clients": 161})
    assert code == 2
    assert line.startswith("partition:iid (fedsec-basics 0.1.0): ")


def test_a_server_that_keeps_everything_is_one_line(outcome: Any) -> None:
    assert outcome(data={"server": 160}) == (2, "[data] server = 160 leaves nothing of 160 training samples")


def test_an_unwritable_output_folder_is_one_line(fedsec: Any, tables: dict[str, Any], tmp_path: Path) -> None:
    scenario = tmp_path / "fine.toml"
    scenario.write_text(tomli_w.dumps(tables))
    (tmp_path / "file").write_text("in the way")
    ran = fedsec("run", scenario, "--out", tmp_path / "file", "--quiet")
    assert (ran.code, ran.err.strip()) == (2, f"{tmp_path}/file: cannot write results there: Not a directory")


def test_an_error_shows_its_traceback_only_when_asked(tables: dict[str, Any], tmp_path: Path) -> None:
    scenario = tmp_path / "bad.toml"
    scenario.write_text(tomli_w.dumps({**tables, "aggregate": {"use": "sum", "awry": "raises"}}))
    command = [sys.executable, "-m", "fedsec_core"]
    arguments = ["run", str(scenario), "--out", str(tmp_path / "runs"), "--quiet", "--no-report"]
    plain = subprocess.run([*command, *arguments], capture_output=True, text=True)
    verbose = subprocess.run([*command, "--verbose", *arguments], capture_output=True, text=True)
    assert plain.stderr.count("\n") == 1
    assert "Traceback" in verbose.stderr


def test_a_diverged_run_is_a_result_with_exit_code_0(
    fedsec: Any, tables: dict[str, Any], tmp_path: Path
) -> None:
    scenario = tmp_path / "diverges.toml"
    scenario.write_text(
        tomli_w.dumps({**tables, "aggregate": {"use": "sum", "awry": "explodes", "since": 2}})
    )
    ran = fedsec("run", scenario, "--out", tmp_path / "runs", "--no-report", "--quiet")
    assert ran.code == 0
    assert "main seed 1: diverged: step overflowed in round 2" in ran.out
    (folder,) = (tmp_path / "runs").glob("tiny-*")
    result = fedsec_core.open_run(folder).of()
    assert (result.status, len(result.rounds)) == ("diverged", 3)
    assert result.final["witness.accuracy"] is not None


def test_an_interrupted_run_keeps_its_finished_rounds_and_exits_with_130(
    fedsec: Any, tables: dict[str, Any], tmp_path: Path
) -> None:
    scenario = tmp_path / "long.toml"
    scenario.write_text(
        tomli_w.dumps({**tables, "evaluate": [{"use": "witness", "awry": "interrupt", "since": 2}]})
    )
    ran = fedsec("run", scenario, "--out", tmp_path / "runs", "--no-report", "--quiet")
    assert (ran.code, ran.err.strip()) == (130, "interrupted: finished rounds are kept")
    (folder,) = (tmp_path / "runs").glob("tiny-*")
    result = fedsec_core.open_run(folder).of()
    assert (result.status, [event["round"] for event in result.rounds]) == ("interrupted", [0, 1])


def test_ctrl_c_in_a_terminal_ends_the_command_with_130(tables: dict[str, Any], tmp_path: Path) -> None:
    tables["scenario"]["rounds"] = 100_000
    scenario = tmp_path / "endless.toml"
    scenario.write_text(tomli_w.dumps(tables))
    runs = tmp_path / "runs"
    process = subprocess.Popen(
        [sys.executable, "-m", "fedsec_core", "run", str(scenario), "--out", str(runs), "--quiet"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not list(runs.glob("*/main/1/metrics.jsonl")) or not sum(
            file.stat().st_size for file in runs.glob("*/main/1/metrics.jsonl")
        ):
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, errors.strip()) == (130, "interrupted: finished rounds are kept")
    assert fedsec_core.open_run(next(runs.glob("*"))).of().status == "interrupted"

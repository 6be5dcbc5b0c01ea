"""`fedsec new`: what it makes is a complete plugin whose tests pass as they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fedsec_core.cli.commands import fedsec
from fedsec_core.cli.new_plugin import LONGEST, make
from fedsec_core.errors import FedsecError
from fedsec_core.vocabulary import Role

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One plugin for every role."""
    into = tmp_path_factory.mktemp("plugins")
    return [make(f"my-{role.value}", role.value, into) for role in Role]


@pytest.fixture(scope="module")
def site(made: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which they are installed, outside of this environment."""
    target = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--target", str(target)]
    succeed([sys.executable, "-m", "pip", "install", *options, *map(str, made)], target)
    return target


def succeed(command: list[str], cwd: Path, path: Path | None = None) -> str:
    """Run a command, with `path` in front of what is installed, and return its stdout."""
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {}), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_the_tests_of_every_new_plugin_pass(made: list[Path], site: Path) -> None:
    options = ["-q", "-rA", "-p", "no:cacheprovider", "--import-mode=importlib"]
    said = succeed([sys.executable, "-m", "pytest", *options, *map(str, made)], made[0].parent, site)

    assert " skipped" not in said
    for role in Role:
        assert f"{role.value}:my-{role.value}-gives_the_same_run_for_the_same_seed" in said


def test_the_example_scenario_of_every_new_plugin_runs(made: list[Path], site: Path, tmp_path: Path) -> None:
    examples = [f"{folder.name}:example" for folder in made]
    command = [sys.executable, "-m", "fedsec_core", "run", *examples, "--json", "--quiet", "--no-report"]
    said = json.loads(succeed([*command, "--out", str(tmp_path)], tmp_path, site))

    status = [run["status"] for experiment in said["experiments"] for run in experiment["runs"]]
    assert status == ["done"] * len(made)


def test_new_code_is_as_clean_as_ours(made: list[Path]) -> None:
    ruff = [sys.executable, "-m", "ruff"]
    ours = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    assert "All checks passed!" in succeed([*ruff, "check", *ours, *map(str, made)], made[0].parent)
    assert "already formatted" in succeed(
        [*ruff, "format", "--check", *ours, *map(str, made)], made[0].parent
    )


@pytest.mark.parametrize("name", ["a", "z" * LONGEST])
def test_new_code_is_clean_under_short_and_long_names(name: str, tmp_path: Path) -> None:
    made = [str(make(name, role.value, tmp_path / role.value)) for role in Role]

    ruff = [sys.executable, "-m", "ruff"]
    assert "All checks passed!" in succeed([*ruff, "check", "--no-cache", *made], tmp_path)
    assert "already formatted" in succeed([*ruff, "format", "--check", "--no-cache", *made], tmp_path)


def test_new_code_passes_strict_types(made: list[Path], tmp_path: Path) -> None:
    # what `make types` knows of torch by now need not be found out again
    if (known := ROOT / ".mypy_cache").is_dir():
        shutil.copytree(known, tmp_path / "cache")
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache")]
    sources = [str(folder / "src") for folder in made]
    said = succeed([sys.executable, "-m", "mypy", *options, *sources], ROOT)
    assert said.startswith("Success: no issues found")


def test_the_command_says_what_comes_next(tmp_path: Path) -> None:
    options = ["new", "soft-median", "--role", "aggregate", "--into", str(tmp_path)]
    done = CliRunner().invoke(fedsec, options)

    assert done.exit_code == 0
    assert f"pip install -e {tmp_path / 'fedsec-soft-median'}" in done.output
    assert (tmp_path / "fedsec-soft-median/src/fedsec_soft_median/rule.py").exists()


@pytest.mark.parametrize(
    "name", ["Krum", "3-sigma", "soft_median", "-x", "x-", "a--b", "", "z" * (LONGEST + 1)]
)
def test_a_name_that_cannot_be_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(FedsecError, match="is no name for a plugin") as error:
        make(name, "aggregate", tmp_path)

    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fedsec-soft-median", "leave out 'fedsec-'.*fedsec new soft-median"),
        ("none", "class None, which is taken"),
        ("component", "class Component, which is taken"),
        ("robust", "fedsec-robust exists already"),
        ("core", "fedsec-core exists already"),
    ],
)
def test_a_name_that_is_taken_is_refused(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(FedsecError, match=why):
        make(name, "aggregate", tmp_path)


def test_an_unknown_role_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(FedsecError, match="no role is called 'agregate'; did you mean 'aggregate'"):
        make("soft-median", "agregate", tmp_path)


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "fedsec-soft-median").mkdir()

    with pytest.raises(FedsecError, match="fedsec-soft-median exists"):
        make("soft-median", "aggregate", tmp_path)

    assert list((tmp_path / "fedsec-soft-median").iterdir()) == []

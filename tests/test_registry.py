"""Folders, pyprojects, what is installed, the registry and the list for pip say the same."""

from __future__ import annotations

import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tomli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fedsec_core.vocabulary import Role

TOP = Path(__file__).parent.parent
PLUGINS = sorted(path.parent for path in TOP.glob("plugins/*/pyproject.toml"))
NAMES = [folder.name for folder in PLUGINS]
DISTRIBUTIONS = [TOP, *PLUGINS, TOP / "tests" / "components"]
FACTS = ("title", "authors", "venue", "year", "link", "source", "offers", "scenarios", "reproduction")

each_plugin = pytest.mark.parametrize("folder", PLUGINS, ids=NAMES)
each_distribution = pytest.mark.parametrize(
    "folder", DISTRIBUTIONS, ids=["fedsec-core", *NAMES, "components"]
)


def read(path: Path) -> dict[str, Any]:
    return tomli.loads(path.read_text(encoding="utf-8"))


def project(folder: Path) -> dict[str, Any]:
    described: dict[str, Any] = read(folder / "pyproject.toml")["project"]
    return described


def entry(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = read(TOP / "registry.toml")["plugin"][folder.name]
    return found


def requirements(lines: list[str]) -> set[tuple[str, str]]:
    parsed = [Requirement(line) for line in lines]
    return {(canonicalize_name(one.name), str(one.specifier)) for one in parsed if not one.marker}


def test_every_folder_of_plugins_is_a_distribution() -> None:
    folders = {path.name for path in (TOP / "plugins").iterdir() if path.is_dir()}

    assert folders == set(NAMES)


def test_the_registry_holds_exactly_the_plugins() -> None:
    assert sorted(read(TOP / "registry.toml")["plugin"]) == NAMES


def test_the_core_ships_an_equal_copy_of_the_registry() -> None:
    copy = TOP / "fedsec_core" / "registry.toml"

    assert copy.read_bytes() == (TOP / "registry.toml").read_bytes(), (
        "the copies differ: run cp registry.toml fedsec_core/registry.toml"
    )


def test_the_list_for_pip_holds_exactly_the_plugins() -> None:
    lines = (TOP / "plugins" / "requirements.txt").read_text().splitlines()

    assert sorted(lines) == [f"-e plugins/{name}" for name in NAMES]


@each_plugin
def test_a_plugin_is_named_after_its_folder(folder: Path) -> None:
    described = read(folder / "pyproject.toml")
    module = folder.name.replace("-", "_")

    assert described["project"]["name"] == folder.name
    assert described["tool"]["flit"]["module"]["name"] == module
    assert (folder / "src" / module / "__init__.py").is_file()
    assert (folder / "README.md").is_file()


@each_plugin
def test_a_plugin_says_which_core_it_works_with(folder: Path) -> None:
    assert "fedsec-core>=0.1,<0.2" in project(folder)["dependencies"]


@each_plugin
def test_the_registry_tells_everything_about_a_plugin(folder: Path) -> None:
    told = entry(folder)

    assert tuple(told) == FACTS
    assert told["source"] == f"plugins/{folder.name}"
    assert told["link"].startswith("https://")
    assert told["reproduction"]["state"] in ("reproduced", "partly", "not")
    assert told["reproduction"]["note"]


@each_plugin
def test_the_registry_offers_what_the_entry_points_do(folder: Path) -> None:
    offers = {Role(role).group: sorted(names) for role, names in entry(folder)["offers"].items()}

    assert offers == {group: sorted(points) for group, points in project(folder)["entry-points"].items()}


@each_plugin
def test_the_registry_lists_the_scenarios_of_a_plugin(folder: Path) -> None:
    scenarios = (folder / "src" / folder.name.replace("-", "_") / "scenarios").glob("*.toml")

    assert entry(folder)["scenarios"] == sorted(path.stem for path in scenarios)


@each_distribution
def test_what_is_installed_is_what_the_pyproject_says(folder: Path) -> None:
    described = project(folder)
    target = folder.relative_to(TOP) if folder != TOP else "."
    cure = f"{sys.executable} -m pip install --no-deps --no-build-isolation --editable {target}"
    try:
        installed = metadata.distribution(described["name"])
    except metadata.PackageNotFoundError:
        pytest.fail(f"{described['name']} is not installed: run {cure}")

    points = {(group, name, to) for group, named in _groups(described).items() for name, to in named.items()}
    told = {
        "version": described["version"],
        "entry points": points,
        "dependencies": requirements(described["dependencies"]),
    }
    found = {
        "version": installed.version,
        "entry points": {(point.group, point.name, point.value) for point in installed.entry_points},
        "dependencies": requirements([line for line in installed.requires or [] if "extra ==" not in line]),
    }
    stale = [what for what in told if told[what] != found[what]]
    assert not stale, f"{described['name']} is stale, its {' and '.join(stale)} changed: run {cure}"


def _groups(described: dict[str, Any]) -> dict[str, dict[str, str]]:
    scripts = {"console_scripts": described["scripts"]} if "scripts" in described else {}
    return {**described.get("entry-points", {}), **scripts}


@each_distribution
def test_the_code_that_is_tested_is_the_code_of_this_folder(folder: Path) -> None:
    spec = find_spec(read(folder / "pyproject.toml")["tool"]["flit"]["module"]["name"])

    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).is_relative_to(folder), f"{spec.name} is imported from {spec.origin}"


def test_constraints_pin_every_direct_dependency() -> None:
    lines = [line for line in (TOP / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lines if "==" in line}
    own = {canonicalize_name(project(folder)["name"]) for folder in DISTRIBUTIONS}
    wanted = [line for folder in DISTRIBUTIONS for line in project(folder)["dependencies"]]
    wanted += [line for extra in project(TOP)["optional-dependencies"].values() for line in extra]

    assert {name for name, _ in requirements(wanted)} - own <= pinned


def test_a_newer_torch_cannot_slip_in_with_a_dependency() -> None:
    lines = (TOP / "constraints.txt").read_text().splitlines()

    assert {"torch==2.13.0", "torchvision==0.28.0"} <= set(lines)

"""Starting from trained weights: where they are found, how they are read, what they change."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli
import tomli_w
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import fedsec_core
from fedsec_core.errors import DataError, FedsecError, ScenarioError
from fedsec_core.runs.key import key_of, key_parts
from fedsec_core.runs.starting import initial_state, read_weights, weights_digest, weights_file
from fedsec_core.scenario import load
from fedsec_core.state import Layout, Networks
from fedsec_core.vocabulary import Role


class Two(nn.Module):
    """A body with BatchNorm, whose counter is an integer buffer, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.head = nn.Linear(4, 2)


def run_folder(folder: Path, *places: str, status: str = "done", weights: bool = True) -> Path:
    """Lay out a run folder with one federation in each of `places`."""
    for place in places:
        (folder / place).mkdir(parents=True)
        (folder / place / "run.json").write_text(f'{{"status": "{status}"}}')
        if weights:
            save_file({"x": torch.zeros(1)}, folder / place / "final.safetensors")
    return folder


def saved(file: Path, **tensors: Tensor) -> Path:
    """Write tensors, by name, to a safetensors file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    return file


# Which file


def test_a_start_is_a_file_a_federation_or_a_run_with_the_same_seed(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", "main/1", "main/2", "krum/1")
    file = saved(tmp_path / "w.safetensors", x=torch.zeros(1))
    assert weights_file(file, 7) == file
    assert weights_file(run / "krum/1", 7) == run / "krum/1/final.safetensors"
    assert weights_file(run, 2) == run / "main/2/final.safetensors"


def test_a_start_without_weights_says_what_there_is(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", "main/1", "krum/3")
    failed = run_folder(tmp_path / "failed", "main/1", status="failed", weights=False)
    pickled = tmp_path / "w.pt"
    pickled.write_bytes(b"")
    for start, message in (
        (run, f"{run}: has no main/3 to start seed 3 from; it has krum/3, main/1"),
        (run / "main", f"{run}/main: is not the folder of a run"),
        (failed / "main/1", f"{failed}/main/1: the run left no weights (failed)"),
        (pickled, f"{pickled}: expected a .safetensors file, or the folder of a run"),
        (tmp_path / "none", f"{tmp_path}/none: no such file or folder"),
    ):
        with pytest.raises(FedsecError) as error:
            weights_file(start, 3)
        assert str(error.value) == message


# Reading


def test_weights_are_read_by_name(tmp_path: Path) -> None:
    file = saved(tmp_path / "w.safetensors", a=torch.arange(3.0), b=torch.tensor(4))
    read = read_weights(file)
    assert sorted(read) == ["a", "b"]
    assert torch.equal(read["a"], torch.arange(3.0))
    assert torch.equal(read["b"], torch.tensor(4))


def test_a_truncated_file_is_refused_by_name(tmp_path: Path) -> None:
    file = saved(tmp_path / "w.safetensors", a=torch.arange(300.0))
    for length in (0, 4, 30, file.stat().st_size - 1):
        file.write_bytes(file.read_bytes()[:length])
        with pytest.raises(DataError) as error:
            read_weights(file)
        assert str(error.value).startswith(f"{file}: cannot be read as safetensors: ")
        saved(file, a=torch.arange(300.0))


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.write_text, (self.file, "sprung")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    pickle.loads(pickle.dumps(Trap(trap)))
    assert trap.exists()
    trap.unlink()
    file = tmp_path / "w.safetensors"
    torch.save({"a": Trap(trap)}, file)
    with pytest.raises(DataError):
        read_weights(file)
    file.write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(DataError):
        read_weights(file)
    assert not trap.exists()


# Fitting them to the network


def test_a_state_dict_packs_to_the_state_of_the_network() -> None:
    module = Two()
    module.body(torch.randn(5, 3))  # moves the buffers
    layout = Layout.of(module)
    packed = layout.pack(module.state_dict())
    assert packed.dtype == torch.float32
    assert packed.shape == (layout.size,)
    assert torch.equal(packed, Networks.of(module, layout).state())


@given(st.permutations([name for name in Two().state_dict() if not name.endswith("tracked")]))
def test_the_order_of_the_tensors_does_not_matter(names: list[str]) -> None:
    module = Two()
    state = module.state_dict()
    layout = Layout.of(module)
    shuffled = {name: state[name] for name in names}
    assert torch.equal(layout.pack(shuffled), layout.pack(state))
    assert weights_digest(shuffled) == weights_digest({name: state[name] for name in sorted(names)})


def test_private_parts_are_passed_over() -> None:
    module = Two()
    layout = Layout.of(module, ["body"])
    state = module.state_dict()
    state["head.weight"] = torch.zeros(9, 9)
    assert torch.equal(layout.pack(state), Networks.of(module, layout).state())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head.weight": None}, "the network needs 'head.weight' of shape [2, 4], which is missing"),
        (
            {"body.1.running_var": None},
            "the network needs 'body.1.running_var' of shape [4], which is missing",
        ),
        ({"head.weight": torch.zeros(5, 4)}, "the network needs 'head.weight' of shape [2, 4], got [5, 4]"),
        (
            {"head.bias": torch.zeros(2, dtype=torch.float16)},
            "the network needs 'head.bias' of shape [2] in float32, got torch.float16",
        ),
        ({"head.bias": torch.tensor([0.0, torch.nan])}, "'head.bias' holds values that are not finite"),
        (
            {"head.bias": None, "head.biass": torch.zeros(2)},
            "the network has no 'head.biass'; did you mean 'head.bias'?",
        ),
        ({"fc": torch.zeros(2)}, "the network has no 'fc'; its parts are body, head"),
    ],
)
def test_weights_of_another_network_are_refused(changes: dict[str, Tensor | None], message: str) -> None:
    state: dict[str, Tensor | None] = {**Two().state_dict(), **changes}
    with pytest.raises(FedsecError) as error:
        Layout.of(Two()).pack({name: tensor for name, tensor in state.items() if tensor is not None})
    assert str(error.value) == message


def test_integer_buffers_are_passed_over() -> None:
    state = Two().state_dict()
    counted = {**state, "body.1.num_batches_tracked": torch.tensor(99), "steps": torch.tensor([1])}
    assert torch.equal(Layout.of(Two()).pack(counted), Layout.of(Two()).pack(state))


def test_the_file_of_a_wrong_network_is_named(tmp_path: Path) -> None:
    state = {**Two().state_dict(), "head.bias": torch.zeros(5)}
    file = tmp_path / "w.safetensors"
    save_file(state, file)
    with pytest.raises(FedsecError) as error:
        initial_state(Layout.of(Two()), file, 1)
    assert str(error.value) == f"{file}: the network needs 'head.bias' of shape [2], got [5]"


# In the scenario


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Path]:
    """The folder of the scenario, the current one, and the one of FEDSEC_DATA."""
    folders = (tmp_path / "beside", tmp_path / "here", tmp_path / "shared")
    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[1])
    monkeypatch.setenv("FEDSEC_DATA", str(folders[2]))
    return folders


def written(folder: Path, tables: dict[str, Any]) -> Path:
    """Write a scenario into `folder`."""
    file = folder / "warm.toml"
    file.write_text(tomli_w.dumps(tables))
    return file


def faults_of(file: Path, **options: Any) -> list[str]:
    with pytest.raises(ScenarioError) as error:
        load(file, **options)
    return [str(fault) for fault in error.value.faults]


def test_a_relative_start_is_sought_beside_the_file_then_here_then_with_the_data(
    tables: dict[str, Any], places: tuple[Path, Path, Path]
) -> None:
    tables["model"]["start"] = "sub/w.safetensors"
    file = written(places[0], tables)
    for folder in reversed(places):
        expected = saved(folder / "sub/w.safetensors", x=torch.zeros(1))
        experiment = load(file)
        assert experiment.main.the(Role.MODEL).keys.start == expected
        assert experiment.resolved["main"]["model"]["start"] == str(expected)


def test_a_missing_start_is_a_fault_of_its_line(
    tables: dict[str, Any], places: tuple[Path, Path, Path]
) -> None:
    tables["model"]["start"] = "w.safetensors"
    file = written(places[0], tables)
    (line,) = [n for n, text in enumerate(file.read_text().splitlines(), 1) if text.startswith("start")]
    where = " or ".join(map(str, places))
    fault = f"{file}:{line}: model.start: no such file or folder: 'w.safetensors' in {where}"
    assert faults_of(file) == [fault]
    tables["model"]["start"] = "/nowhere/w.safetensors"
    fault = f"{file}:{line}: model.start: no such file or folder: '/nowhere/w.safetensors'"
    assert faults_of(written(places[0], tables)) == [fault]


def test_a_run_without_one_of_the_seeds_is_a_fault_of_its_line(
    tables: dict[str, Any], tmp_path: Path
) -> None:
    run = run_folder(tmp_path / "run", "main/1", "main/2")
    tables["scenario"]["seed"] = [1, 2, 3]
    tables["model"]["start"] = "run"
    tables["variant"] = [{"as": "slow", "set": {"train.lr": 0.01}}]
    file = written(tmp_path, tables)
    (line,) = [n for n, text in enumerate(file.read_text().splitlines(), 1) if text.startswith("start")]
    message = f"{run}: has no main/3 to start seed 3 from; it has main/1, main/2"
    assert faults_of(file) == [f"{file}:{line}: model.start: {message}"]
    assert load(file, seeds=[2, 1]).seeds == (2, 1)


def test_a_start_that_is_no_text_or_in_another_table_is_refused(
    tables: dict[str, Any], tmp_path: Path
) -> None:
    tables["model"]["start"] = 3
    tables["train"]["start"] = "w.safetensors"
    found = [
        fault.rpartition("warm.toml:")[2].split(":", 1)[1] for fault in faults_of(written(tmp_path, tables))
    ]
    assert found[0] == " model.start: expected a path, got 3"
    assert found[1].startswith(" train.start: unknown key")


def test_checking_a_scenario_with_a_start_imports_nothing_heavy(
    tables: dict[str, Any], tmp_path: Path
) -> None:
    run_folder(tmp_path / "run", "main/1")
    tables["model"]["start"] = "run"
    code = (
        "import sys\nfrom fedsec_core.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print(*sys.modules)"
    )
    command = [sys.executable, "-c", code, "check", str(written(tmp_path, tables))]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "safetensors"} & set(ran.stdout.splitlines()[-1].split())


# The key


def key(tables: dict[str, Any], *, seed: int = 1) -> str:
    return key_of(load(tables).main, seed, twin=False, data_digest="d")


def test_the_key_covers_the_weights_and_not_where_they_lie(tables: dict[str, Any], tmp_path: Path) -> None:
    def started(file: Path) -> str:
        return key({**tables, "model": {"use": "perceptron", "start": str(file)}})

    ones, zeros = torch.ones(2, 3), torch.zeros(2, 3)
    first = saved(tmp_path / "a/w.safetensors", x=ones, y=zeros)
    copy = saved(tmp_path / "b/other.safetensors", y=zeros, x=ones)
    save_file({"x": ones, "y": zeros}, tmp_path / "c.safetensors", metadata={"made": "by hand"})
    run = run_folder(tmp_path / "run", "main/1")
    saved(run / "main/1/final.safetensors", x=ones, y=zeros)
    same = {started(file) for file in (first, copy, tmp_path / "c.safetensors", run, run / "main/1")}
    assert len(same) == 1
    others = [
        saved(tmp_path / "1.safetensors", x=ones, y=ones.clone()),
        saved(tmp_path / "2.safetensors", y=ones, x=zeros),
        saved(tmp_path / "3.safetensors", x=ones.reshape(3, 2), y=zeros),
        saved(tmp_path / "4.safetensors", x=ones, y=zeros.to(torch.int32)),
        saved(tmp_path / "5.safetensors", x=ones, z=zeros),
    ]
    assert len({key(tables), *same, *map(started, others)}) == 2 + len(others)


def test_the_parts_of_the_key_say_that_the_weights_changed(tables: dict[str, Any], tmp_path: Path) -> None:
    file = saved(tmp_path / "w.safetensors", x=torch.zeros(1))
    tables["model"]["start"] = str(file)
    main = load(tables).main
    before = key_parts(main, 1, twin=False, data_digest="d")
    saved(file, x=torch.ones(1))
    after = key_parts(main, 1, twin=False, data_digest="d")
    assert [name for name in before if before[name] != after[name]] == ["start"]


def test_each_seed_of_a_run_has_its_own_weights(tables: dict[str, Any], tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", "main/1", "main/2")
    saved(run / "main/2/final.safetensors", x=torch.ones(1))
    tables["model"]["start"] = str(run)
    main = load(tables).main
    one, two = (key_parts(main, seed, twin=False, data_digest="d")["start"] for seed in (1, 2))
    assert one != two


# The run


@pytest.fixture
def clean(tables: dict[str, Any], tmp_path: Path) -> fedsec_core.Result:
    """A finished run of two seeds, with BatchNorm, so that buffers travel."""
    tables["model"]["norm"] = True
    tables["scenario"]["seed"] = [1, 2]
    return fedsec_core.run(tables, out=tmp_path / "clean", report=False)


def test_round_0_is_the_weights_and_buffers_that_were_given(
    clean: fedsec_core.Result, tables: dict[str, Any], tmp_path: Path
) -> None:
    tables["model"]["start"] = str(clean.folder)
    warm = fedsec_core.run(tables, out=tmp_path / "warm", report=False)
    for seed in (1, 2):
        ended, began = clean.of(seed=seed).rounds[-1], warm.of(seed=seed).rounds[0]
        assert began["digests"]["state"] == ended["digests"]["state"]
        assert began["metrics"]["witness.accuracy"] == ended["metrics"]["witness.accuracy"]
        assert [event["round"] for event in warm.of(seed=seed).rounds] == [0, 1, 2, 3]
        assert warm.of(seed=seed).facts["key"] != clean.of(seed=seed).facts["key"]


def test_copies_of_the_weights_anywhere_give_one_key_and_one_digest(
    clean: fedsec_core.Result, tables: dict[str, Any], tmp_path: Path
) -> None:
    weights = load_file(clean.of(seed=1).folder / "final.safetensors")
    found = set()
    for place in ("a/w.safetensors", "b/copy.safetensors"):
        tables["model"]["start"] = str(saved(tmp_path / place, **weights))
        run = fedsec_core.run(tables, out=tmp_path / "warm", seeds=[1], report=False).of()
        found.add((run.facts["key"], run.facts["digest"]))
    tables["model"]["start"] = str(clean.of(seed=1).folder)
    run = fedsec_core.run(tables, out=tmp_path / "warm", seeds=[1], report=False).of()
    assert found == {(run.facts["key"], run.facts["digest"])}


def test_the_resolved_scenario_of_a_warm_start_runs_again_from_anywhere(
    clean: fedsec_core.Result, tables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clean.folder.parent)
    tables["model"]["start"] = clean.folder.name
    first = fedsec_core.run(tables, out=tmp_path / "a", report=False)
    resolved = tomli.loads((first.folder / "scenario.toml").read_text())
    assert resolved["model"]["start"] == str(clean.folder)
    monkeypatch.chdir(tmp_path)
    again = fedsec_core.run(first.folder / "scenario.toml", out=tmp_path / "b", report=False)
    for one, other in zip(first.federations, again.federations, strict=True):
        assert one.facts["key"] == other.facts["key"]
        assert one.facts["digest"] == other.facts["digest"]


def test_a_run_refuses_the_weights_of_another_network(
    clean: fedsec_core.Result, tables: dict[str, Any], tmp_path: Path
) -> None:
    tables["model"] |= {"start": str(clean.folder), "hidden": 5}
    with pytest.raises(FedsecError) as error:
        fedsec_core.run(tables, out=tmp_path / "warm", report=False)
    file = clean.of(seed=1).folder / "final.safetensors"
    name, (width, inputs) = next(
        (name, tensor.shape)
        for name, tensor in load_file(file).items()
        if tensor.ndim == 2 and "body" in name
    )
    assert width == 8
    assert str(error.value) == f"{file}: the network needs {name!r} of shape [5, {inputs}], got [8, {inputs}]"


def test_what_a_warm_start_left_can_be_read_when_the_weights_are_gone(
    clean: fedsec_core.Result, tables: dict[str, Any], tmp_path: Path
) -> None:
    tables["model"]["start"] = str(clean.folder)
    warm = fedsec_core.run(tables, out=tmp_path / "warm", report=False)
    shutil.rmtree(clean.folder)
    assert isinstance(fedsec_core.open_run(warm.folder).networks(seed=2), torch.nn.Module)
    assert fedsec_core.resume(warm.folder).of(seed=2).facts["digest"] == warm.of(seed=2).facts["digest"]
    with pytest.raises(FedsecError, match="no such file or folder"):
        list(fedsec_core.verify(warm.folder))

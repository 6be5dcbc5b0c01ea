"""The run folder: what is in it, what its key covers, and that it can be opened and run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tomli
import torch

import fedsec_core
from fedsec_core.course import Course
from fedsec_core.errors import FedsecError
from fedsec_core.federation import Federation
from fedsec_core.measuring import Measuring
from fedsec_core.runs.key import code_of, key_of, key_parts
from fedsec_core.scenario import load


@pytest.fixture
def experiment(tables: dict[str, Any], puppet: dict[str, Any]) -> dict[str, Any]:
    """A scenario with an attack, a twin, a variant, two seeds and a claim."""
    tables["scenario"] |= {"seed": [1, 2], "twin": True}
    tables["attack"] = [puppet]
    tables["variant"] = [{"as": "slow", "set": {"train.lr": 0.01}}]
    claim = {"says": "Slow is worse", "metric": "witness.accuracy", "op": ">=", "than": "slow"}
    tables["claim"] = [claim]
    return tables


def test_an_experiment_writes_one_folder_with_everything_in_it(
    experiment: dict[str, Any], tmp_path: Path
) -> None:
    result = fedsec_core.run(experiment, out=tmp_path)
    assert result.folder.parent == tmp_path
    assert result.folder.name == f"tiny-{result.of().facts['key'][:8]}"
    places = {str(each.folder.relative_to(result.folder)) for each in result.federations}
    assert places == {
        f"{variant}/{seed}" for variant in ("main", "main.twin", "slow", "slow.twin") for seed in (1, 2)
    }
    files = {file.name for file in result.folder.iterdir() if file.is_file()}
    assert files == {"scenario.toml", "plan.json", "summary.json", "table.txt", "report.html"}
    main = result.of()
    assert {file.name for file in main.folder.iterdir()} == {
        "run.json",
        "metrics.jsonl",
        "final.safetensors",
        "images",
    }
    assert main.facts["status"] == "done"
    assert len(main.facts["attackers"]["puppet"]) == 2
    assert {"torch", "python", "fedsec-core", "fedsec-basics"} <= main.facts["versions"].keys()
    assert [event["round"] for event in main.rounds] == [0, 1, 2, 3]
    assert main.rounds[2]["attacking"] == main.facts["attackers"]["puppet"]
    told = {each["label"]: each["told"] for each in main.facts["components"]}
    assert told["puppet"] == ["own_data", "own_updates"]


def test_the_resolved_scenario_runs_again_to_the_same_keys_and_digests(
    experiment: dict[str, Any], tmp_path: Path
) -> None:
    first = fedsec_core.run(experiment, out=tmp_path / "a", report=False)
    again = fedsec_core.run(first.folder / "scenario.toml", out=tmp_path / "b", report=False)
    for one, other in zip(first.federations, again.federations, strict=True):
        assert (one.variant, one.seed, one.twin) == (other.variant, other.seed, other.twin)
        assert one.facts["key"] == other.facts["key"]
        assert one.facts["digest"] == other.facts["digest"]


def test_the_resolved_scenario_spells_out_every_default(tables: dict[str, Any], tmp_path: Path) -> None:
    folder = fedsec_core.run(tables, out=tmp_path, report=False).folder
    resolved = tomli.loads((folder / "scenario.toml").read_text())
    assert resolved["train"]["momentum"] == 0.0
    assert resolved["evaluate"][0]["on"] == "test"
    assert resolved["aggregate"]["weights"] == "examples"


def test_a_run_can_be_opened_again(experiment: dict[str, Any], tmp_path: Path) -> None:
    result = fedsec_core.run(experiment, out=tmp_path, report=False)
    opened = fedsec_core.open_run(result.folder)
    assert opened.metrics == result.metrics
    assert str(opened.table()) == str(result.table())
    assert opened.claims == result.claims
    assert opened.metrics["witness.accuracy"].keys() == {0, 1, 2, 3}


def test_the_trained_module_comes_back(tables: dict[str, Any], tmp_path: Path) -> None:
    tables["model"]["norm"] = True
    result = fedsec_core.run(tables, out=tmp_path, report=False)
    module = fedsec_core.open_run(result.folder).networks()
    federation = Federation(load(tables).main, 1)
    list(Course(federation).run())
    _, test = federation.executor.evaluation_data()
    accuracy = float((module(test.x).argmax(1) == test.y).double().mean())
    assert accuracy == result.of().final["witness.accuracy"]
    with torch.no_grad():
        expected = Measuring(federation).view(3, ()).predict(test.x)
        torch.testing.assert_close(module(test.x), expected)


def test_a_repeated_run_gets_a_folder_of_its_own_and_copies_finished_twins(
    experiment: dict[str, Any], tmp_path: Path
) -> None:
    first = fedsec_core.run(experiment, out=tmp_path, report=False)
    second = fedsec_core.run(experiment, out=tmp_path, report=False)
    assert second.folder.name == f"{first.folder.name}-2"
    copied = {
        (each.variant, each.twin): each.facts.get("copied_from") is not None for each in second.federations
    }
    assert copied == {
        ("main", False): False,
        ("main", True): True,
        ("slow", False): True,
        ("slow", True): True,
    }
    assert [each.facts["digest"] for each in first.federations] == [
        each.facts["digest"] for each in second.federations
    ]


def key(tables: dict[str, Any], *, seed: int = 1, twin: bool = False, data: str = "d") -> str:
    return key_of(load(tables).main, seed, twin=twin, data_digest=data)


def test_the_key_covers_everything_that_can_change_a_result(
    experiment: dict[str, Any], tmp_path: Path
) -> None:
    base = key(experiment)
    others = [
        key(experiment, seed=2),
        key(experiment, twin=True),
        key(experiment, data="e"),
        key({**experiment, "train": {**experiment["train"], "batch": 16}}),
        key({**experiment, "aggregate": {"use": "mean", "weights": "equal"}}),
        key({**experiment, "scenario": {**experiment["scenario"], "rounds": 4}}),
    ]
    assert len({base, *others}) == len(others) + 1


def test_the_key_ignores_name_claims_and_where_files_lie(experiment: dict[str, Any], tmp_path: Path) -> None:
    base = key(experiment)
    renamed = {**experiment, "scenario": {**experiment["scenario"], "name": "other"}, "claim": []}
    assert key(renamed) == base
    moved = {**experiment, "data": {**experiment["data"], "folder": str(tmp_path)}}
    assert key(moved) == key({**moved, "data": {**moved["data"], "folder": str(tmp_path / "else")}})


def test_the_key_ignores_how_the_scenario_is_executed(experiment: dict[str, Any]) -> None:
    base = key(experiment)
    assert key({**experiment, "execute": {"workers": 3, "checkpoint_every": 7}}) == base


@pytest.mark.parametrize(
    ("changes", "data", "changed"),
    [
        ({}, "d", []),
        ({}, "e", ["data"]),
        ({"train": {"use": "sgd", "lr": 0.2}}, "d", ["scenario"]),
        ({"data": {"use": "quadrants", "folder": "other"}}, "d", ["files"]),
    ],
)
def test_the_parts_of_the_key_say_what_changed(
    tables: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    data: str,
    changed: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").write_text("1")
    (tmp_path / "other").write_text("2")
    tables["data"]["folder"] = "one"

    def parts(tables: dict[str, Any], data: str) -> dict[str, str]:
        return key_parts(load(tables).main, 1, twin=False, data_digest=data)

    before, after = parts(tables, "d"), parts({**tables, **changes}, data)
    assert [name for name in before if before[name] != after[name]] == changed
    code = {"code fedsec-core", "code fedsec-basics", "code fedsec-test-components"}
    assert before.keys() == {"scenario", "files", "data", "device", "versions", "start", *code}
    assert (key({**tables, **changes}, data=data) != key(tables)) is bool(changed)


def test_changed_source_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "module_of_another_name"
    module.mkdir()
    (module / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    found = set()
    for text in ("rule = 1", "rule = 2", "rule = 1"):
        (module / "rule.py").write_text(text)
        code_of.cache_clear()
        found.add(code_of("fedsec-not-installed", (module.name,)))
    assert len(found) == 2


def test_the_code_of_every_distribution_that_takes_part_is_in_the_key(
    experiment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedsec_core.runs import key as keys

    asked = {}
    monkeypatch.setattr(keys, "code_of", lambda name, modules: asked.setdefault(name, modules))
    key(experiment)
    assert asked["fedsec-core"] == ("fedsec_core",)
    assert asked["fedsec-test-components"] == ("fedsec_test_components",)
    assert asked["fedsec-basics"] == ("fedsec_basics",)


def test_code_that_a_plugin_rests_on_is_in_the_key_though_it_takes_no_part_itself(
    experiment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedsec_core.runs import key as keys

    asked = {}
    monkeypatch.setattr(keys, "code_of", lambda name, modules: asked.setdefault(name, modules))
    monkeypatch.setattr(keys, "underneath", lambda name: ("fedsec-fonts",) * (name == "fedsec-basics"))
    key(experiment)
    assert asked["fedsec-fonts"] == ("fedsec_fonts",)


def test_underneath_are_the_editable_requirements_of_requirements() -> None:
    from fedsec_core.sources import underneath

    assert underneath("fedsec-feddetect") == ("fedsec-backdoors", "fedsec-basics", "fedsec-core")
    assert underneath("fedsec-not-installed") == ()


def test_the_parts_of_the_key_name_the_distribution_whose_code_changed(
    tables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedsec_core.runs import key as keys

    main = load(tables).main
    before = key_parts(main, 1, twin=False, data_digest="d")
    code = keys.code_of
    monkeypatch.setattr(
        keys, "code_of", lambda name, modules: "new" if name == "fedsec-basics" else code(name, modules)
    )
    after = key_parts(main, 1, twin=False, data_digest="d")
    assert [name for name in before if before[name] != after[name]] == ["code fedsec-basics"]


def test_a_claim_about_an_end_that_was_not_reached_is_undecided(
    tables: dict[str, Any], tmp_path: Path
) -> None:
    tables["aggregate"] = {"use": "sum", "awry": "explodes", "since": 2}
    claim = {"metric": "witness.accuracy", "op": "<=", "value": 1.0}
    tables["claim"] = [{**claim, "says": "at the end"}, {**claim, "says": "at round 1", "at": 1}]
    end, reached = fedsec_core.run(tables, out=tmp_path, report=False).claims
    assert (end.verdict, end.why) == ("undecided", "main ended diverged at seed 1")
    assert reached.verdict == "holds"


def test_claims_are_checked_on_the_mean_of_the_seeds(experiment: dict[str, Any], tmp_path: Path) -> None:
    claim = {"metric": "witness.accuracy", "op": "<=", "value": 1.0}
    experiment["claim"] = [
        {**claim, "says": "holds"},
        {**claim, "says": "fails", "value": -1.0},
        {**claim, "says": "undecided", "metric": "witness.nothing"},
        {**claim, "says": "unknown", "metric": "witness.acuracy"},
        {"says": "twin", "metric": "witness.samples", "op": ">=", "than": "twin", "at": "last 2", "by": -1},
        {"says": "round", "metric": "witness.samples", "op": "<=", "than": "slow", "at": 2, "by": 1},
    ]
    checked = fedsec_core.run(experiment, out=tmp_path, report=False).claims
    verdicts = [claim.verdict for claim in checked]
    assert verdicts == ["holds", "fails", "undecided", "undecided", "holds", "fails"]
    assert checked[2].why == "witness.nothing is undefined at seed 1 of main"
    assert checked[3].why == "main measured no 'witness.acuracy'; did you mean 'witness.accuracy'?"
    assert checked[5].why == "witness.samples of main is 64, to be <= 63 (slow has 64)"


def test_the_table_shows_mean_and_spread_over_the_seeds(experiment: dict[str, Any], tmp_path: Path) -> None:
    result = fedsec_core.run(experiment, out=tmp_path, report=False)
    table = result.table()
    assert table.columns == ("main", "main.twin", "slow", "slow.twin")
    cell = table.rows["witness.accuracy"][0]
    one, two = (result.of(seed=seed).final["witness.accuracy"] for seed in (1, 2))
    assert one is not None
    assert two is not None
    assert cell.mean == pytest.approx((one + two) / 2)
    assert cell.spread == pytest.approx(abs(one - two) / 2**0.5)
    assert str(table.rows["witness.nothing"][0]) == "-"


def test_a_fault_keeps_the_rounds_that_were_finished(tables: dict[str, Any], tmp_path: Path) -> None:
    tables["aggregate"] = {"use": "sum", "awry": "raises", "since": 3}
    with pytest.raises(FedsecError, match="failed in aggregate_updates: RuntimeError: singular matrix"):
        fedsec_core.run(tables, out=tmp_path)
    (folder,) = tmp_path.glob("tiny-*")
    result = fedsec_core.open_run(folder)
    assert [event["round"] for event in result.of().rounds] == [0, 1, 2]
    assert result.of().status == "failed"
    assert "singular matrix" in result.of().facts["why"]
    assert (folder / "report.html").exists()


def test_an_unfinished_last_line_is_left_out(tables: dict[str, Any], tmp_path: Path) -> None:
    folder = fedsec_core.run(tables, out=tmp_path, report=False).folder
    events = folder / "main" / "1" / "metrics.jsonl"
    lines = events.read_text().splitlines(keepends=True)
    events.write_text("".join(lines[:2]) + lines[2][:30])
    assert [event["round"] for event in fedsec_core.open_run(folder).of().rounds] == [0, 1]


def test_results_hold_no_nan_and_nothing_pickled(experiment: dict[str, Any], tmp_path: Path) -> None:
    folder = fedsec_core.run(experiment, out=tmp_path, report=False).folder
    for file in folder.rglob("*"):
        if file.suffix in (".json", ".jsonl"):
            for line in [file.read_text()] if file.suffix == ".json" else file.read_text().splitlines():
                json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} in a result"))
        assert file.is_dir() or file.suffix in (".json", ".jsonl", ".toml", ".txt", ".png", ".safetensors")


def test_opening_something_else_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FedsecError, match="is not a run folder"):
        fedsec_core.open_run(tmp_path)


def test_the_callers_thread_count_comes_back(tables: dict[str, Any], tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fedsec_core.run(tables, out=tmp_path, report=False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

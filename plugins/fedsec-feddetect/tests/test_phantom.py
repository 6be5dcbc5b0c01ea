"""The packaged scenario on embedded data: the loss tells, FedDetect acts, the trigger leaks or does not."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import tomli

import fedsec_core
from fedsec_core.scenario import load


@pytest.mark.timeout(900)  # a minute of one core; a machine that is shared may take its time
def test_the_attack_shows_in_the_losses_and_feddetect_stops_it(tmp_path: Path) -> None:
    result = fedsec_core.run("fedsec-feddetect:phantom", out=tmp_path)
    assert [claim.verdict for claim in result.claims] == ["holds", "holds", "holds"]
    (attacker,) = result.of().facts["attackers"]["fedgan-backdoor"]
    columns = result.of("main").end["tables"]["generation.losses"]["columns"]
    assert columns["round"] == list(range(1, 14))
    losses = {int(name.split()[-1]): each for name, each in columns.items() if name.startswith("mean_gen")}
    assert all(max(losses, key=lambda client: losses[client][place]) == attacker for place in range(6, 13))
    verdicts = [event["verdicts"]["feddetect"] for event in result.of("feddetect").rounds[4:]]
    assert all(verdict["flagged"][attacker] for verdict in verdicts)
    # the control: whatever the same defence does to honest clients, the figures say what the verdicts did
    control = result.of("clean-feddetect")
    trust = control.rounds[-1]["verdicts"]["feddetect"]["trust"]
    assert control.final["suppression.honest_suppressed"] == sum(value < 0.5 for value in trust)
    assert 0 < control.final["suppression.honest_entropy"] <= 1
    assert control.final["suppression.malicious_share"] is None
    page = (result.folder / "report.html").read_text(encoding="utf-8")
    assert "generation.progress" in page


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one output folder for all: the reference classifier is trained once."""
    return tmp_path_factory.mktemp("out")


def small(name: str) -> dict[str, Any]:
    """Return a shipped scenario, with embedded data and next to no training."""
    tables = tomli.loads((files("fedsec_feddetect") / f"scenarios/{name}.toml").read_text(encoding="utf-8"))
    tables["scenario"] |= {"rounds": 2, "seed": 1}
    tables["data"] = {"use": "phantom", "train": 90, "val": 16, "test": 24, "server": 16}
    tables["model"]["width"] = 2
    tables["train"] |= {"steps": 1, "batch": 8}
    for each in tables["evaluate"]:
        each |= {"generation": {"samples": 16}, "augmentation": {"steps": 1, "repeats": 1}}.get(
            each["use"], {}
        )
    for table in (tables, *tables["variant"]):
        for each in (*table.get("detect", ()), *table.get("shadow", ())):
            each["trees"] = 5
    return tables


@pytest.mark.parametrize("name", ["blood", "blood-six", "blood-liar", "blood-wgan"])
def test_every_variant_that_is_shipped_runs_in_small(name: str, out: Path) -> None:
    result = fedsec_core.run(small(name), out=out, workers=1, report=False)
    assert {each.variant for each in result.federations} == set(load(f"fedsec-feddetect:{name}").scenarios())
    assert {each.status for each in result.federations} == {"done"}
    digests = {each.variant: each.facts["digest"] for each in result.federations}
    assert digests["main"] != digests["clean"]
    for each in result.federations:
        assert bool(each.facts["attackers"]["fedgan-backdoor"]) != ("clean" in each.variant)
        assert each.final["generation.fd_clf"] is not None


@pytest.mark.parametrize("of", ["", "-six", "-wgan"])
def test_on_radiographs_they_ask_what_they_ask_on_blood_cells(of: str) -> None:
    blood, radiographs = (small(f"{data}{of}") for data in ("blood", "pneumonia"))
    for tables in (blood, radiographs):
        tables["scenario"].pop("name")
        # the detectors that `blood` alone is watched by
        for table in (tables, *tables["variant"]):
            table.pop("shadow", None)
    assert radiographs == blood


@pytest.mark.parametrize(
    "name", ["blood", "blood-six", "blood-liar", "blood-wgan", "pneumonia", "pneumonia-six", "pneumonia-wgan"]
)
def test_what_is_shipped_has_three_seeds(name: str) -> None:
    assert load(f"fedsec-feddetect:{name}").seeds == (1, 2, 3)

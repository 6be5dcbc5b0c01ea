"""The packaged scenarios: the backdoor lasts on embedded data, and every variant can be run."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import tomli

import fedsec_core
from fedsec_core.scenario import load


@pytest.mark.timeout(900)  # a minute of one core; a machine that is shared may take its time
def test_the_backdoor_outlives_its_attacker(tmp_path: Path) -> None:
    result = fedsec_core.run("fedsec-durable-backdoor:phantom", variants=["main", "clean"], out=tmp_path)
    assert [claim.verdict for claim in result.claims] == ["holds", "holds", "holds"]
    runs = {each.variant: each for each in result.federations}
    # until the attack begins they are one federation, and in its first round the honest do the same
    states = [[event["digests"]["state"] for event in each.rounds] for each in runs.values()]
    assert len({tuple(each[:21]) for each in states}) == 1
    assert len({each[21] for each in states}) == 2
    assert len({each.rounds[21]["digests"]["honest_rows"] for each in runs.values()}) == 1
    assert {each.final["durability.departure"] for each in runs.values()} == {28}
    for each in runs.values():
        asr = [event["metrics"]["backdoor.asr"] for event in each.rounds]
        assert [each.final[f"durability.asr_after_{later}"] for later in (0, 4, 8)] == [
            asr[28],
            asr[32],
            asr[36],
        ]
    assert runs["clean"].final["durability.lifespan"] == 0
    page = (result.folder / "report.html").read_text(encoding="utf-8")
    assert "durability.curve" in page
    assert "backdoor.synthetic" in page


SHORT = {1: 1, 5: 3, 10: 2, 20: 8}
"""The last round of an attack in small, by that of the scenario."""


def shipped(name: str) -> dict[str, Any]:
    """Return a shipped scenario."""
    text = (files("fedsec_durable_backdoor") / f"scenarios/{name}.toml").read_text(encoding="utf-8")
    return tomli.loads(text)


def small(name: str) -> dict[str, Any]:
    """Return a shipped scenario, with embedded data and next to no training."""
    tables = shipped(name)
    rounds = 9 if name == "blood-presence" else 3
    tables["scenario"] |= {"rounds": rounds, "seed": 1}
    server = {"server": 30} if "server" in tables["data"] else {}
    tables["data"] = {"use": "phantom", "train": 150, "val": 10, "test": 30, **server}
    tables["model"] |= {"channels": [4, 4], "hidden": 8}
    tables["train"] |= {"steps": 1, "batch": 8}
    for attack in tables.get("attack", ()):
        attack |= {"gan_steps": 2, "gan_steps_later": 1, "gan_batch": 8, "gan_width": 2, "tries": 1}
    for table in (tables, *tables.get("variant", ())):
        changes = table.get("set", {})
        if "scenario.rounds" in changes:
            changes["scenario.rounds"] = rounds
        windows = [attack["rounds"] for attack in table.get("attack", ())]
        for window in (*windows, *(value for key, value in changes.items() if key.endswith(".rounds"))):
            if isinstance(window, dict):
                window["stop"] = SHORT[window["stop"]]
        if "attack.backdoor.look_ahead" in changes:
            changes["attack.backdoor.look_ahead"] = 1
    return tables


@pytest.mark.timeout(600)  # thirty federations, on a machine that may be shared
@pytest.mark.parametrize(
    "name",
    ["blood", "blood-defences", "blood-epochs", "blood-lengths", "blood-presence", "pneumonia", "retina"],
)
def test_every_variant_that_is_shipped_runs_in_small(name: str, tmp_path: Path) -> None:
    assert len(load(f"fedsec-durable-backdoor:{name}").seeds) == (
        3 if name in ("blood-defences", "blood-presence") else 5
    )
    result = fedsec_core.run(small(name), out=tmp_path, workers=1, report=False)
    names = set(load(f"fedsec-durable-backdoor:{name}").scenarios())
    assert {each.variant for each in result.federations} == names
    assert {each.status for each in result.federations} == {"done"}
    several = [each.variant for each in result.federations if len(each.facts["attackers"]["backdoor"]) != 1]
    assert several == (["dba", "clean-four"] if name == "blood" else [])
    digests = {each.variant: each.facts["digest"] for each in result.federations}
    # another method is another run: nothing that a variant names is without effect
    assert len(set(digests.values())) == len(digests)


@pytest.mark.parametrize(
    ("name", "warm"),
    [
        ("blood", "warm-blood"),
        ("blood-epochs", "warm-blood"),
        ("blood-presence", "warm-blood"),
        ("blood-lengths", "warm-blood"),
        ("blood-defences", "warm-blood-defences"),
        ("pneumonia", "warm-pneumonia"),
        ("retina", "warm-retina"),
    ],
)
def test_what_it_starts_from_is_the_same_federation_without_an_attack(name: str, warm: str) -> None:
    later, first = shipped(name), shipped(warm)
    assert "attack" not in first
    for table in ("data", "model", "partition", "train", "aggregate"):
        assert first[table] == later[table]

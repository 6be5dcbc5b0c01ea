"""The quickstart, as `make demo` runs it, without a network: its claims hold and its report opens offline."""

from __future__ import annotations

from pathlib import Path

import pytest

import fedsec_core


@pytest.mark.timeout(600)  # forty seconds of one core; a machine that is shared may take its time
def test_the_quickstart_shows_a_backdoor_and_a_defence(tmp_path: Path) -> None:
    result = fedsec_core.run("fedsec-basics:quickstart", out=tmp_path)
    assert [claim.verdict for claim in result.claims] == ["holds", "holds", "holds"]
    assert {(each.variant, each.twin) for each in result.federations} == {
        ("main", False),
        ("main", True),
        ("multi-krum", False),
        ("multi-krum", True),
    }
    assert len(result.of().facts["attackers"]["badnets"]) == 2
    page = (result.folder / "report.html").read_text(encoding="utf-8")
    assert "badnets.asr" in page
    assert 'src="http' not in page


def test_two_attacked_rounds_of_the_quickstart_repeat_bit_by_bit(tmp_path: Path) -> None:
    options = {"scenario.rounds": 3, "data.train": 300, "data.test": 100}
    first, second = (
        fedsec_core.run("fedsec-basics:quickstart", set=options, out=tmp_path / name, report=False)
        for name in ("a", "b")
    )
    for one, other in zip(first.federations, second.federations, strict=True):
        assert one.facts["digest"] == other.facts["digest"]
        assert [event["digests"] for event in one.rounds] == [event["digests"] for event in other.rounds]

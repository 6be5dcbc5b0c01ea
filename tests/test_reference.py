"""What evaluation keeps between runs is made anew when the inputs, or the code that made it, change."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from fedsec_core import reference

made: list[float] = []


def build(value: float) -> dict[str, Tensor]:
    made.append(value)
    return {"value": torch.tensor([value])}


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    made.clear()


def test_the_same_inputs_are_computed_once(tmp_path: Path) -> None:
    for value in (1.0, 2.0, 1.0):
        assert reference.cached(tmp_path, "value", build, [value])["value"].tolist() == [value]
    assert made == [1.0, 2.0]


def test_nothing_is_kept_without_a_folder() -> None:
    for _ in range(2):
        reference.cached(None, "value", build, [1.0])
    assert made == [1.0, 1.0]


def test_other_code_underneath_computes_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for facts in (("old",), ("new",), ("old",)):
        monkeypatch.setattr(reference, "_footing", lambda module, facts=facts: facts)
        reference.cached(tmp_path, "value", build, [1.0])
    assert made == [1.0, 1.0]


def test_a_plugin_stands_on_its_own_code_that_of_what_it_requires_and_on_versions() -> None:
    facts = reference._footing("fedsec_feddetect")
    # its own, and fedsec-backdoors, fedsec-basics and fedsec-core, which are worked on beside it
    assert len({fact for fact in facts if " " not in fact}) == 4
    assert f"torch {torch.__version__}" in facts
    assert reference._footing("a_module_of_no_distribution") == ()

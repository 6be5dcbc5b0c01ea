"""Checkpoints on disk: what they hold, that nothing in them is unpickled, and what damage is called."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

import fedsec_core
from fedsec_core import stored
from fedsec_core.errors import FedsecError
from fedsec_core.execution.launching import Nursery
from fedsec_test_components.comparing import Stopping

DAMAGED = "it is damaged, or was not written by fedsec"

PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(), st.binary()
)
KEYS = st.one_of(st.text(), st.integers(-(2**62), 2**62), st.tuples(st.integers(0, 9), st.text()))
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
    ),
    max_leaves=12,
)


@pytest.fixture
def stopped(tmp_path: Path) -> Callable[..., Path]:
    """Play tables until a round is written down and return the run folder."""

    def stop(tables: dict[str, Any], after: int = 3, **options: Any) -> Path:
        with pytest.raises(KeyboardInterrupt):
            fedsec_core.run(tables, out=tmp_path / "out", report=False, watcher=Stopping(after), **options)
        (folder,) = (tmp_path / "out").glob("*-*")
        return folder

    return stop


@given(value=VALUES)
@example(value=b"")
def test_plain_values_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "plain.pt"
    stored.write(file, {"it": value}, "it")
    # True is 1 and 1.0 is 1, but not to whoever gets them back
    assert repr(stored.read(file)) == repr({"it": value})


def test_tensors_come_back_to_the_bit_and_a_view_without_what_it_looks_into(tmp_path: Path) -> None:
    whole = torch.randn(1000, 1000, generator=torch.Generator().manual_seed(0))
    stored.write(tmp_path / "view.pt", {"row": whole[3], "empty": torch.zeros(0)}, "it")
    found = stored.read(tmp_path / "view.pt")
    assert torch.equal(found["row"], whole[3])
    assert found["empty"].shape == (0,)
    assert (tmp_path / "view.pt").stat().st_size < 10_000


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {2, 3}]}, "it.a[1] is a set: memory holds tensors, plain values and bytes"),
        ({"a": Path("x")}, "it.a is a PosixPath: memory holds tensors, plain values and bytes"),
        ({frozenset(): 1}, "a key of it is a frozenset: memory holds tensors, plain values and bytes"),
    ],
)
def test_what_memory_cannot_hold_is_named_and_nothing_is_written(
    tmp_path: Path, value: Any, message: str
) -> None:
    with pytest.raises(FedsecError) as error:
        stored.write(tmp_path / "it.pt", value, "it")
    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_memory_that_cannot_be_kept_names_client_and_component(
    remembering: dict[str, Any], tmp_path: Path, nursery: Nursery, workers: int
) -> None:
    remembering["evaluate"] = [{"use": "witness"}]
    remembering["protect"] = [{"use": "shield", "remembers": "set"}]
    with pytest.raises(FedsecError) as error:
        fedsec_core.run(remembering, out=tmp_path, report=False, workers=workers, nursery=nursery)
    first = min(fedsec_core.open_run(next(tmp_path.glob("remembering-*"))).of().rounds[1]["cohort"])
    what = f"client {first}.shield.odd is a set"
    assert str(error.value) == f"{what}: memory holds tensors, plain values and bytes"


def test_a_checkpoint_goes_on_after_the_last_round_that_has_one(
    stopped: Callable[..., Path], remembering: dict[str, Any]
) -> None:
    remembering["execute"] = {"checkpoint_every": 2}
    folder = stopped(remembering)
    checkpoint = folder / "main" / "1" / "checkpoint"
    assert [file.name for file in checkpoint.glob("*.pt")] == ["round-2.pt"]
    played = [event["cohort"] for event in fedsec_core.open_run(folder).of().rounds[1:3]]
    assert sorted(file.name for file in (checkpoint / "clients").iterdir()) == [
        f"{client}-2.pt" for client in sorted({*played[0], *played[1]})
    ]


def test_no_checkpoint_is_left_when_a_run_is_finished(remembering: dict[str, Any], tmp_path: Path) -> None:
    run = fedsec_core.run(remembering, out=tmp_path, report=False).of()
    assert sorted(file.name for file in run.folder.iterdir()) == [
        "final.safetensors",
        "images",
        "metrics.jsonl",
        "run.json",
    ]


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def garble(file: Path) -> None:
    file.write_bytes(b"\x93not a checkpoint at all\xff" * 40)


def flip(file: Path) -> None:
    """Change one byte of a tensor."""
    content = file.read_bytes()
    at = content.index(b"/data/0") + 200
    file.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])


def hold_a_list(file: Path) -> None:
    torch.save([1, 2], file)


@pytest.mark.parametrize("damage", [halve, empty, garble, flip, hold_a_list])
@pytest.mark.parametrize("which", ["round-2.pt", "clients/*.pt"])
def test_a_damaged_checkpoint_is_named_and_nothing_is_played(
    stopped: Callable[..., Path],
    remembering: dict[str, Any],
    fedsec: Callable[..., Any],
    damage: Callable[[Path], None],
    which: str,
) -> None:
    folder = stopped(remembering)
    files = sorted((folder / "main" / "1" / "checkpoint").glob(which))
    for file in files:
        damage(file)
    ran = fedsec("resume", folder, "--quiet")
    assert ran.code == 2
    (line,) = ran.err.splitlines()
    assert line in [f"{file}: cannot be read: {DAMAGED}" for file in files]


def test_a_checkpoint_that_holds_something_else_is_named(
    stopped: Callable[..., Path], remembering: dict[str, Any], fedsec: Callable[..., Any]
) -> None:
    folder = stopped(remembering)
    file = folder / "main" / "1" / "checkpoint" / "round-2.pt"
    torch.save({"number": 2}, file)
    ran = fedsec("resume", folder, "--quiet")
    assert (ran.code, ran.err) == (2, f"{file}: cannot be read: it is no checkpoint\n")


class Mine:
    """What runs when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("which", ["round-2.pt", "clients/*.pt"])
@pytest.mark.parametrize("by", ["torch", "pickle"])
def test_a_checkpoint_that_would_run_something_is_refused(
    stopped: Callable[..., Path],
    remembering: dict[str, Any],
    fedsec: Callable[..., Any],
    tmp_path: Path,
    which: str,
    by: str,
) -> None:
    folder = stopped(remembering)
    struck = tmp_path / "struck"
    files = sorted((folder / "main" / "1" / "checkpoint").glob(which))
    for file in files:
        if by == "torch":
            torch.save({"number": Mine(struck)}, file)
        else:
            file.write_bytes(pickle.dumps({"number": Mine(struck)}))
    # what it would do is done, so that the test can tell
    pickle.loads(pickle.dumps(Mine(struck)))
    assert struck.exists()
    struck.rmdir()
    ran = fedsec("resume", folder, "--quiet")
    assert ran.code == 2
    (line,) = ran.err.splitlines()
    assert line in [f"{file}: cannot be read: {DAMAGED}" for file in files]
    assert not struck.exists()


def test_a_client_file_that_is_missing_is_named(
    stopped: Callable[..., Path], remembering: dict[str, Any], fedsec: Callable[..., Any]
) -> None:
    folder = stopped(remembering)
    clients = folder / "main" / "1" / "checkpoint" / "clients"
    files = list(clients.iterdir())
    shutil.rmtree(clients)
    ran = fedsec("resume", folder, "--quiet")
    assert ran.code == 2
    assert ran.err in [f"{file}: cannot be read: no such file\n" for file in files]

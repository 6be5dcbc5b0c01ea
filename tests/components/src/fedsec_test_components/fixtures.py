"""The pytest plugin of all tests, core's and plugins': no network, a data folder, steady examples.

It is loaded by name (`-p`, in the pyproject.toml at the top), so that it also holds when the tests
of a single plugin are run.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings

from fedsec_core.execution.launching import Nursery

# Machines differ in speed and share their cores: a deadline would be a stopwatch.
settings.register_profile("fedsec", deadline=None, derandomize=True)
settings.load_profile("fedsec")

# The tests that are about workers ask for them; all others are quicker without.
os.environ.setdefault("FEDSEC_WORKERS", "1")

# A shell's background job ignores Ctrl-C, and so would the commands that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ADDRESSED = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
RESOLVED = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})


class Ran(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str


class NetworkBlocked(RuntimeError):
    """A test tried to reach something that is not this machine."""


def _is_loopback(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else str(host)
    if host is None or text in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(text.split("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ADDRESSED:
        end, address = arguments
        # `send` on a connected socket passes no address; its `connect` has been judged.
        if address is None or end.family == socket.AF_UNIX or _is_loopback(address[0]):
            return
    elif event in RESOLVED:
        address = arguments[0]
        if _is_loopback(address):
            return
    else:
        return
    raise NetworkBlocked(f"tests have no network: {event} to {address!r}")


def pytest_configure() -> None:
    # An audit hook sees what C code does too, and the children that are forked from here.
    sys.addaudithook(_refuse_network)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of data sets that FEDSEC_DATA names; tests that need one are skipped without it."""
    folder = os.environ.get("FEDSEC_DATA")
    if not folder:
        pytest.skip("FEDSEC_DATA names no folder of data sets")
    if not Path(folder).is_dir():
        pytest.fail(f"FEDSEC_DATA is {folder!r}, which is no folder")
    return Path(folder)


@pytest.fixture
def tables() -> dict[str, Any]:
    """A tiny scenario as plain tables, for a test to change: 6 clients, 3 rounds, nobody attacks."""
    return {
        "scenario": {"name": "tiny", "seed": 1, "rounds": 3},
        "data": {"use": "quadrants"},
        "model": {"use": "perceptron"},
        "partition": {"use": "iid", "clients": 6},
        "train": {"use": "sgd", "lr": 0.1, "batch": 8},
        "aggregate": {"use": "mean"},
        "evaluate": [{"use": "witness"}],
    }


@pytest.fixture
def remembering() -> dict[str, Any]:
    """A tiny scenario in which clients, the attack and the detector remember: 6 clients, 4 rounds."""
    return {
        "scenario": {"name": "remembering", "seed": 1, "rounds": 4},
        "data": {"use": "quadrants"},
        "model": {"use": "perceptron", "norm": True, "dropout": 0.2},
        "partition": {"use": "iid", "clients": 6, "local_test": 0.2},
        "select": {"use": "uniform", "fraction": 0.7},
        "train": {"use": "keeper", "lr": 0.1, "batch": 6},
        "aggregate": {"use": "mean"},
        "detect": [{"use": "habit"}],
        "attack": [
            {
                "use": "grudge",
                "clients": {"count": 2},
                "rounds": {"start": 2},
                "knows": ["own_data", "own_updates"],
            }
        ],
        "evaluate": [{"use": "witness"}, {"use": "visitor"}],
    }


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """A fork server for all tests: starting one takes seconds, forking workers from it does not."""
    with Nursery.start() as started:
        yield started


@pytest.fixture
def puppet() -> dict[str, Any]:
    """An attack that turns the updates of two clients around from round 2 on."""
    return {
        "use": "puppet",
        "clients": {"count": 2},
        "rounds": {"start": 2},
        "knows": ["own_data", "own_updates"],
    }


@pytest.fixture
def fedsec(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run the command line in this process: `fedsec("run", path)` gives exit code, stdout and stderr."""

    def run(*arguments: object) -> Ran:
        from fedsec_core.cli import main

        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        return Ran(int(exit_.value.code or 0), output.out, output.err)

    return run

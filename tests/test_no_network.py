"""The tests themselves cannot leave this machine."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fedsec_test_components.fixtures import NetworkBlocked

ELSEWHERE = "192.0.2.1"
"""An address reserved for documentation (RFC 5737): nobody answers there."""


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_connecting_elsewhere_is_refused(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as end, pytest.raises(NetworkBlocked, match=ELSEWHERE):
        end.connect((ELSEWHERE, 9))


def test_sending_elsewhere_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        with pytest.raises(NetworkBlocked):
            end.sendto(b"", (ELSEWHERE, 9))
        with pytest.raises(NetworkBlocked):
            end.sendmsg([b""], [], 0, (ELSEWHERE, 9))


@pytest.mark.parametrize("ask", [lambda host: socket.getaddrinfo(host, 80), socket.gethostbyname])
def test_asking_for_an_address_is_refused(ask: Callable[[str], object]) -> None:
    with pytest.raises(NetworkBlocked, match=r"example\.org"):
        ask("example.org")


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("localhost", port)) as client, server.accept()[0] as other:
            client.sendall(b"here")
            assert other.recv(4) == b"here"


def test_a_unix_socket_can_be_reached(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))
        with server.accept()[0] as other:
            client.sendall(b"here")
            assert other.recv(4) == b"here"

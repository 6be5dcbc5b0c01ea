"""Frames on a socket: bytes with their length in front, and descriptors beside them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

_HEAD = struct.Struct("<QH")
"""Bytes of the frame that follows, and how many descriptors come with it."""
_MOST = 16


class Closed(Exception):
    """The other process is gone."""


def send(to: socket.socket, body: bytes, fds: Sequence[int] = ()) -> None:
    """Send a frame; raises Closed if nobody is there."""
    assert len(fds) <= _MOST, "the other end would lose descriptors"
    try:
        socket.send_fds(to, [_HEAD.pack(len(body), len(fds))], list(fds))
        to.sendall(body)
    except OSError as error:
        raise Closed from error


def receive(of: socket.socket) -> tuple[bytes, list[int]]:
    """Return the next frame and its descriptors; raises Closed if there will be none."""
    try:
        data, fds, _, _ = socket.recv_fds(of, _HEAD.size, _MOST)
    except OSError as error:
        raise Closed from error
    if not data:
        raise Closed
    length, _ = _HEAD.unpack(data + _exactly(of, _HEAD.size - len(data)))
    return _exactly(of, length), fds


def _exactly(of: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    view = memoryview(data)
    while view.nbytes:
        try:
            read = of.recv_into(view)
        except OSError as error:
            raise Closed from error
        if not read:
            raise Closed
        view = view[read:]
    return bytes(data)

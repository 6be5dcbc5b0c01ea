"""Messages between processes: plain values through a socket, tensors and arrays through shared memory."""

from __future__ import annotations

import io
import pickle
import socket
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from attrs import define, field, frozen

from fedsec_core.digests import as_bytes
from fedsec_core.execution import frames
from fedsec_core.execution.memory import Segment

ALIGNMENT = 64


@frozen(eq=False)
class Packed:
    """A value taken apart: its pickle, and where in which segment the bytes of its tensors lie."""

    pickled: bytes
    segment: int
    spans: tuple[tuple[int, int], ...]


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return NotImplemented
        return _tensor, (pickle.PickleBuffer(as_bytes(value).numpy().data), value.dtype, tuple(value.shape))


def _tensor(flat: Any, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(flat, dtype=np.uint8)).view(dtype).reshape(shape)


def pack(value: Any, into: Segment) -> Packed:
    """Take `value` apart, its tensors and arrays into the segment `into`, which grows as needed."""
    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    _Pickler(file, protocol=5, buffer_callback=buffers.append).dump(value)
    raw = [buffer.raw() for buffer in buffers]
    spans, end = [], 0
    for view in raw:
        spans.append((end, view.nbytes))
        end += -(-view.nbytes // ALIGNMENT) * ALIGNMENT
    if spans:
        into.reserve(max(end, 1))
        target = into.bytes()
        for (start, length), view in zip(spans, raw, strict=True):
            target[start : start + length] = np.frombuffer(view, dtype=np.uint8)
    return Packed(file.getvalue(), into.id, tuple(spans))


def unpack(packed: Packed, memory: np.ndarray | None, *, copy: bool) -> Any:
    """Put a value together again from `memory`, the bytes of its segment (None: it holds no tensors).

    Without `copy` its tensors look into `memory`.
    """
    buffers = []
    for start, length in packed.spans:
        assert memory is not None
        view = memory[start : start + length]
        buffers.append(view.copy() if copy else view)
    return pickle.loads(packed.pickled, buffers=buffers)


@define(eq=False)
class Channel:
    """One end of a connection. Ends take turns: who has sent waits for the answer before sending again.

    A segment that a message speaks of travels once, as a descriptor; from then on its number is enough.
    """

    socket: socket.socket
    segments: dict[int, Segment] = field(factory=dict)
    """Segments of the other side, by number."""
    _outbox: Segment = field(factory=Segment.make, init=False)
    _known: set[int] = field(factory=set, init=False)

    def send(self, message: Any, segments: Iterable[Segment] = ()) -> None:
        """Send a message that speaks of `segments`; raises Closed if nobody is there."""
        packed = pack(message, self._outbox)
        named = [*segments, *([self._outbox] if packed.spans else [])]
        fresh = [segment for segment in named if segment.id not in self._known]
        self._known.update(segment.id for segment in fresh)
        body = pickle.dumps(([segment.id for segment in fresh], packed), protocol=5)
        frames.send(self.socket, body, [segment.fd for segment in fresh])

    def receive(self) -> Any:
        """Return the next message; its tensors are this process's own. Raises Closed."""
        body, fds = frames.receive(self.socket)
        numbers, packed = pickle.loads(body)
        for number, fd in zip(numbers, fds, strict=True):
            self.segments[number] = Segment(fd, number)
        memory = self.segments[packed.segment].bytes() if packed.spans else None
        return unpack(packed, memory, copy=True)

    def forget(self, numbers: Sequence[int]) -> None:
        """Let go of segments of the other side that it no longer uses."""
        for number in numbers:
            if (segment := self.segments.pop(number, None)) is not None:
                segment.close()

    def close(self) -> None:
        """Close this end."""
        self.socket.close()
        self._outbox.close()
        self.forget([*self.segments])

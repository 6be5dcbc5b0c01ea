"""The matrix of a round in shared memory: workers write its lines, the server reads them."""

from __future__ import annotations

import torch
from torch import Tensor

from fedsec_core.execution.memory import Segment
from fedsec_core.execution.peer import Place


class Matrix:
    """`lines` rows [d] and buffers [b], by the position of their client; fewer lines are used in turn."""

    def __init__(self, d: int, b: int) -> None:
        self._d, self._b = d, b
        self.segment = Segment.make()
        self.lines = 0
        self.rows = torch.zeros(0, d)
        self.buffers = torch.zeros(0, b)

    def renew(self, lines: int) -> list[int]:
        """Make room for a round; returns the numbers of segments that workers can let go of.

        Memory is used again only if nobody still looks into it: what a component kept of an
        earlier round stays as it was.
        """
        self.lines = lines
        self.rows = self.buffers = torch.zeros(0)
        outdated = []
        if not self.segment.released():
            outdated.append(self.segment.id)
            self.segment.close()
            self.segment = Segment.make()
        self.segment.reserve(max(4 * lines * (self._d + self._b), 1))
        memory = torch.from_numpy(self.segment.bytes()).view(torch.float32)
        rows, end = lines * self._d, lines * (self._d + self._b)
        self.rows = memory[:rows].view(lines, self._d)
        self.buffers = memory[rows:end].view(lines, self._b)
        return outdated

    def close(self) -> None:
        """Give the memory back once nobody looks into it any more."""
        self.rows = self.buffers = torch.zeros(0)
        self.segment.close()

    def place(self, position: int) -> Place:
        """Say where the update of the client at `position` belongs."""
        line = position % self.lines
        return Place(self.segment.id, line * self._d, self.lines * self._d + line * self._b)

    def line(self, position: int) -> tuple[Tensor, Tensor]:
        """Return row and buffers of the client at `position`."""
        line = position % self.lines
        return self.rows[line], self.buffers[line]

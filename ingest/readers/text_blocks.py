"""A block of a text file, split into records: where each begins and ends in the bytes, and on which line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa
from photogenic.ingest.tabular.schemas import Reason

__all__ = ["Block", "line_ends"]


@dataclass(slots=True)
class Block:
    """Whole records: record i is `buffer[starts[i]:stops[i]]`, with its line end, and begins on `lines[i]`.

    Attributes:
        broken: number of each record with invalid text -> the reason.
    """

    buffer: bytes
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    lines: NDArray[np.int64]
    broken: dict[int, Reason]

    def __len__(self) -> int:
        return len(self.lines)

    def blank(self) -> NDArray[np.bool_]:
        """Whether each record is nothing but a line end."""
        octets = np.frombuffer(self.buffer, np.uint8)
        found = self.stops - self.starts <= 2
        first, last = octets[self.starts[found]], octets[self.stops[found] - 1]
        found[found] = np.isin(first, (10, 13)) & np.isin(last, (10, 13))
        return found

    def without(self, gone: NDArray[np.bool_]) -> Block:
        """The block without some of its records."""
        if not gone.any():
            return self
        place = np.cumsum(~gone) - 1
        broken = {int(place[number]): reason for number, reason in self.broken.items() if not gone[number]}
        return Block(self.buffer, self.starts[~gone], self.stops[~gone], self.lines[~gone], broken)

    def unbroken(self) -> NDArray[np.bool_]:
        """Whether each record is not broken."""
        unbroken = np.ones(len(self), bool)
        unbroken[list(self.broken)] = False
        return unbroken

    def texts(self, wanted: NDArray[np.bool_]) -> pa.Array:
        """The bytes of some records; not copied if the records are adjacent."""
        starts, stops = self.starts[wanted], self.stops[wanted]
        gaps = bool((starts[1:] != stops[:-1]).any())
        offsets = np.stack((starts, stops), axis=1).ravel() if gaps else np.append(starts, stops[-1:])
        buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(self.buffer)]
        array = pa.Array.from_buffers(pa.binary(), max(len(offsets) - 1, 0), buffers)
        return array.take(pa.array(np.arange(0, len(offsets), 2))) if gaps else array

    def excerpt(self, number: int, n_bytes: int) -> str:
        """The beginning of one record, whatever its encoding."""
        text = self.buffer[self.starts[number] : self.stops[number]][:n_bytes]
        return text.decode(errors="backslashreplace")


def line_ends(buffer: bytes, *, at_end: bool) -> NDArray[np.int64]:
    """The index after each line end (LF, CRLF or a lone CR). At the end of the file, the last line has one too."""
    octets = np.frombuffer(buffer, np.uint8)
    is_end = octets == ord("\n")
    if b"\r" in buffer:
        # A CR that is last in the buffer may have its LF in the next one.
        is_end[:-1] |= (octets[:-1] == ord("\r")) & (octets[1:] != ord("\n"))
    ends = np.flatnonzero(is_end) + 1
    if at_end and buffer and not is_end[-1]:
        ends = np.append(ends, len(buffer))
    return ends

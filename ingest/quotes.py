"""Which lines of a CSV belong together, and which ones have quotes that make no sense.

A field may be quoted as a whole (a quote inside is doubled) and then hold separators and line ends;
a quote elsewhere in a field is an ordinary character (RFC 4180, and 5" for the rest of the world).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Quotes"]


class Quotes:
    """The grammar of quoting for one separator."""

    def __init__(self, separator: str) -> None:
        sep = re.escape(separator)
        field = rf'(?:"(?:[^"]|"")*" *| *(?:[^" {sep}\r\n][^{sep}\r\n]*)?)'
        self._complete = rf"^{field}(?:{sep}{field})*[\r\n]*$"
        inside = '(?:[^"]++|"")*+'
        field = rf'(?:"{inside}" *+| *+(?:[^" {sep}\r\n][^{sep}\r\n]*+)?)'
        self._opens = re.compile(rf'(?:{field}{sep})*"{inside}'.encode())
        self._stays = re.compile(rf'{inside}(?:" *+{sep}(?:{field}{sep})*"{inside})?'.encode())
        self._closes = re.compile(rf'{inside}" *+(?:{sep}{field})*[\r\n]*'.encode())

    def join(
        self, buffer: bytes, ends: NDArray[np.int64], first: NDArray[np.bool_], broken: set[int], *, final: bool
    ) -> int:
        """Tell records from lines.

        Args:
            buffer: whole lines.
            ends: where each line ends.
            first: per line, whether a record begins there; all true on entry, cleared where one goes on.
            broken: gets the numbers of the lines whose quotes make no sense.
            final: nothing follows, so a field still open at the end is broken.

        Returns:
            The number of lines that can be judged; the record that begins behind them needs more of the file.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if not len(ends):
            return 0
        quotes = np.flatnonzero(np.frombuffer(buffer, np.uint8)[: ends[-1]] == ord('"'))
        quoted = np.unique(np.searchsorted(ends, quotes, side="right"))
        offsets = np.concatenate(([0], ends)).astype(np.int32)
        lines = pa.Array.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(buffer)])
        complete = pc.match_substring_regex(lines.take(pa.array(quoted)), self._complete)
        others = np.flatnonzero(~complete.to_numpy(zero_copy_only=False))

        def line(number: int) -> bytes:
            return buffer[offsets[number] : offsets[number + 1]]

        at = 0  # into quoted: what stands before it is judged
        while (position := int(np.searchsorted(others, at))) < len(others):
            opening = int(others[position])
            number, at = int(quoted[opening]), opening + 1
            if not self._opens.fullmatch(line(number)):
                broken.add(number)
                continue
            while at < len(quoted) and self._stays.fullmatch(line(int(quoted[at]))):
                at += 1
            if at == len(quoted) and not final:
                return number
            if at < len(quoted) and self._closes.fullmatch(line(int(quoted[at]))):
                first[number + 1 : int(quoted[at]) + 1] = False
                at += 1
            else:
                broken.add(number)
                at = opening + 1
        return len(ends)

"""Which lines of a CSV belong together, and which ones have quotes that make no sense.

A field may be quoted as a whole (a quote inside is doubled) and then hold separators and line ends;
a quote elsewhere in a field is an ordinary character (RFC 4180, and 5" for the rest of the world).
"""

from __future__ import annotations

import re
from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa, pc

__all__ = ["Quotes"]


class Quotes:
    """The grammar of quoting for one separator."""

    def __init__(self, separator: str) -> None:
        sep, inside = re.escape(separator), '(?:[^"]|"")*'
        field = rf'(?:"{inside}" *| *(?:[^" {sep}\r\n][^{sep}\r\n]*)?)'
        self._complete = rf"^{field}(?:{sep}{field})*[\r\n]*$"
        self._opens = rf'^(?:{field}{sep})*"{inside}$'
        self._stays = rf'^{inside}(?:" *{sep}(?:{field}{sep})*"{inside})?$'
        self._closes = rf'^{inside}" *(?:{sep}{field})*[\r\n]*$'

    def join(
        self,
        buffer: bytes,
        ends: NDArray[np.int64],
        first: NDArray[np.bool_],
        broken: set[int],
        *,
        final: bool,
        most: int,
    ) -> int:
        """Tell records from lines.

        Args:
            buffer: whole lines.
            ends: where each line ends.
            first: per line, whether a record begins there; all true on entry, cleared where one goes on.
            broken: gets the numbers of the lines whose quotes make no sense.
            final: nothing follows, so a field still open at the end is broken.
            most: bytes of the longest record; a field that is open for longer is broken.

        Returns:
            The number of lines that can be judged; the record that begins behind them needs more of the file.
        """
        if not len(ends):
            return 0
        quotes = np.flatnonzero(np.frombuffer(buffer, np.uint8)[: ends[-1]] == ord('"'))
        quoted = np.searchsorted(ends, quotes, side="right")
        quoted = quoted[np.diff(quoted, prepend=-1) > 0]
        offsets = np.concatenate(([0], ends)).astype(np.int32)
        lines = pa.Array.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(buffer)])
        text = lines.take(pa.array(quoted))

        def which(pattern: str, *, match: bool) -> list[int]:
            matches = pc.match_substring_regex(text, pattern).to_numpy(zero_copy_only=False)
            found: list[int] = np.flatnonzero(matches == match).tolist()
            return found

        # All places below count in `quoted`, the lines that have quotes: no other line opens or closes anything.
        partial = which(self._complete, match=False)
        if not partial:
            return len(ends)
        opens, closes = set(which(self._opens, match=True)), set(which(self._closes, match=True))
        leaves, numbers = which(self._stays, match=False), quoted.tolist()
        joined: list[tuple[int, int]] = []
        judged, n_lines = 0, len(ends)
        for place in partial:
            if place < judged:
                continue
            judged = place + 1
            if place not in opens:
                broken.add(numbers[place])
                continue
            after = bisect_left(leaves, place + 1)
            if after < len(leaves) and leaves[after] in closes:
                joined.append((numbers[place], numbers[leaves[after]]))
                judged = leaves[after] + 1
            elif after < len(leaves) or final or ends[-1] - offsets[numbers[place]] > most:
                broken.add(numbers[place])
            else:
                n_lines = numbers[place]
                break
        steps = np.zeros(len(ends) + 1, np.int64)
        for side, step in enumerate((1, -1)):
            np.add.at(steps, np.array([pair[side] + 1 for pair in joined], np.int64), step)
        first[np.cumsum(steps[:-1]) > 0] = False
        return n_lines

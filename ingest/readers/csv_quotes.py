"""Join the lines of a CSV into records by their quotes, and find invalid quotes.

A field may be quoted as a whole (a quote inside is doubled) and may then contain separators and line ends (RFC 4180).
A quote elsewhere in a field is an ordinary character, as in 5".
"""

from __future__ import annotations

import re
from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa, pc

__all__ = ["Quotes"]


class Quotes:
    """The quoting rules for one separator."""

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
        """Find the lines that begin a record.

        Args:
            buffer: bytes of whole lines.
            ends: offset at which each line ends.
            first: whether a record begins at each line; all true on entry, set to false where a record continues.
            broken: set to which the numbers of lines with invalid quotes are added.
            final: whether nothing follows, so that a field still open at the end is broken.
            most: largest size of a record, in bytes; a field that is open for longer is broken.

        Returns:
            The number of lines that are decided; the record that begins after them needs more of the file.
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

        # Every position below counts in `quoted`, the lines that have quotes: no other line opens or closes a field.
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

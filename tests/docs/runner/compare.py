"""Compare shown output with real output: `...` within a line stands for any text, a line `...` for any lines.

Lines about the progress of a long stage are printed on a slow machine only, so they may be absent from the page.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

__all__ = ["difference", "matches"]

_PROGRESS = re.compile(r"[a-z][\w -]*: ([\d,]+ [\w -]+ in )?\d+\.\d s|[a-z][\w -]*: [\d,]+ .* after \d+ s")


def matches(shown: Sequence[str], real: Sequence[str]) -> bool:
    """Say whether the real output is what the page shows. Blanks at the end of a line do not count."""
    shown, real = _trimmed(shown), _trimmed(real)
    patterns = [None if line.strip() == "..." else _pattern(line) for line in shown]
    ends = _over_progress({0}, real)  # numbers of real lines that the shown lines so far may stand for
    for pattern in patterns:
        if pattern is None:
            ends = set(range(min(ends), len(real) + 1)) if ends else ends
        else:
            ends = {end + 1 for end in ends if end < len(real) and pattern.fullmatch(real[end])}
            ends = _over_progress(ends, real)
    return len(real) in ends


def difference(shown: Sequence[str], real: Sequence[str]) -> str:
    """Return both as a unified difference, for a message."""
    lines = difflib.unified_diff(_trimmed(shown), _trimmed(real), "shown by the page", "printed", lineterm="")
    return "\n".join(lines)


def _over_progress(ends: set[int], real: Sequence[str]) -> set[int]:
    """Add the positions behind lines about progress."""
    found = set(ends)
    for end in ends:
        while end < len(real) and _PROGRESS.fullmatch(real[end]):
            end += 1  # noqa: PLW2901
            found.add(end)
    return found


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in line.split("...")))


def _trimmed(lines: Sequence[str]) -> list[str]:
    kept = [line.rstrip() for line in lines]
    while kept and not kept[-1]:
        kept.pop()
    while kept and not kept[0]:
        kept.pop(0)
    return kept

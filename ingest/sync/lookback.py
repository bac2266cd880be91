"""How far below the newest watermark a sync begins again: a time, or a number of ids.

A watermark is given to a row before its transaction commits. So a row may become visible after rows with a later
watermark were read. A sync therefore begins below its position; rows that the store has already count as known.
"""

from __future__ import annotations

import datetime as dt
import re

__all__ = ["DEFAULT_IDS", "DEFAULT_TIME", "LOOKBACK_HELP", "is_lookback", "lookback_time"]

DEFAULT_TIME = dt.timedelta(minutes=10)
DEFAULT_IDS = 10_000

LOOKBACK_HELP = 'a time such as "10 minutes", or for whole numbers a number such as 10000'

_TIME = re.compile(r"([0-9]{1,9}) *(s|seconds?|min|minutes?|h|hours?|d|days?)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST = dt.timedelta(days=36_500)
_MOST_IDS = 10**15


def is_lookback(value: object) -> bool:
    """Whether a value of `photogenic.toml` is a lookback."""
    if isinstance(value, str):
        return lookback_time(value) is not None
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_IDS


def lookback_time(text: str) -> dt.timedelta | None:
    """Read `10 minutes`, `90 s`, `2h` or `1 day`; None: another text."""
    found = _TIME.fullmatch(text.strip().lower())
    if found is None:
        return None
    seconds = int(found[1]) * _SECONDS[found[2][0]]
    return dt.timedelta(seconds=seconds) if seconds <= _MOST.total_seconds() else None

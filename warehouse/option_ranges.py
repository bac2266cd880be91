"""Ranges of numeric options: one table for the command line, which checks before any work, and for Python functions.

    check(recall=2)             InputError: --recall is 2. Expected: a number from 0 to 1

Upper limits are beyond any practical use and below the size at which a library would overflow.
"""

from __future__ import annotations

import math
import numbers
import re
from dataclasses import dataclass

from photogenic.warehouse.errors import InputError

__all__ = ["RANGES", "Range", "check", "size_of"]

_MANY = 10**9
_INT64 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `least` to `most`.

    Attributes:
        like: example value for the error message.
        whole: whether only integers are allowed.
        above: whether `least` itself is excluded.
        below: whether `most` itself is excluded.
    """

    least: float
    most: float
    like: float
    whole: bool = True
    above: bool = False
    below: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral if self.whole else numbers.Real):
            return False
        number = value if isinstance(value, numbers.Integral) else float(value)
        if not isinstance(number, numbers.Integral) and not math.isfinite(number):
            return False
        low = number > self.least if self.above else number >= self.least  # type: ignore[operator]
        return bool(low and (number < self.most if self.below else number <= self.most))

    def __str__(self) -> str:
        low = f"{'above ' if self.above else ''}{_written(self.least)}"
        high = f"{'below ' if self.below else ''}{_written(self.most)}"
        return f"a {'whole ' if self.whole else ''}number from {low} to {high}"


def _share(like: float, *, above: bool = False, below: bool = False) -> Range:
    return Range(0, 1, like, whole=False, above=above, below=below)


def _seconds(like: float, *, above: bool = True) -> Range:
    return Range(0, _MANY, like, whole=False, above=above)


RANGES: dict[str, Range] = {
    # training sets
    "audit_instants": Range(1, 1000, 5),
    "version": Range(1, _MANY, 1),
    # build
    "face_confidence": _share(0.5, above=True, below=True),
    "recall": _share(0.99),
    "index_memory": Range(1, 10**18, 200_000_000),
    "neighbours": Range(1, 10**6, 20),
    "min_swipes": Range(1, _MANY, 1),
    "split_seed": Range(-_INT64, _INT64, 0),
    "min_age_days": Range(0, 36_500, 30),
    "mad_threshold": Range(0, _MANY, 3, whole=False),
    "lenient_confidence": _share(0.5),
    "strict_confidence": _share(0.8),
    "band_size": Range(2, _MANY, 100),
    # sql, similar, crop
    "limit": Range(0, 10**15, 100),
    "k": Range(1, _MANY, 10),
    "per_user": Range(1, _MANY, 1),
    "popularity": _share(0.3),
    "diverse": _share(0.5),
    "smallest": Range(0.1, 1, 0.5, whole=False),
    # compare
    "sample": Range(1, _MANY, 1000),
    "moved": Range(0, 10**6, 10),
    "measure": Range(0, _MANY, 32),
    # train, finetune
    "seed": Range(0, 2**64 - 1, 0),
    "folds": Range(0, 10**6, 5),
    "division_seed": Range(-_INT64, _INT64, 1),
    "iterations": Range(1, _MANY, 300),
    "batch_size": Range(2, 10**6, 64),
    "learning_rate": Range(0, 1000, 3e-4, whole=False, above=True),
    # demo, serve, login
    "users": Range(200, 10**7, 600),
    "port": Range(0, 65_535, 8000),
    # ingest
    "least_rows": Range(0, 10**15, 1000),
    # export
    "max_rows_per_file": Range(1, 10**15, 1_000_000),
    "size": Range(8, 4096, 224),
    "share": Range(0.05, 1, 0.875, whole=False),
    # fetch, crawl, tokens
    "depth": Range(1, _MANY, 2),
    "concurrency": Range(1, 10**5, 8),
    "per_host": Range(1, 10**5, 16),
    "rate": Range(0, _MANY, 2, whole=False, above=True),
    "attempts": Range(1, 1000, 5),
    "backoff_s": _seconds(0.5, above=False),
    "max_bytes": Range(1, 10**15, 50_000_000),
    "max_pixels": Range(1, 10**12, 100_000_000),
    "connect_s": _seconds(10),
    "read_s": _seconds(30),
    "total_s": _seconds(120),
    "redirects": Range(0, 1000, 5),
    "longest_park_s": _seconds(3600, above=False),
    "give_up_after": Range(1, _MANY, 30),
    "sync_every_s": _seconds(1),
    "merge_every_s": _seconds(300),
    # streams
    "batch_rows": Range(1, 10**7, 200_000),
    "batch_bytes": Range(1, 10**10, 64_000_000),
    "batch_seconds": _seconds(5),
    "publish_seconds": _seconds(30),
    "max_posts": Range(1, _MANY, 100),
    "refresh_days": Range(0, 36_500, 7, whole=False),
    "budget": Range(1, _MANY, 200),
    "window_s": _seconds(3600),
    "page_posts": Range(1, 10**5, 50),
    "request_s": _seconds(60),
}
"""Name of the parameter, which is also the name of the option -> its range."""


def check(**given: object) -> None:
    """Raise an error for the first number outside its range. None is not checked: it stands for the default.

    Raises:
        InputError: a number is outside its range; the message names the option and the range.
    """
    for name, value in given.items():
        if value is not None and name in RANGES and value not in RANGES[name]:
            option = f"{'-' if len(name) == 1 else '--'}{name.replace('_', '-')}"
            known = RANGES[name]
            shown = str(value)
            shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
            raise InputError(f"{option} is {shown}.", str(known), f"{option} {_written(known.like, plain=True)}")


def size_of(text: str) -> int | None:
    """Parse a size in bytes: `200MB`, `1.5 GB`, `4096`; None: the text is no size."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) *([KMGT]?)B?", text, re.IGNORECASE)
    return int(float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " ")) if match else None


def _written(number: object, *, plain: bool = False) -> str:
    """Format a number, integers with thousands separators unless `plain`."""
    if isinstance(number, int):
        return str(number) if plain or number < 0 else f"{number:,}"
    return f"{number:g}"

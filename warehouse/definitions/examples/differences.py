"""Compare two sets of rows without regard to their order, and say readably how they differ.

Rows that occur several times must occur as often. Two numbers of type double are equal up to a tolerance; 0 equals -0,
and NaN equals NaN.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ChangedRow", "Difference", "compare_rows"]

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """A row with other values than expected.

    Attributes:
        key: names and values of the columns that identify it.
        values: names of the other columns that differ -> value expected and value found.
    """

    key: dict[str, Any]
    values: dict[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """How the rows that came out differ from those expected.

    Attributes:
        missing: rows that were expected and did not come out.
        extra: rows that came out and were not expected.
        changed: rows that came out with other values.
    """

    columns: tuple[str, ...]
    missing: tuple[Row, ...]
    extra: tuple[Row, ...]
    changed: tuple[ChangedRow, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.changed)


def compare_rows(
    columns: Sequence[str], keys: Sequence[str], wanted: Sequence[Row], found: Sequence[Row], tolerance: float
) -> Difference:
    """Compare rows.

    Args:
        columns: names of the columns.
        keys: columns that identify a row; if one is not among `columns`, no row counts as changed.
        wanted: the rows expected.
        found: the rows that came out.
        tolerance: see Example.
    """
    missing, extra = _unmatched(wanted, found, tolerance)
    changed: list[ChangedRow] = []
    if keys and set(keys) <= set(columns):
        places = [columns.index(key) for key in keys]
        by_key = defaultdict[Row, list[int]](list)
        for n, row in enumerate(extra):
            by_key[_exact(tuple(row[place] for place in places))].append(n)
        paired, left = set[int](), []
        for row in missing:
            same = by_key.get(_exact(tuple(row[place] for place in places)))
            if not same:
                left.append(row)
                continue
            paired.add(n := same.pop(0))
            values = {
                name: (one, other)
                for name, one, other in zip(columns, row, extra[n], strict=True)
                if not _equal(one, other, tolerance)
            }
            changed.append(ChangedRow({columns[place]: row[place] for place in places}, values))
        missing, extra = left, [row for n, row in enumerate(extra) if n not in paired]
    return Difference(tuple(columns), tuple(missing), tuple(extra), tuple(changed))


def _unmatched(wanted: Sequence[Row], found: Sequence[Row], tolerance: float) -> tuple[list[Row], list[Row]]:
    """Return the rows of each side that have no equal one on the other side."""
    waiting = defaultdict[Row, list[int]](list)
    for n, row in enumerate(found):
        waiting[_exact(row)].append(n)
    left, taken = list[Row](), set[int]()
    for row in wanted:
        same = waiting.get(_exact(row))
        if same:
            taken.add(same.pop())
        else:
            left.append(row)
    rest = [row for n, row in enumerate(found) if n not in taken]
    if not left or not rest or tolerance <= 0:
        return left, rest
    pairs = _pair_up([[n for n, other in enumerate(rest) if _same_row(row, other, tolerance)] for row in left])
    return (
        [row for n, row in enumerate(left) if n not in pairs.values()],
        [row for n, row in enumerate(rest) if n not in pairs],
    )


def _pair_up(options: Sequence[Sequence[int]]) -> dict[int, int]:
    """Return the largest pairing: right number -> left number. Nearly equal rows may each fit several others."""
    pairs: dict[int, int] = {}
    for first in range(len(options)):
        came_from: dict[int, int] = {}
        queue = [first]
        while queue:
            left = queue.pop(0)
            free = None
            for right in options[left]:
                if right not in came_from:
                    came_from[right] = left
                    if right not in pairs:
                        free = right
                        break
                    queue.append(pairs[right])
            if free is not None:
                _shift(pairs, came_from, first, free)
                break
    return pairs


def _shift(pairs: dict[int, int], came_from: dict[int, int], first: int, free: int) -> None:
    """Give each left row on the way from `first` to `free` its next right row."""
    right = free
    while True:
        left = came_from[right]
        former = next((r for r, of in pairs.items() if of == left), None)
        pairs[right] = left
        if left == first or former is None:
            return
        right = former


def _same_row(row: Row, other: Row, tolerance: float) -> bool:
    return all(_equal(one, two, tolerance) for one, two in zip(row, other, strict=True))


def _equal(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_equal(a, b, tolerance) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return one == other or abs(one - other) <= tolerance * max(1.0, abs(one), abs(other)) < math.inf
    return type(one) is type(other) and bool(one == other)


def _exact(row: Any) -> Any:
    """Return a value that is equal and hashes equally for rows with the same values."""
    if isinstance(row, (tuple, list)):
        return tuple(map(_exact, row))
    if isinstance(row, float):
        return ("float", "nan" if math.isnan(row) else row + 0.0)
    return (type(row), row)

"""The columns of a file and ours: which is which, and what separates them in a header."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ingest.tables import Column, Table
from warehouse import InputError

__all__ = ["bind", "split_header"]

_SEPARATORS = (",", ";", "\t", "|")


def split_header(path: Path, line: str, table: Table, mapping: Mapping[str, str]) -> tuple[str, list[str]]:
    """The separator that makes most of the header ours, and the names."""
    wanted = {*map(_plain, table.names), *map(_plain, mapping.values())}

    def split(separator: str) -> list[str]:
        try:
            return next(csv.reader([line], delimiter=separator, strict=True))
        except (csv.Error, StopIteration):
            return []

    splits = [(separator, split(separator)) for separator in _SEPARATORS]
    separator, names = max(splits, key=lambda pair: (len(wanted.intersection(map(_plain, pair[1]))), len(pair[1])))
    if not names:
        raise InputError(f"{path}: the header {line[:80]!r} cannot be read.", "one line of names", f"head -n 3 {path}")
    return separator, names


def bind(path: Path, table: Table, names: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    """Which field is which column of ours."""
    bound: dict[str, int] = {}
    for column in table.columns:
        theirs = mapping.get(column.name)
        name = theirs or column.name
        numbers = [number for number, given in enumerate(names) if given == name]
        numbers = numbers or [number for number, given in enumerate(names) if _plain(given) == _plain(name)]
        if len(numbers) > 1:
            raise InputError(
                f"{path} has {len(numbers)} columns {name!r}.", "one", f"--map {column.name}=THEIRS, or drop the others"
            )
        if numbers:
            bound[column.name] = numbers[0]
        elif column.required or theirs is not None:
            raise _missing(path, column, name, names)
    return bound


def _missing(path: Path, column: Column, name: str, names: Sequence[str]) -> InputError:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return InputError(
        f"{path} has no column {name!r}.",
        f"that name among its columns: {', '.join(names[:40])}",
        f"--map {column.name}={near[0] if near else 'THEIRS'}",
    )


def _plain(name: str) -> str:
    """`Sender ID`, `sender-id` and `sender_id` are one name."""
    return re.sub(r"[\s\-_]+", "_", name.strip().lower())

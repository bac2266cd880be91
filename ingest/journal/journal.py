"""Journal of a long network run: records are written at once, and merged into the warehouse now and then.

Publishing a snapshot per batch would copy the whole warehouse each time, so records first go to a journal: one JSON
object per line, passed to the kernel at once (a killed process loses none). `sync` makes all records so far survive a
power failure too, the pictures as well as the journal, with one call for many records, and then writes a mark with
their number:

    {"photo_id": "a", ...}
    {"photo_id": "b", ...}
    {"synced": 2}
    {"photo_id": "c", ...}      <- after a crash: valid only if its file exists and is complete

A segment is merged once: its name goes into facts.journals in the same transaction as its rows.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from photogenic._lazy import duckdb
from photogenic.warehouse import Database
from photogenic.warehouse.storage.layout import sync_filesystem, write_atomically

__all__ = ["Journal", "drain", "segments"]

_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_MARK = b'{"synced":'

Record = dict[str, Any]
Merge = Callable[["duckdb.DuckDBPyConnection", Path], None]
"""Loads the rows of one segment into the base tables, in the caller's transaction; marks are not rows."""


class Journal:
    """The current segment in `folder`. Several threads may append to it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{uuid.uuid4().hex}.ndjson"
        self.n_records = 0
        self._n_synced = 0
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)

    def append(self, record: Mapping[str, Any]) -> None:
        """Pass one record to the kernel."""
        os.write(self._fd, _as_json(record).encode() + b"\n")
        self.n_records += 1

    def sync(self) -> None:
        """Sync all records so far, and all files of the store that were written before them, to disk."""
        n = self.n_records
        if n > self._n_synced:
            sync_filesystem(self.path)
            os.write(self._fd, _MARK + b"%d}\n" % n)
            self._n_synced = n

    def close(self) -> None:
        """Sync and close the segment, which is merged later. An empty one is deleted."""
        self.sync()
        os.close(self._fd)
        if not self.n_records:
            self.path.unlink()


def segments(folder: Path) -> list[Path]:
    """The segments in `folder`, oldest first."""
    found = folder.glob("*.ndjson") if folder.exists() else ()
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))


def drain(
    db: Database, command: str, closed: list[Path], merge: Merge, is_valid: Callable[[Record], bool] | None = None
) -> int:
    """Merge closed segments, including those that a crash left. Returns the number of records merged.

    Args:
        db: the store's database.
        command: name of the writing command, for the lock.
        closed: segments to which no process appends any more.
        merge: function that loads a segment's rows.
        is_valid: whether a record that was not synced is valid, by the files it names. None: all are.
    """
    if not closed:
        return 0
    n = sum(_clean(path, is_valid) for path in closed)
    with db.write(command) as con:
        known = {name for (name,) in con.execute("select segment from facts.journals").fetchall()}
        for path in closed:
            if path.stem not in known:
                con.begin()
                merge(con, path)
                con.execute("insert into facts.journals values ($1)", [path.stem])
                con.commit()
    for path in closed:
        path.unlink()
    return n


def _clean(path: Path, is_valid: Callable[[Record], bool] | None) -> int:
    """Drop invalid records from a segment that was not closed properly. Returns the number of records left."""
    n = synced = 0
    whole = True
    with path.open("rb") as file:
        for line in file:
            whole = line.endswith(b"\n")
            if line.startswith(_MARK) and whole:
                synced = max(synced, _n_synced(line))
            elif whole:
                n += 1
    if whole and n == synced:
        return n
    kept: list[bytes] = []
    position = 0
    for line in path.read_bytes().splitlines(keepends=True)[: None if whole else -1]:
        if not line.startswith(_MARK):
            position += 1
            if position <= synced or is_valid is None or _is_valid(line, is_valid):
                kept.append(line)
    kept.append(_MARK + b"%d}\n" % len(kept))
    write_atomically(path, b"".join(kept))
    return len(kept) - 1


def _n_synced(mark: bytes) -> int:
    """The number of records in a mark; 0 for a damaged one."""
    digits = mark[len(_MARK) : -2]
    return int(digits) if digits.isdigit() else 0


def _is_valid(line: bytes, is_valid: Callable[[Record], bool]) -> bool:
    """Whether a line that was not synced is valid. A damaged one is not."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and is_valid(record)

"""Find the rows that may be about an event of the store, or of another row of the file: by hash.

The key of each row becomes one 64-bit number, and so does its `event_id`. NumPy sorts them (some 0.4 s for 40 million),
and equal neighbors are candidates: usually none, else few, which SQL compares by value. Only rows of the store within
the time span of the new rows are compared by key. Above 64 million rows the numbers are processed in parts, by their
last bits, so that they take at most half a gigabyte.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa
from photogenic.ingest.tabular.staging import Rows

__all__ = ["count_and_find_candidates"]

_PART = 64_000_000


def count_and_find_candidates(rows: Rows) -> tuple[int, str]:
    """Hash the valid rows, and collect the hashes that occur more than once, or in the store.

    Fills the temporary tables `candidates` and `repeated` (by, h): all of these hashes, and those that occur in the
    file more than once. `by` is `key` or `event_id`.

    Returns:
        The number of valid rows, and the condition that a row is a candidate; empty: no row is.
    """
    con, table = rows.con, rows.source.table
    for name in ("candidates", "repeated"):
        con.execute(f'create or replace temp table {name} ("by" varchar, h ubigint)')
    n_sound, parts = _find(rows, "key", ", ".join(table.key)), list[str]()
    if "event_id" in rows.source.bound:
        _find(rows, "event_id", "event_id")
    for by, columns in (("key", ", ".join(table.key)), ("event_id", "event_id")):
        if con.execute('select 1 from candidates where "by" = $1 limit 1', [by]).fetchall():
            parts.append(f"hash({columns}) in (select h from candidates where \"by\" = '{by}')")
    if "deleted" in rows.source.bound:
        parts.append("coalesce(deleted, false)")
    return n_sound, " or ".join(parts)


def _find(rows: Rows, by: str, columns: str) -> int:
    """Collect the hashes of some columns, and return the number of valid rows."""
    con, table = rows.con, rows.source.table
    at = table.key[-1]
    n_sound, n_parts = 0, max(-(-rows.n_read // _PART), 1)
    for part in range(n_parts):
        of_part = "" if n_parts == 1 else f"and hash({columns}) % {n_parts} = {part}"
        given = "and event_id is not null" if by == "event_id" else ""
        query = f"{{checked}} select hash({columns}) as h, {at} from checked where problem is null {given} {of_part}"
        numbers, first, last = _sorted(rows, query)
        n_sound += len(numbers)
        if not len(numbers):
            continue
        _add(rows, "repeated", by, "select h from numbers", numbers[1:][numbers[1:] == numbers[:-1]])
        condition = "event_id is not null"
        if by == "key":
            condition = f"{at} between make_timestamp({first}) and make_timestamp({last})"
        for held in (table.kind, f"replaced_{table.kind}", f"retracted_{table.kind}"):
            if con.execute(f"select 1 from facts.{held} where {condition} limit 1").fetchall():
                hashes = f"select hash({columns}) as h from facts.{held} where {condition}"
                _add(rows, "candidates", by, f"select h from ({hashes}) where h in (select h from numbers)", numbers)
    con.execute('insert into candidates from repeated where "by" = $1', [by])
    return n_sound


def _sorted(rows: Rows, query: str) -> tuple[NDArray[np.uint64], int, int]:
    """The hashes that a query returns, sorted, and the span of the times beside them, in microseconds since 1970."""
    numbers, n, first, last = np.empty(min(rows.n_read, 2 * _PART), np.uint64), 0, 1 << 62, -(1 << 62)
    for batch in rows.stream(query):
        taken, at = batch.columns
        if n + len(taken) > len(numbers):
            numbers.resize(2 * len(numbers), refcheck=False)
        numbers[n : n + len(taken)] = taken.to_numpy(zero_copy_only=False)
        n += len(taken)
        times = at.drop_null().to_numpy(zero_copy_only=False).astype("datetime64[us]").astype(np.int64)
        if len(times):
            first, last = min(first, int(times.min())), max(last, int(times.max()))
    numbers = numbers[:n]
    numbers.sort()
    return numbers, min(first, last), last


def _add(rows: Rows, to: str, by: str, query: str, numbers: NDArray[np.uint64]) -> None:
    """Add the results of a query over `numbers` (h) to a table of hashes."""
    if not len(numbers):
        return
    rows.con.register("numbers", pa.table({"h": numbers}))
    try:
        rows.con.execute(f"insert into {to} select '{by}', h from ({query})")
    finally:
        rows.con.unregister("numbers")

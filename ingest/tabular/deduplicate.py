"""Find rows that are equal to an earlier row of the same file or of the store: by hash first, then by value.

Each row becomes one 64-bit number. NumPy sorts them (some 0.4 s for 40 million), and equal neighbors are candidates:
usually none, else few, which SQL compares by value. Only rows of the store within the time span of the new rows are
compared. Above 64 million rows the numbers are processed in parts, by their last bits, so that they take at most half
a gigabyte.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa
from photogenic.ingest.tabular.staging import Rows

__all__ = ["count_and_find_candidates", "find_repeats"]

_PART = 64_000_000


def count_and_find_candidates(rows: Rows) -> tuple[int, int]:
    """Hash the valid rows, and collect the hashes that occur more than once, or among the rows of the store.

    Fills the temporary table `candidates` (h).

    Returns:
        The number of valid rows, and of candidates.
    """
    con, table = rows.con, rows.source.table
    columns, at = ", ".join(table.names), table.names[-1]
    con.execute("create or replace temp table candidates (h ubigint)")
    n_sound, n_parts = 0, max(-(-rows.n_read // _PART), 1)
    for part in range(n_parts):
        of_part = "" if n_parts == 1 else f"and hash({columns}) % {n_parts} = {part}"
        query = f"{{checked}} select hash({columns}) as h, {at} from checked where problem is null {of_part}"
        numbers, first, last = _sorted(rows, query)
        n_sound += len(numbers)
        if not len(numbers):
            continue
        _add(rows, "select h from numbers", numbers[1:][numbers[1:] == numbers[:-1]])
        within = f"{at} between make_timestamp({first}) and make_timestamp({last})"
        if con.execute(f"select 1 from facts.{table.kind} where {within} limit 1").fetchall():
            held = f"select hash({columns}) as h from facts.{table.kind} where {within}"
            _add(rows, f"select h from ({held}) where h in (select h from numbers)", numbers)
    [(n_candidates,)] = con.execute("select count(*) from candidates").fetchall()
    return n_sound, n_candidates


def find_repeats(rows: Rows) -> int:
    """Fill the temporary table `repeats` (line) from `odd`: rows equal to one of the store, or to an earlier one.

    Args:
        rows: rows of the file; its candidates are in `odd`, with a `problem` of NULL.

    Returns:
        The number of repeats.
    """
    table = rows.source.table
    columns, at = ", ".join(table.names), table.names[-1]
    equal = " and ".join(f"odd.{name} is not distinct from held.{name}" for name in table.names)
    [(n,)] = rows.con.execute(
        f"""
        create or replace temp table repeats as
        with span as (select min({at}) as first_at, max({at}) as last_at from odd where problem is null),
        held as (
            select distinct {columns}
            from facts.{table.kind}
            where {at} between (select first_at from span) and (select last_at from span)
                and hash({columns}) in (select h from candidates)
        )
        select line
        from odd
        left join held on {equal}
        where problem is null
        qualify held.{table.names[0]} is not null
            or row_number() over (partition by {", ".join(f"odd.{name}" for name in table.names)} order by line) > 1
        """
    ).fetchall()
    return int(n)


def _sorted(rows: Rows, query: str) -> tuple[NDArray[np.uint64], int, int]:
    """The hashes that a query returns, sorted, and the span of the times beside them, in microseconds since 1970."""
    numbers, n, first, last = np.empty(min(rows.n_read, 2 * _PART), np.uint64), 0, 1 << 62, -(1 << 62)
    for batch in rows.stream(query):
        taken, at = (column.to_numpy(zero_copy_only=False) for column in batch.columns)
        if n + len(taken) > len(numbers):
            numbers.resize(2 * len(numbers), refcheck=False)
        numbers[n : n + len(taken)] = taken
        n += len(taken)
        if len(taken):
            times = at.astype("datetime64[us]").astype(np.int64)
            first, last = min(first, int(times.min())), max(last, int(times.max()))
    numbers = numbers[:n]
    numbers.sort()
    return numbers, first, last


def _add(rows: Rows, query: str, numbers: NDArray[np.uint64]) -> None:
    """Add the results of a query over `numbers` (h) to the candidates."""
    if not len(numbers):
        return
    rows.con.register("numbers", pa.table({"h": numbers}))
    try:
        rows.con.execute(f"insert into candidates {query}")
    finally:
        rows.con.unregister("numbers")

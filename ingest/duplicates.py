"""Equal events among those just inserted, and between them and those held before: found by hash, judged by value.

Each row becomes one 64-bit number; NumPy sorts them (some 0.4 s for 40 million), and equal neighbours are
candidates: usually none, else few, which SQL compares value by value. Of the rows held before, only those
within the new rows' span of time are looked at. Above 64 million rows the numbers are taken in parts, by
their last bits, so that they take at most half a gigabyte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ingest.tables import Table

if TYPE_CHECKING:
    import datetime as dt

    import numpy as np
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

__all__ = ["remove_duplicates"]

_PART = 64_000_000


def remove_duplicates(con: DuckDBPyConnection, table: Table, stamp: dt.datetime, n_new: int) -> int:
    """Delete, of the rows inserted with this stamp, those equal to one held before and all but one of each set.

    Leaves two temporary tables behind if there are any: `candidates` (h), the hashes of all rows concerned,
    and `held_before`, those of them that had been there.

    Args:
        con: in the transaction that inserted the rows.
        table: of events; its last column is their time.
        stamp: `ingested_at` of the new rows, and of no others.
        n_new: the number of rows inserted.

    Returns:
        The number of rows deleted.
    """
    relation, at, columns = f"facts.{table.kind}", table.names[-1], ", ".join(table.names)
    [span] = con.execute(f"select min({at}), max({at}) from {relation} where ingested_at = $1", [stamp]).fetchall()
    within = f"{at} between $first and $last"
    times: dict[str, Any] = {"stamp": stamp, "first": span[0], "last": span[1]}
    con.execute("create or replace temp table candidates (h ubigint)")
    n_parts = -(-n_new // _PART)
    for part in range(n_parts):
        hashes = f"select hash({columns}) as h from {relation} where {{}} and h % {n_parts} = {part}"
        numbers = _sorted(con, hashes.format("ingested_at = $stamp"), {"stamp": stamp}, n_new)
        _add(con, "insert into candidates select h from numbers", numbers[1:][numbers[1:] == numbers[:-1]], {})
        held = hashes.format(f"ingested_at <> $stamp and {within}")
        _add(con, f"insert into candidates select h from ({held}) where h in (select h from numbers)", numbers, times)
    if not con.execute("select 1 from candidates limit 1").fetchall():
        return 0
    con.execute(
        f"""
        create or replace temp table suspects as
        select rowid as row_id, {columns}, ingested_at = $stamp as is_new
        from {relation}
        where {within} and hash({columns}) in (select h from candidates)
        """,
        times,
    )
    con.execute(f"create or replace temp table held_before as select distinct {columns} from suspects where not is_new")
    [(n_deleted,)] = con.execute(
        f"""
        delete from {relation} where rowid in (
            select row_id from suspects
            qualify is_new and row_number() over (partition by {columns} order by is_new, row_id) > 1
        )
        """
    ).fetchall()
    con.execute("drop table suspects")
    return int(n_deleted)


def _sorted(con: DuckDBPyConnection, query: str, parameters: dict[str, Any], most: int) -> NDArray[np.uint64]:
    import numpy as np

    numbers, n = np.empty(most, np.uint64), 0
    for batch in con.sql(query, params=parameters).to_arrow_reader(1 << 20):
        numbers[n : n + batch.num_rows] = batch.column(0).to_numpy()
        n += batch.num_rows
    numbers = numbers[:n]
    numbers.sort()
    return numbers


def _add(con: DuckDBPyConnection, statement: str, numbers: NDArray[np.uint64], parameters: dict[str, Any]) -> None:
    """Execute a statement that reads `numbers` (h)."""
    import pyarrow as pa

    if not len(numbers):
        return
    con.register("numbers", pa.table({"h": numbers}))
    try:
        con.execute(statement, parameters)
    finally:
        con.unregister("numbers")

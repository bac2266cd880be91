"""Load descriptions: users and photos. A row with new values becomes the newest version."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from photogenic import sql
from photogenic._lazy import duckdb, pa
from photogenic.ingest.tabular.staging import Rows

__all__ = ["Account", "add_photos", "add_users"]


@dataclass(frozen=True, slots=True)
class Account:
    """Numbers of the rows of a file that were not refused.

    Attributes:
        n_new: rows about something that the store did not have.
        n_corrected: rows that replaced values of the store.
        n_retracted: rows that took something back.
        n_known: rows that the store had already, or that a later row of the file repeats.
        n_main_photos: main-photo events in the `set_at` of photos; their rows are in the other numbers.
    """

    n_new: int = 0
    n_corrected: int = 0
    n_retracted: int = 0
    n_known: int = 0
    n_main_photos: int = 0


def add_users(rows: Rows, source: str, stamp: dt.datetime, batch: int) -> Account:
    """Load the users of one file, in the open transaction."""
    _stage(rows, source, stamp)
    n_taken = _validate(rows, "users", source, stamp)
    n_new, n_corrected = _add_versions(rows, "users", stamp, batch)
    return Account(n_new, n_corrected, n_known=n_taken - n_new - n_corrected)


def add_photos(
    rows: Rows,
    source: str,
    stamp: dt.datetime,
    outside: Callable[[Iterable[str]], Collection[str]],
    batch: int,
) -> Account:
    """Load the photos of one file, and the main-photo events in their `set_at`, in the open transaction.

    Args:
        rows: rows of the file.
        source: name of the file.
        stamp: `ingested_at`.
        outside: function that returns which of some paths lead out of the images folder.
        batch: number of the ingest.
    """
    con = rows.con
    _stage(rows, source, stamp)
    paths = [path for (path,) in con.execute("select distinct path from taken where path is not null").fetchall()]
    con.register("outside", pa.table({"path": pa.array(sorted(outside(paths)), pa.string())}))
    try:
        n_taken = _validate(rows, "photos", source, stamp)
    finally:
        con.unregister("outside")
    con.execute(f"create or replace temp table new_main_photos as {sql.read('ingest/new_main_photos')}")
    _, n_corrected = _add_versions(rows, "photos", stamp, batch)
    n_events = _changed(
        con,
        "insert into facts.main_photos (user_id, photo_id, set_at, ingested_at, batch)"
        " select user_id, photo_id, set_at, $1, $2 from new_main_photos",
        [stamp, batch],
    )
    con.execute(
        """
        create or replace temp table listed as
        select distinct photo_id, user_id, path from judged where verdict is null and path is not null
        """
    )
    n_changed = _changed(
        con, "select count(*) from (select line from new_photos union select line from new_main_photos)"
    )
    return Account(n_changed - n_corrected, n_corrected, n_known=n_taken - n_changed, n_main_photos=n_events)


def _stage(rows: Rows, source: str, stamp: dt.datetime) -> None:
    """Stage the valid rows in the temporary table `taken`, with all our columns, and store the others as rejects."""
    source_columns = {column.name for column in rows.source.columns}
    types = {"count": "bigint", "time": "timestamp", "tags": "varchar[]"}
    columns = ", ".join(
        column.name
        if column.name in source_columns
        else f"cast(null as {types.get(column.type, 'varchar')}) as {column.name}"
        for column in rows.source.table.columns
    )
    n_sound = rows.run(
        f"create or replace temp table taken as {{checked}} select line, {columns} from checked where problem is null",
        with_progress=True,
    )
    if n_sound < rows.n_read:
        rows.run(
            f"""
            insert into facts.rejects {{checked}}
            select $kind, $source, line, split_part(problem, ':', 1), detail, raw, $stamp
            from (select line, problem, {rows.refused} from (select * from checked where problem is not null))
            """,
            {"kind": rows.source.table.kind, "source": source, "stamp": stamp},
        )


def _validate(rows: Rows, kind: str, source: str, stamp: dt.datetime) -> int:
    """Fill the table `judged`: `taken`, with a verdict on each row. Returns the number of rows that are not refused."""
    con = rows.con
    con.execute(f"create or replace temp table judged as {sql.read(f'ingest/validate_{kind}')}")
    names = ", ".join(f"'{name}', {name}" for name in rows.source.table.names)
    con.execute(
        f"""
        insert into facts.rejects
        select $kind, $source, line, verdict, null, json_object({names}), $stamp
        from judged
        where verdict is not null and verdict <> 'duplicate'
        """,
        {"kind": kind, "source": source, "stamp": stamp},
    )
    return _changed(con, "select count(*) from judged where verdict is null or verdict = 'duplicate'")


def _add_versions(rows: Rows, kind: str, stamp: dt.datetime, batch: int) -> tuple[int, int]:
    """Insert the rows with new values, and return how many are about new and about known ones.

    They stay in the temporary table `new_KIND`.
    """
    given = {column.name for column in rows.source.columns}
    has = {
        f"has_{column.name}": column.name in given
        for column in rows.source.table.columns
        if not column.required and column.name != "set_at"
    }
    rows.con.execute(f"create or replace temp table new_{kind} as {sql.read(f'ingest/new_{kind}')}", has)
    n_all = _changed(
        rows.con,
        f"insert into facts.{kind} by name select * exclude (line, is_held), $1 as ingested_at, $2 as batch"
        f" from new_{kind}",
        [stamp, batch],
    )
    n_held = _changed(rows.con, f"select count(*) from new_{kind} where is_held")
    return n_all - n_held, n_held


def _changed(con: duckdb.DuckDBPyConnection, statement: str, parameters: Sequence[object] = ()) -> int:
    """The single number in a statement's result: rows counted or changed."""
    [(n,)] = con.execute(statement, list(parameters)).fetchall()
    return int(n)

"""Load descriptions: users and photos. A row with new values becomes the newest version."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Sequence

from photogenic import sql
from photogenic._lazy import duckdb, pa
from photogenic.ingest.tabular.event_rows import add_main_photos
from photogenic.ingest.tabular.report import Account
from photogenic.ingest.tabular.staging import Rows

__all__ = ["add_photos", "add_users"]


def add_users(rows: Rows, source: str, stamp: dt.datetime, batch: int) -> Account:
    """Load the users of one file, in the open transaction."""
    _stage(rows, source, stamp)
    n_taken = _validate(rows, "users", source, stamp)
    _add_versions(rows, "users", batch)
    n_back = _changed(rows.con, "select count(distinct user_id) from new_users where is_back")
    n_new, n_corrected, n_retracted = (
        _changed(rows.con, "select count(*) from new_users where outcome = $1", [outcome])
        for outcome in ("new", "corrected", "retracted")
    )
    n_known = n_taken - n_new - n_corrected - n_retracted
    return Account(n_new, n_corrected, n_retracted, n_known, n_back=n_back)


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
    _add_versions(rows, "photos", batch)
    n_events = _changed(con, "select count(*) from new_main_photos")
    add_main_photos(con, batch)
    con.execute(
        """
        create or replace temp table listed as
        select distinct photo_id, user_id, path from judged where verdict is null and path is not null
        """
    )
    n_corrected, n_retracted = (
        _changed(con, "select count(*) from new_photos where outcome = $1", [outcome])
        for outcome in ("corrected", "retracted")
    )
    n_changed = _changed(
        con,
        "select count(*) from (select line from new_photos where outcome <> 'known'"
        " union select line from new_main_photos)",
    )
    n_new = n_changed - n_corrected - n_retracted
    return Account(n_new, n_corrected, n_retracted, n_taken - n_changed, n_events)


def _stage(rows: Rows, source: str, stamp: dt.datetime) -> None:
    """Stage the valid rows in the temporary table `taken`, with all our columns, and store the others as rejects."""
    source_columns = {column.name for column in rows.source.columns}
    types = {"count": "bigint", "time": "timestamp", "tags": "varchar[]", "flag": "boolean"}
    columns = ", ".join(
        column.name
        if column.name in source_columns
        else f"cast(null as {types.get(column.type, 'varchar')}) as {column.name}"
        for column in rows.source.table.columns
    )
    n_sound = rows.run(
        f"create or replace temp table taken as {{checked}} select line, {columns}, {rows.arrival} as arrival"
        " from checked where problem is null",
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
    names = ", ".join(f"'{column.name}', {column.name}" for column in rows.source.columns)
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


def _add_versions(rows: Rows, kind: str, batch: int) -> None:
    """Fill the temporary table `new_KIND`, and store its versions that are new to the store."""
    given = {column.name for column in rows.source.columns}
    text = sql.read(f"ingest/new_{kind}")
    values = {name: name.removeprefix("has_") in given for name in re.findall(r"[$](has_\w+)", text)}
    values["retract"] = rows.source.retract
    rows.con.execute(f"create or replace temp table new_{kind} as {text}", values)
    _changed(
        rows.con,
        f"insert into facts.{kind} by name select * exclude (line, outcome, is_stored, is_back), $1 as batch"
        f" from new_{kind} where is_stored",
        [batch],
    )


def _changed(con: duckdb.DuckDBPyConnection, statement: str, parameters: Sequence[object] = ()) -> int:
    """The single number in a statement's result: rows counted or changed."""
    [(n,)] = con.execute(statement, list(parameters)).fetchall()
    return int(n)

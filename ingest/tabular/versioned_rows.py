"""Load descriptions: users and photos. A row with new values becomes the newest version."""

from __future__ import annotations

import datetime as dt
from collections import Counter
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
    outcomes = _add_versions(rows, "users", batch)
    n_back = _changed(
        rows.con, "select count(distinct user_id) from new_versions inner join judged using (line) where is_back"
    )
    n_new, n_corrected, n_retracted = (outcomes[name] for name in ("new", "corrected", "retracted"))
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
    outcomes = _add_versions(rows, "photos", batch)
    n_events = _changed(con, "select count(*) from new_main_photos")
    add_main_photos(con, batch)
    con.execute(
        """
        create or replace temp table listed as
        select distinct photo_id, user_id, path from judged where verdict is null and path is not null
        """
    )
    if rows.source.picture is not None:
        con.execute(
            """
            create or replace temp table listed_bytes as
            select line, photo_id, user_id, coalesce(updated_at, arrival) as true_from from judged where verdict is null
            """
        )
    n_changed = _changed(
        con,
        "select count(*) from (select line from new_versions where outcome <> 'known'"
        " union select line from new_main_photos)",
    )
    n_corrected, n_retracted = outcomes["corrected"], outcomes["retracted"]
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


_ABOUT_THE_ROW = {"set_at", "updated_at", "deleted_at", "deleted", "ingested_at"}
"""Optional columns of a file that are not values of the user or the photo; a version has its deleted_at beside them."""


def _add_versions(rows: Rows, kind: str, batch: int) -> Counter[str]:
    """Fill the temporary table `new_versions`, store the versions that are new, and count the rows by outcome."""
    con, table = rows.con, rows.source.table
    given = {column.name for column in rows.source.columns}
    key, *_ = table.names
    names = [column.name for column in table.columns if not column.required and column.name not in _ABOUT_THE_ROW]
    values = ", ".join(f"{name} := {name}" for name in names)
    completed = ", ".join(f"{name} := {'said' if name in given else 'before'}.{name}" for name in names)
    con.execute(
        f"""
        create or replace temp macro completed(said, before, deleted_at) as
            struct_pack({completed}, deleted_at := deleted_at);

        create or replace temp view described as
        select line, {key} as id, struct_pack({values}) as said, deleted, deleted_at, updated_at, arrival as ingested_at
        from judged
        where verdict is null and is_last;

        create or replace temp view described_before as
        select {key} as id, struct_pack({values}, deleted_at := deleted_at) as content, updated_at, ingested_at, batch
        from facts.{kind}
        semi join judged using ({key});
        """
    )
    con.execute(
        f"create or replace temp table new_versions as {sql.read('ingest/new_versions')}",
        {"has_deleted_at": "deleted_at" in given, "retract": rows.source.retract},
    )
    required = ", ".join(f"judged.{column.name}" for column in table.columns if column.required)
    con.execute(
        f"""
        insert into facts.{kind} by name
        select {required}, unnest(content), new_versions.ingested_at, new_versions.updated_at, $1 as batch
        from new_versions
        inner join judged using (line)
        where is_stored
        """,
        [batch],
    )
    return Counter(dict(con.execute("select outcome, count(*) from new_versions group by outcome").fetchall()))


def _changed(con: duckdb.DuckDBPyConnection, statement: str, parameters: Sequence[object] = ()) -> int:
    """The single number in a statement's result: rows counted or changed."""
    [(n,)] = con.execute(statement, list(parameters)).fetchall()
    return int(n)

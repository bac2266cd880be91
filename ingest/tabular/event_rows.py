"""Load events: swipes and main photos, which later rows may correct or take back.

A row states what an event is, or takes it back. Equal statements are one, so the order and the size of files do not
matter. Most rows are about events that nobody mentioned before: these are found by hash (deduplicate.py), and go into
the base table at once. The others are compared by SQL, in sets (sql/ingest/events/):

1. `said`: the statements of the file. Rows of main photos of one user and instant that arrive together are one.
2. `held`: what the store has of the same events.
3. `told_named`, `held_named`: the event of each statement (event_names.py).
4. `verdicts`: what each statement of the file does: new, corrected, retracted or known.
5. `kept`: the versions and retractions to store, and until when each version holds.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.ingest.tabular.deduplicate import count_and_find_candidates
from photogenic.ingest.tabular.event_names import name_events
from photogenic.ingest.tabular.report import Account
from photogenic.ingest.tabular.schemas import TABLES, Table
from photogenic.ingest.tabular.staging import Rows

__all__ = ["add_events", "add_main_photos"]

_PART = 500_000
"""Rows that are compared at once, about."""


def add_events(rows: Rows, source: str, stamp: dt.datetime, batch: int) -> Account:
    """Load the events of one file, in the open transaction.

    No row is inserted and then deleted again: the engine would write all rows of the file a second time.
    """
    con, table, bound = rows.con, rows.source.table, rows.source.bound
    by_hash = not rows.source.retract and {*table.key} <= {*bound}
    if not by_hash:  # every valid row takes back
        n_plain, candidate = 0, "true"
    else:
        n_plain, candidate = count_and_find_candidates(rows)
    counts = dict.fromkeys(("new", "corrected", "retracted", "known"), 0)
    if candidate or n_plain < rows.n_read:
        columns = ", ".join(_column(table, name, bound) for name in (*table.key, table.value, "event_id"))
        deleted = "true" if rows.source.retract else "coalesce(deleted, false)" if "deleted" in bound else "false"
        rows.run(
            f"""
            create or replace temp table odd as {{checked}}
            select line, {columns}, {deleted} as retracted, {rows.arrival} as arrival, problem, {rows.refused}
            from (select * from checked where problem is not null {f"or {candidate}" if candidate else ""})
            """
        )
        con.execute(
            """
            insert into facts.rejects
            select $kind, $source, line, split_part(problem, ':', 1), detail, raw, $stamp
            from odd
            where problem is not null
            """,
            {"kind": table.kind, "source": source, "stamp": stamp},
        )
        if candidate:
            counts = _compare(con, table, batch, by_hash=by_hash)
        con.execute("drop table odd")
    n_new = 0
    if by_hash:
        names = ", ".join(name for name in (*table.key, table.value, "event_id") if name in bound)
        n_new = rows.run(
            f"""
            insert into facts.{table.kind} ({names}, ingested_at, batch) {{checked}}
            select {names}, {rows.arrival}, $batch
            from checked
            where problem is null {f"and not coalesce({candidate}, false)" if candidate else ""}
            """,
            {"batch": batch},
            with_progress=True,
        )
    return Account(
        n_new + counts["new"],
        counts["corrected"],
        counts["retracted"],
        counts["known"],
        n_unmatched=counts.get("unmatched", 0),
        n_revived=counts.get("revived", 0),
        n_back=counts.get("back", 0),
    )


def add_main_photos(con: duckdb.DuckDBPyConnection, batch: int) -> None:
    """Load the main-photo events of `new_main_photos` (line, user_id, photo_id, set_at, arrival)."""
    con.execute(
        """
        create or replace temp table odd as
        select *, cast(null as varchar) as event_id, false as retracted, cast(null as varchar) as problem
        from new_main_photos
        """
    )
    _compare(con, TABLES["main_photos"], batch, by_hash=False)
    con.execute("drop table odd")


def _column(table: Table, name: str, bound: object) -> str:
    kinds = {"id": "varchar", "flag": "boolean", "time": "timestamp"}
    is_there = name in bound  # type: ignore[operator]
    return name if is_there else f"cast(null as {kinds[table.column(name).type]}) as {name}"


def _compare(con: duckdb.DuckDBPyConnection, table: Table, batch: int, *, by_hash: bool) -> dict[str, int]:
    """Compare the rows of `odd` with the store and with each other, store what changes, and count the rows.

    Args:
        con: connection with the open transaction.
        table: kind of the rows.
        batch: number of the ingest.
        by_hash: whether the hashes of the file are in `repeated`.
    """
    n_known = _known_at_once(con, table) if by_hash and table.kind == "swipes" else 0
    counts = Counter(dict.fromkeys(("new", "corrected", "retracted"), 0) | {"known": n_known})
    [(n_rows,)] = con.execute("select count(*) from odd where problem is null").fetchall()
    n_parts = max(-(-n_rows // _PART), 1)
    con.execute(f"create or replace temp view told_before as {_told_before(table)}")
    if n_parts == 1:
        counts.update(_compare_part(con, table, batch))
        con.execute("drop view told_before")
        return counts
    _divide(con, table, n_parts)
    for part in range(-1, n_parts):
        con.execute(f"create or replace temp table odd as select * exclude (part) from all_odd where part = {part}")
        con.execute(
            f"create or replace temp view told_before as select * exclude (part) from all_told where part = {part}"
        )
        counts.update(_compare_part(con, table, batch))
        con.execute("drop view told_before")
    con.execute("drop table odd; drop table all_told; alter table all_odd rename to odd")
    return counts


def _divide(con: duckdb.DuckDBPyConnection, table: Table, n_parts: int) -> None:
    """Divide the rows of `odd`, and those of the store about the same events, into parts of whole events.

    Makes `all_odd` and `all_told`, with the number of the part; part -1 has the events that are not told apart by one
    key and one id (sql/ingest/events/parts.sql).
    """
    con.execute(
        f"""
        create or replace temp table all_odd as
        select *, {_key(table)} as key from odd where problem is null;
        drop table odd;
        create or replace temp table edges as
        select distinct if(key is null, null, hash(key)) as k, if(event_id is null, null, hash(event_id)) as e
        from all_odd;
        create or replace temp table near_key as select distinct k as h from edges where k is not null;
        create or replace temp table near_id as
        select e as h from edges where e is not null
        union
        select hash(event_id) from told_before where event_id is not null and hash(key) in (select h from near_key);
        create or replace temp table all_told as
        select *
        from told_before
        where
            (event_id is not null and hash(event_id) in (select h from near_id))
            or (event_id is null and hash(key) in (select h from near_key));
        insert into edges
        select distinct if(key is null, null, hash(key)), if(event_id is null, null, hash(event_id)) from all_told;
        create or replace temp table parts as {sql.read("ingest/events/parts")};
        drop table edges; drop table near_key; drop table near_id;
        """
    )
    for name in ("all_odd", "all_told"):
        dropped = "key, " if name == "all_odd" else ""
        con.execute(
            f"""
            create or replace temp table {name} as
            select
                given.* exclude ({dropped}h, is_key),
                coalesce(cast(parts.place % {n_parts} as integer), -1) as part
            from (
                select *, key is not null as is_key, if(key is null, hash(event_id), hash(key)) as h from {name}
            ) as given
            left join parts on given.is_key = parts.is_key and given.h = parts.h
            """
        )
    con.execute("drop table parts")


def _compare_part(con: duckdb.DuckDBPyConnection, table: Table, batch: int) -> dict[str, int]:
    """Compare the rows of `odd` with the store and with each other, store what changes, and count the rows."""
    _drop(con)
    con.execute(f"create or replace temp table lines as {sql.read(f'ingest/events/lines_{table.kind}')}")
    con.execute(f"create or replace temp table said as {sql.read(f'ingest/events/said_{table.kind}')}")
    con.execute(f"create or replace temp table held as {sql.read(f'ingest/events/held_{table.kind}')}")
    name_events(con)
    con.execute(f"create or replace temp table verdicts as {sql.read('ingest/events/verdicts')}", {"batch": batch})
    con.execute(f"create or replace temp table kept as {sql.read('ingest/events/kept')}", {"batch": batch})
    counts = dict(con.execute(sql.read("ingest/events/counts")).fetchall())
    for origin in (table.kind, f"replaced_{table.kind}", f"retracted_{table.kind}"):
        con.execute(
            f"""
            delete from facts.{origin}
            where rowid in (select unnest(places) from kept where origin = '{origin}' and is_changed)
            """
        )
    _insert(con, table)
    _drop(con)
    return counts


def _known_at_once(con: duckdb.DuckDBPyConnection, table: Table) -> int:
    """Delete from `odd` the rows that state what the store holds already, and count them.

    These are rows that are alone in the file with their key and their id: a full export has millions of them.
    """
    same = " and ".join(f"odd.{name} = held.{name}" for name in (*table.key, table.value))
    con.execute(
        f"""
        create or replace temp table known_lines as
        select odd.line
        from odd
        semi join facts.{table.kind} as held
            on {same}
            and odd.event_id is not distinct from held.event_id
            and odd.arrival >= held.ingested_at
        where odd.problem is null
            and not odd.retracted
            and hash({", ".join(f"odd.{name}" for name in table.key)}) not in (
                select h from repeated where "by" = 'key'
            )
            and (
                odd.event_id is null
                or hash(odd.event_id) not in (select h from repeated where "by" = 'event_id')
            )
        """
    )
    con.execute("create or replace temp table odd as select * from odd anti join known_lines using (line)")
    [(n,)] = con.execute("select count(*) from known_lines").fetchall()
    return int(n)


def _told_before(table: Table) -> str:
    """The query of all statements of the store, in the shape of `said`."""
    kind = table.kind
    queries = []
    for origin in (kind, f"replaced_{kind}", f"retracted_{kind}"):
        is_replaced, retracted = origin.startswith("replaced_"), origin.startswith("retracted_")
        value = f"cast(null as {'boolean' if kind == 'swipes' else 'varchar'})" if retracted else table.value
        queries.append(
            f"""
            select
                '{origin}' as origin,
                rowid as place,
                event_id,
                {_key(table)} as key,
                {value} as value,
                {"true" if retracted else "false"} as retracted,
                ingested_at as arrival,
                batch,
                {"replaced_at" if is_replaced else "cast(null as timestamp)"} as replaced_at,
                {"replaced_batch" if is_replaced else "cast(null as integer)"} as replaced_batch
            from facts.{origin}
            """
        )
    return " union all ".join(queries)


def _key(table: Table) -> str:
    """The expression of the key of a row as one value; NULL if it is not complete."""
    given = " and ".join(f"{name} is not null" for name in table.key)
    return f"case when {given} then struct_pack({', '.join(f'{name} := {name}' for name in table.key)}) end"


def _insert(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Store the statements of `kept` that are new, or that are not as they were."""
    kind, key = table.kind, ", ".join(table.key)
    of_key = ", ".join(f"key.{name}" for name in table.key)
    con.execute(
        f"""
        insert into facts.{kind} ({key}, {table.value}, ingested_at, batch, event_id)
        select {of_key}, unnest(value), arrival, batch, event_id
        from kept
        where is_changed and not retracted and until is null
        """
    )
    con.execute(
        f"""
        insert into facts.replaced_{kind}
            ({key}, {table.value}, ingested_at, batch, event_id, replaced_at, replaced_batch)
        select {of_key}, unnest(value), arrival, batch, event_id, until, until_batch
        from kept
        where is_changed and not retracted and until is not null and not is_empty
        """
    )
    con.execute(
        f"""
        insert into facts.retracted_{kind} ({key}, ingested_at, batch, event_id)
        select {of_key}, arrival, batch, event_id
        from kept
        where is_changed and retracted
        """
    )


def _drop(con: duckdb.DuckDBPyConnection) -> None:
    for name in ("lines", "said", "held", "held_named", "told_named", "verdicts", "kept"):
        con.execute(f"drop table if exists {name}")

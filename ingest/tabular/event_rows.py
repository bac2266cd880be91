"""Load events, which never change: swipes and main_photos. Equal rows are one event, in whatever file they are."""

from __future__ import annotations

import datetime as dt

from photogenic.ingest.tabular.deduplicate import count_and_find_candidates, find_repeats
from photogenic.ingest.tabular.staging import Rows
from photogenic.ingest.tabular.versioned_rows import Account

__all__ = ["add_events"]


def add_events(rows: Rows, source: str, stamp: dt.datetime, batch: int) -> Account:
    """Load the events of one file, in the open transaction.

    Equal events are stored once, so the order and the size of files do not matter. No row is inserted and then deleted
    again: the engine would write all rows of the file a second time.

    1. Hash every valid row: count the rows, and find those that may be repeats.
    2. If rows are invalid or may be repeats, copy those, compare them, and store the rejects.
    3. Insert the others.
    """
    table = rows.source.table
    columns = ", ".join(table.names)
    n_sound, n_candidates = count_and_find_candidates(rows)
    n_repeats = 0
    if n_candidates or n_sound < rows.n_read:
        may_repeat = f"or hash({columns}) in (select h from candidates)" if n_candidates else ""
        rows.run(
            f"""
            create or replace temp table odd as {{checked}}
            select line, {columns}, problem, {rows.refused}
            from (select * from checked where problem is not null {may_repeat})
            """
        )
        n_repeats = find_repeats(rows) if n_candidates else 0
        rows.con.execute(
            """
            insert into facts.rejects
            select $kind, $source, line, split_part(problem, ':', 1), detail, raw, $stamp
            from odd
            where problem is not null
            """,
            {"kind": table.kind, "source": source, "stamp": stamp},
        )
    others = "and line not in (select line from repeats)" if n_repeats else ""
    n_new = rows.run(
        f"""
        insert into facts.{table.kind} ({columns}, ingested_at, batch) {{checked}}
        select {columns}, $stamp, $batch from checked where problem is null {others}
        """,
        {"stamp": stamp, "batch": batch},
        with_progress=True,
    )
    return Account(n_new=n_new, n_known=n_repeats)

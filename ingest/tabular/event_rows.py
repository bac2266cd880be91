"""Load events, which never change: swipes and main_photos. Equal rows are one event, in whatever file they are."""

from __future__ import annotations

import datetime as dt

from photogenic.ingest.tabular.deduplicate import count_and_find_candidates, find_repeats
from photogenic.ingest.tabular.staging import Rows

__all__ = ["add_events"]


def add_events(rows: Rows, source: str, stamp: dt.datetime) -> int:
    """Load the events of one file, in the open transaction. Returns the number of rows kept.

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
        repeats = "union all select line, 'duplicate', null, null from repeats" if n_repeats else ""
        rows.con.execute(
            f"""
            insert into facts.rejects
            select $kind, $source, line, reason, detail, raw, $stamp
            from (
                select line, split_part(problem, ':', 1) as reason, detail, raw from odd where problem is not null
                {repeats}
            )
            """,
            {"kind": table.kind, "source": source, "stamp": stamp},
        )
    others = "and line not in (select line from repeats)" if n_repeats else ""
    return rows.run(
        f"""
        insert into facts.{table.kind} {{checked}}
        select {columns}, $stamp from checked where problem is null {others}
        """,
        {"stamp": stamp},
        with_progress=True,
    )

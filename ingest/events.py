"""Rows that happened once and never change: swipes and main_photos. Insert, then remove what was held already."""

from __future__ import annotations

import datetime as dt

from ingest.duplicates import remove_duplicates
from ingest.rows import Rows
from warehouse import InputError

__all__ = ["add_events"]


def add_events(rows: Rows, source: str, stamp: dt.datetime) -> int:
    """Take in the events of one file, in the open transaction; the number kept.

    Equal events are one event, whichever file they come in: so the order and the cut of files do not matter.
    A clean file is read once; a second and third time only for the lines of what is refused.
    """
    table = rows.source.table
    columns = ", ".join(table.names)
    n_sound = rows.run(
        f"insert into facts.{table.kind} {{checked}} select {columns}, $stamp from checked",
        {"stamp": stamp},
    )
    if n_sound < rows.n_read:
        rows.reject_problems(source, stamp)
    n_equal = remove_duplicates(rows.con, table, stamp, n_sound) if n_sound else 0
    if n_equal:
        equal = " and ".join(f"alike.{name} is not distinct from held.{name}" for name in table.names)
        n_found = rows.run(
            f"""
            insert into facts.rejects {{checked}},
            alike as (
                select line, {columns}, row_number() over (partition by {columns} order by line) as nth
                from checked
                where hash({columns}) in (select h from candidates)
            )
            select $kind, $source, line, 'duplicate', null, null, $stamp
            from alike
            left join held_before as held on {equal}
            where nth > 1 or held.{table.names[0]} is not null
            """,
            {"kind": table.kind, "source": source, "stamp": stamp},
        )
        if n_found != n_equal:
            raise InputError(f"{source} changed while it was read.", "a file that stays as it is", "try again")
    return n_sound - n_equal

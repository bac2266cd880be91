"""Decide whether a file that was loaded before must be loaded again.

Swipes and main photos are events, which never change, so the same file again changes nothing. Users and photos are
descriptions, of which the last counts: the same file again changes something if another one was loaded in between. So
it is skipped only if it and the files before it in the same call are, in this order, what the store loaded last. Then
a repeated call does nothing, also after a crash, and a file that restores an earlier state is loaded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from photogenic._lazy import duckdb
from photogenic.ingest.tabular.schemas import Kind

__all__ = ["changes_nothing"]


def changes_nothing(con: duckdb.DuckDBPyConnection, kind: Kind, call: Sequence[str]) -> bool:
    """Whether loading the first file of `call` would change nothing.

    Args:
        con: writing connection.
        kind: kind of the rows.
        call: ids of the files that the call has not loaded yet.
    """
    held = con.execute(
        "select ingest_id, ingested_at from facts.ingests where kind = $1 order by batch", [kind]
    ).fetchall()
    if kind in {"swipes", "main_photos"}:
        return any(ingest_id == call[0] for ingest_id, _ in held)
    ids = [ingest_id for ingest_id, _ in held]
    return any(
        ids[at:] == list(call[: len(ids) - at]) and not _written_by_others(con, kind, held[at][1])
        for at, ingest_id in enumerate(ids)
        if ingest_id == call[0]
    )


def _written_by_others(con: duckdb.DuckDBPyConnection, kind: Kind, since: dt.datetime) -> bool:
    """Whether something else than a file (a crawl) has written users or photos since."""
    found = con.execute(
        f"""
        select 1
        from facts.{kind}
        where ingested_at >= $1 and batch = 0 and ingested_at not in (select ingested_at from facts.ingests where kind = $2)
        limit 1
        """,
        [since, kind],
    ).fetchall()
    return bool(found)

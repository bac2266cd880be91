"""Files that were taken in before: is there anything to do if they come again?

Swipes and main photos are events: one that is held stays as it is, so the same file again changes nothing. Users and
photos are descriptions, of which the last counts: the same file again changes something where another one came in
between. So it is left out only where it and the files before it in the same call are, in this order, what the store
took in last. Then a call that is repeated does nothing, also after a crash, and a snapshot that says again what an
earlier one said is taken in.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from photogenic._lazy import duckdb
from photogenic.ingest.tabular.schemas import Kind

__all__ = ["changes_nothing"]


def changes_nothing(con: duckdb.DuckDBPyConnection, kind: Kind, call: Sequence[str]) -> bool:
    """Whether taking in the first file of `call` would change nothing.

    Args:
        con: a writing connection.
        kind: of the rows.
        call: the ids of the files that the call still has before it.
    """
    held = con.execute(
        "select ingest_id, ingested_at from facts.ingests where kind = $1 order by ingested_at", [kind]
    ).fetchall()
    if kind in {"swipes", "main_photos"}:
        return any(ingest_id == call[0] for ingest_id, _ in held)
    ids = [ingest_id for ingest_id, _ in held]
    return any(
        ids[at:] == list(call[: len(ids) - at]) and not _written_otherwise(con, kind, held[at][1])
        for at, ingest_id in enumerate(ids)
        if ingest_id == call[0]
    )


def _written_otherwise(con: duckdb.DuckDBPyConnection, kind: Kind, since: dt.datetime) -> bool:
    """Whether something else than files (a crawl) has described users or photos since."""
    found = con.execute(
        f"""
        select 1
        from facts.{kind}
        where ingested_at >= $1 and ingested_at not in (select ingested_at from facts.ingests where kind = $2)
        limit 1
        """,
        [since, kind],
    ).fetchall()
    return bool(found)

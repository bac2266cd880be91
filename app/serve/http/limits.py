"""What a request may take, in one frozen object: time, memory, rows, bytes, pixels."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one server.

    Attributes:
        sql_s: seconds for one query, from its start to its last row.
        sql_rows: rows of one answer in JSON; a download has all of them.
        sql_bytes: of one answer in JSON.
        sql_memory: DuckDB's memory limit for one query.
        sql_process_bytes: of the process that answers queries, everything included.
        sql_at_once: queries that run side by side.
        sql_waiting: queries that may wait for their turn; further ones are turned away.
        export_s: seconds for one download, a slow reader included.
        unread_s: seconds in which a client must take some of what waits for it.
        body_bytes: of a JSON request.
        body_s: seconds in which a request must have arrived.
        drain_s: seconds that what is being answered has when the server is to end.
        wrong_token_s: seconds that the answer to a wrong token waits, at most.
        upload_bytes: of one picture.
        upload_pixels: of one picture.
        uploads: pictures in one request.
        vectors: numbers in one answer of embeddings.
    """

    sql_s: float = 30.0
    sql_rows: int = 10_000
    sql_bytes: int = 16 * 10**6
    sql_memory: str = "1GB"
    sql_process_bytes: int = 3 * 10**9
    sql_at_once: int = 2
    sql_waiting: int = 16
    export_s: float = 600.0
    unread_s: float = 10.0
    body_bytes: int = 10**6
    body_s: float = 30.0
    drain_s: float = 10.0
    wrong_token_s: float = 2.0
    upload_bytes: int = 20 * 10**6
    upload_pixels: int = 50 * 10**6
    uploads: int = 16
    vectors: int = 4 * 10**6

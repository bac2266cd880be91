"""Limits of requests: time, memory, rows, bytes, pixels."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one server.

    Attributes:
        sql_s: Seconds for one query, from its start to its last row.
        sql_rows: Rows of one answer in JSON. Downloads have no limit of rows.
        sql_bytes: Bytes of one answer in JSON.
        sql_memory: Memory limit of DuckDB for one query.
        sql_process_bytes: Memory limit of a process that runs queries, in bytes.
        sql_at_once: Number of queries that run at the same time.
        sql_waiting: Number of queries that may wait. Further queries are refused.
        export_s: Seconds for one download, including the time that the client takes to read it.
        unread_s: Seconds within which a client must read a part of the data that waits for it.
        body_bytes: Bytes of a JSON request.
        body_s: Seconds within which a request must arrive.
        drain_s: Seconds that running requests get to finish when the server is stopped.
        wrong_token_s: Longest delay of the answer to a wrong token, in seconds.
        upload_bytes: Bytes of one picture.
        upload_pixels: Pixels of one picture.
        uploads: Number of pictures in one request.
        vectors: Number of values in one answer with embeddings.
        similar_queries: Queries of one search for similar photos.
        similar_rows: Results of one search: its queries times k. As JSON a tenth of it.
        similar_bytes: Bytes of vectors that are sent as Arrow.
        similar_s: Seconds for one search with many queries, without the time that the client takes to read.
        similar_at_once: Searches with many queries that run at the same time.
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
    similar_queries: int = 100_000
    similar_rows: int = 10**6
    similar_bytes: int = 64 * 10**6
    similar_s: float = 60.0
    similar_at_once: int = 2

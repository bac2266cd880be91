"""Process that runs SQL of clients on one snapshot at a time.

A query passes three barriers. The SQL guard accepts one statement that reads (warehouse/sql_guard). DuckDB has no
access to files and the network, and its settings are locked (`Database.open_snapshot`). The kernel forbids this
process to write to files, limits its memory, and ends it with the server. The work is done in a process because one
function call in a query can run for hours and cannot be interrupted, but a process can be killed.

Input on stdin: one request per line, in JSON. Output on stdout: frames of a kind (1 byte), a length (4 bytes,
big-endian) and data of this length: `H` a header in JSON, `D` data, `E` an error in JSON, `Z` the end. After an error
that `is_spent`, and an end with `full`, the server replaces the process.
"""

from __future__ import annotations

import bisect
import ctypes
import io
import json
import os
import re
import resource
import signal
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson

from photogenic._lazy import duckdb, pa
from photogenic.app.serve.sql_sandbox.texts import GivenTexts
from photogenic.app.terminal.cells import to_plain
from photogenic.app.terminal.output import Table, write_csv, write_parquet
from photogenic.features.search import filters, index
from photogenic.features.search.options import PhotoSelection
from photogenic.features.vector_sql.extension import VectorSql
from photogenic.warehouse import Database, Layout, PhotogenicError, QueryMemoryError, Settings, Store
from photogenic.warehouse.duckdb_store.error_mapping import is_memory_error
from photogenic.warehouse.duckdb_store.query import Cursor, stream
from photogenic.warehouse.labels.past import MomentDatabase, Past
from photogenic.warehouse.moment import Moments

__all__ = ["main"]

_CHUNK = 1 << 18
_FULL = 0.6
"""Share of its memory from which a process is replaced after an answer."""


def main() -> None:
    """Answer requests until stdin ends. Arguments: store, memory limit of DuckDB, threads, bytes of the process."""
    root, memory, threads, n_bytes = sys.argv[1:]
    # Arrow's own allocator reserves a gigabyte of address space at once, which counts as data.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of libraries must not mix with the frames
    _confine(int(n_bytes))
    settings = Settings(memory, int(threads), encoder=os.environ.get("FEATURES_ENCODER") or None)
    store = Store(Database(Layout(Path(root)), settings))
    texts = GivenTexts()
    # The server embeds pictures and texts, so that no picture is decoded and no network is loaded here.
    store.database.extension = VectorSql(store, cache_bytes=int(n_bytes) // 8, may_embed=False, embed_text=texts)
    past = Past(store.database, most=2, n_bytes=int(n_bytes) // 8)
    _warm()
    _frame(out, b"H", b"{}")
    for line in sys.stdin.buffer:
        _answer(past, json.loads(line), out, int(n_bytes), texts)


def _confine(n_bytes: int) -> None:
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # a service manager sends it to all processes; the server ends this one
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, n_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _warm() -> None:
    """Load the libraries that the first request needs."""
    duckdb.connect().close()


def _is_full(n_bytes: int) -> bool:
    """Whether most of the memory of this process is taken.

    Allocators keep address space that they do not use, so that after a large search too little is left for the next.
    """
    if sys.platform != "linux":
        return False
    found = re.search(rb"^VmData:\s+(\d+) kB", Path("/proc/self/status").read_bytes(), re.MULTILINE)
    return found is not None and int(found[1]) * 1024 > _FULL * n_bytes


def _answer(past: Past, request: dict[str, Any], out: BinaryIO, n_bytes: int, texts: GivenTexts) -> None:
    db = past.db
    texts.give(request.get("texts", []))
    try:
        past.drop_stale()
        moments = Moments.of(*request["clocks"])
        db = past.database(moments)
        if request["do"] in ("rows", "arrow"):
            notes: list[str] = []
            past.note = notes.append
            send = _rows if request["do"] == "rows" else _arrow
            send(db, request, out, {"moment": str(moments), "notes": notes} if moments else {})
        elif request["do"] == "export":
            _export(db, request, out)
        else:
            _select(db, request, out)
    except (PhotogenicError, MemoryError) as error:
        is_over_memory = _is_over_memory(error)
        if isinstance(error, MemoryError) or (is_over_memory and not isinstance(error, QueryMemoryError)):
            failure = {"kind": "MemoryError"}
        else:
            failure = {"kind": type(error).__name__, "what": error.what, "expected": error.expected}
            failure["remedy"] = error.remedy
        root = str(db.layout.root)  # clients must not learn the path of the store
        failure = {name: text.replace(root, "STORE") for name, text in failure.items()}
        _frame(out, b"E", json.dumps(failure | {"is_spent": is_over_memory, "wanted": texts.wanted}).encode())
    else:
        _frame(out, b"Z", b"full" if _is_full(n_bytes) else b"")


def _is_over_memory(error: BaseException) -> bool:
    """Whether an error comes from too little memory. Memory that was not freed would make the next query fail too."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, QueryMemoryError) or is_memory_error(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _frame(out: BinaryIO, kind: bytes, data: bytes | bytearray | memoryview) -> None:
    out.write(kind + struct.pack(">I", len(data)))
    out.write(data)
    out.flush()


def _rows(db: Database, request: dict[str, Any], out: BinaryIO, more: dict[str, Any]) -> None:
    """Send the first rows, as the body of an answer of the API."""
    started, limit = time.perf_counter(), request["limit"]
    with stream(db, request["query"], _values(request), limit=limit + 1, sample=request["sample"]) as cursor:
        columns = [{"name": name, "type": kind} for name, kind in zip(cursor.columns, cursor.types, strict=True)]
        rows, n_rows, cut = bytearray(), 0, False
        for row in _plain_rows(cursor):
            if n_rows == limit or len(rows) + len(row) > request["bytes"]:
                cut = True
                break
            rows += (b"," if n_rows else b"") + row
            n_rows += 1
        if cursor.plan:
            more = {"plan": cursor.plan} | more
    head = orjson.dumps({"columns": columns, "n_rows": n_rows, "cut": cut} | more)
    seconds = round(time.perf_counter() - started, 4)
    _frame(out, b"D", head[:-1] + f',"seconds":{seconds},"rows":['.encode())
    _frame(out, b"D", rows + b"]}")


def _values(request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the values of the parameters of a query, vectors of pictures among them."""
    values: dict[str, Any] | None = request["parameters"]
    if vectors := request["vectors"]:
        values = (values or {}) | {name: np.array(vector, np.float32) for name, vector in vectors.items()}
    return values


def _arrow(db: Database, request: dict[str, Any], out: BinaryIO, more: dict[str, Any]) -> None:
    """Send the first rows as a stream of Arrow; its metadata is what JSON says beside the rows."""
    started, limit = time.perf_counter(), request["limit"]
    with stream(db, request["query"], _values(request), limit=limit + 1, sample=request["sample"]) as cursor:
        columns = [{"name": name, "type": kind} for name, kind in zip(cursor.columns, cursor.types, strict=True)]
        reader = cursor.batches()
        kept, n_rows, cut = _first_batches(reader, limit, request["bytes"])
        if cursor.plan:
            more = {"plan": cursor.plan} | more
    seconds = round(time.perf_counter() - started, 4)
    head = orjson.dumps({"columns": columns, "n_rows": n_rows, "cut": cut} | more | {"seconds": seconds})
    sink = _Sink(out)
    schema = reader.schema.with_metadata({"photogenic": head})
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in kept:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    sink.finish()


def _first_batches(reader: pa.RecordBatchReader, limit: int, n_bytes: int) -> tuple[list[pa.RecordBatch], int, bool]:
    """Return the batches of the first rows, as many as fit into the bytes; their number; and whether there are more."""
    kept, n_rows = list[pa.RecordBatch](), 0
    for batch in reader:
        n = min(limit - n_rows, _rows_that_fit(batch, n_bytes))
        if n:
            kept.append(batch.slice(0, n))
        n_rows += n
        if n < batch.num_rows:
            return kept, n_rows, True
        n_bytes -= pa.ipc.get_record_batch_size(batch)
    return kept, n_rows, False


def _rows_that_fit(batch: pa.RecordBatch, n_bytes: int) -> int:
    """Return the largest number of first rows of a batch that take at most so many bytes."""
    if pa.ipc.get_record_batch_size(batch) <= n_bytes:
        return int(batch.num_rows)
    return bisect.bisect_right(
        range(batch.num_rows), n_bytes, key=lambda n: pa.ipc.get_record_batch_size(batch.slice(0, n + 1))
    )


def _plain_rows(cursor: Cursor) -> Iterator[bytes]:
    for row in cursor.rows():
        values = [to_plain(value) for value in row]
        try:
            yield orjson.dumps(values, option=orjson.OPT_STRICT_INTEGER)
        except TypeError:  # JavaScript rounds integers of more than 53 bits
            yield json.dumps(_in_digits(values), ensure_ascii=False).encode()


def _in_digits(value: object) -> object:
    """Replace integers that a double cannot hold by text."""
    if isinstance(value, int) and abs(value) >= 2**53:
        return str(value)
    if isinstance(value, list):
        return [_in_digits(item) for item in value]
    if isinstance(value, dict):
        return {key: _in_digits(item) for key, item in value.items()}
    return value


def _export(db: Database, request: dict[str, Any], out: BinaryIO) -> None:
    sink = _Sink(out)
    with stream(db, request["query"]) as cursor:
        _frame(out, b"H", json.dumps({"columns": cursor.columns}).encode())
        if request["format"] == "parquet":
            write_parquet(cursor.batches(), sink)
        else:
            with io.TextIOWrapper(io.BufferedWriter(sink), encoding="utf-8", newline="") as text:
                write_csv(Table(cursor.columns, cursor.rows()), text)
    sink.finish()


class _Sink(io.RawIOBase):
    """File that sends its bytes as frames. After a failure `finish` is not called, and the rest is dropped."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._held, self._n = out, bytearray(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._held += view
        self._n += len(view)
        if len(self._held) >= _CHUNK:
            self.finish()
        return len(view)

    def tell(self) -> int:
        return self._n

    def finish(self) -> None:
        """Send the buffered bytes."""
        if self._held:
            _frame(self._out, b"D", bytes(self._held))
            self._held.clear()


def _select(db: Database, request: dict[str, Any], out: BinaryIO) -> None:
    """Send the photos that match a search predicate, with the columns of a result, as Arrow."""
    past, selection = isinstance(db, MomentDatabase), PhotoSelection(**request["selection"])
    with db.read(query=filters.relations_text(selection)) as con:
        try:
            held = index.load(db.layout, request["encoder"])
            chosen = filters.select_photos(
                con,
                held,
                selection.where,
                popular=selection.popular,
                population=selection.population,
                popularity_by=selection.popularity_by,
                past=past,
            )
        except duckdb.OutOfMemoryException as error:
            raise QueryMemoryError(str(error), "an answer that fits the memory limit") from error
    data = io.BytesIO()
    data.write(struct.pack(">Q", chosen.n_few))
    chosen.photos.write_ipc_stream(data)
    _frame(out, b"D", data.getbuffer())


if __name__ == "__main__":
    main()

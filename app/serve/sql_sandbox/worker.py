"""The process that answers other people's SQL. It holds one snapshot at a time and can do nothing else.

Before DuckDB runs it: one statement that reads (warehouse/sql_guard). Inside DuckDB: no files, no network, settings
locked (`Database.open_snapshot`). Around it: the kernel lets this process write to no file, take only so much memory,
and live no longer than the server. One function call of a query can run for hours and cannot be interrupted; a process
can be killed.

In, on stdin: one request a line, in JSON. Out, on stdout: frames of a kind (1 byte), a length (4 bytes, big-endian)
and so many bytes: `H` a header in JSON, `D` data, `E` an error in JSON, `Z` the end.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from photogenic._lazy import duckdb
from photogenic.app.terminal.cells import plain
from photogenic.app.terminal.output import Table, write_csv, write_parquet
from photogenic.features.search import filters, index
from photogenic.warehouse import Database, Layout, PhotogenicError, QueryError, Settings
from photogenic.warehouse.duckdb_store.query import Cursor, stream

__all__ = ["main"]

_CHUNK = 1 << 18


def main() -> None:
    """Serve until stdin ends. Arguments: store, DuckDB's memory limit, threads, bytes of the process."""
    root, memory, threads, n_bytes = sys.argv[1:]
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints gets among the frames
    _confine(int(n_bytes))
    db = Database(Layout(Path(root)), Settings(memory, int(threads)))
    _warm()
    _frame(out, b"H", b"{}")
    for line in sys.stdin.buffer:
        _answer(db, json.loads(line), out)


def _confine(n_bytes: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # sent to all of a service: the server answers, and ends this
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, n_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _warm() -> None:
    """Load what the first question would wait for."""
    duckdb.connect().close()


def _answer(db: Database, asked: dict[str, Any], out: BinaryIO) -> None:
    try:
        if asked["do"] == "rows":
            _rows(db, asked, out)
        elif asked["do"] == "export":
            _export(db, asked, out)
        else:
            _select(db, asked, out)
    except PhotogenicError as error:
        kind = type(error).__name__
        said = {"kind": kind, "what": error.what, "expected": error.expected, "remedy": error.remedy}
        root = str(db.layout.root)  # where it lies is nobody's business
        said = {name: text.replace(root, "STORE") for name, text in said.items()}
        _frame(out, b"E", json.dumps(said).encode())
    except MemoryError:
        _frame(out, b"E", json.dumps({"kind": "MemoryError"}).encode())
    else:
        _frame(out, b"Z", b"")


def _frame(out: BinaryIO, kind: bytes, data: bytes | bytearray | memoryview) -> None:
    out.write(kind + struct.pack(">I", len(data)))
    out.write(data)
    out.flush()


def _rows(db: Database, asked: dict[str, Any], out: BinaryIO) -> None:
    """The first rows, as the body of an answer of the API."""
    started = time.perf_counter()
    with stream(db, asked["query"], limit=asked["limit"] + 1, sample=asked["sample"]) as cursor:
        columns = [{"name": name, "type": kind} for name, kind in zip(cursor.columns, cursor.types, strict=True)]
        rows, n_rows, cut = bytearray(), 0, False
        for row in _plain_rows(cursor):
            if n_rows == asked["limit"] or len(rows) + len(row) > asked["bytes"]:
                cut = True
                break
            rows += (b"," if n_rows else b"") + row
            n_rows += 1
    head = orjson.dumps({"columns": columns, "n_rows": n_rows, "cut": cut})
    seconds = round(time.perf_counter() - started, 4)
    _frame(out, b"D", head[:-1] + f',"seconds":{seconds},"rows":['.encode())
    _frame(out, b"D", rows + b"]}")


def _plain_rows(cursor: Cursor) -> Iterator[bytes]:
    for row in cursor.rows():
        values = [plain(value) for value in row]
        try:
            yield orjson.dumps(values, option=orjson.OPT_STRICT_INTEGER)
        except TypeError:  # an integer of more than 53 bits, which JavaScript would round
            yield json.dumps(_in_digits(values), ensure_ascii=False).encode()


def _in_digits(value: object) -> object:
    """With text in place of the integers that a double does not hold."""
    if isinstance(value, int) and abs(value) >= 2**53:
        return str(value)
    if isinstance(value, list):
        return [_in_digits(item) for item in value]
    if isinstance(value, dict):
        return {key: _in_digits(item) for key, item in value.items()}
    return value


def _export(db: Database, asked: dict[str, Any], out: BinaryIO) -> None:
    sink = _Sink(out)
    with stream(db, asked["query"]) as cursor:
        _frame(out, b"H", json.dumps({"columns": cursor.columns}).encode())
        if asked["format"] == "parquet":
            write_parquet(cursor.batches(), sink)
        else:
            with io.TextIOWrapper(io.BufferedWriter(sink), encoding="utf-8", newline="") as text:
                write_csv(Table(cursor.columns, cursor.rows()), text)
    sink.finish()


class _Sink(io.RawIOBase):
    """A file whose bytes leave as frames. After a failure nobody finishes it, and what it still holds goes nowhere."""

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
        """Send what is held."""
        if self._held:
            _frame(self._out, b"D", bytes(self._held))
            self._held.clear()


def _select(db: Database, asked: dict[str, Any], out: BinaryIO) -> None:
    """Which photos a predicate of search picks, with what a result says of each, as Arrow."""
    with db.read() as con:
        try:
            chosen = filters.select(
                con, index.load(db.layout, asked["encoder"]), asked["where"], popular=asked["popular"]
            )
        except duckdb.OutOfMemoryException as error:
            raise QueryError(str(error), "an answer that fits the memory limit") from error
    data = io.BytesIO()
    chosen.photos.write_ipc_stream(data)
    _frame(out, b"D", data.getbuffer())


if __name__ == "__main__":
    main()

"""A frame in memory that DuckDB scans where it lies, any number of times.

    frame = ArrowFrame("polars.DataFrame (3 rows)", schema, 3, blocks)
    frame.register(con)
    con.sql(f"select f0, line from {frame.view}")

DuckDB asks the object for a new stream for each scan, by the PyCapsule interface of Arrow. The columns are called f0,
f1, ..., since names of frames may be empty or repeated; `line` is the number of the row, from 0.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from photogenic._lazy import duckdb, pa
from photogenic.ingest.sources.arrow_types import as_read, holds_no_values
from photogenic.ingest.sources.content_digest import ContentDigest

__all__ = ["ArrowFrame"]

_NUMBERS = itertools.count(1)


class ArrowFrame:
    """The rows of a frame.

    Args:
        schema: schema of the frame.
        n_rows: number of its rows.
        blocks: function that yields all rows as record batches, the same at each call.
        may_change: whether the owner of the frame can change values in it.

    Attributes:
        schema: schema of the frame.
        n_rows: number of its rows.
        view: name of the frame on connections on which it is registered.
        unreadable: Arrow types that DuckDB does not have, by the number of the column; its values are read as NULL.
        n_handed: number of rows that the current scan has handed out.
        failure: error with which the last scan ended; None: there was none.
    """

    def __init__(
        self,
        schema: pa.Schema,
        n_rows: int,
        blocks: Callable[[], Iterator[pa.RecordBatch]],
        *,
        may_change: bool,
    ) -> None:
        self.schema, self.n_rows = schema, n_rows
        self.view = f"frame_{next(_NUMBERS)}"
        self.n_handed = 0
        self.failure: BaseException | None = None
        self._blocks, self._may_change = blocks, may_change
        self._digest: str | None = None
        found = [as_read(field.type) for field in schema]
        self._types, self._converts = [type_ for type_, _ in found], [convert for _, convert in found]
        self.unreadable: dict[int, str] = {}

    @property
    def names(self) -> list[str]:
        """The names of the columns, as they are in the frame."""
        return [field.name for field in self.schema]

    def digest(self) -> str:
        """Digest of the content; see `content_digest`."""
        if self._digest is None:
            self._digest = self._digest_now()
        return self._digest

    def state(self) -> tuple[int, int]:
        """Number of rows, and a digest of what can change. If they change while it is read, its owner writes to it."""
        if not self._may_change:
            return self.n_rows, 0
        digest = self.digest() if self._digest is None else self._digest_now()
        return self.n_rows, int(digest[:15], 16)

    def register(self, con: duckdb.DuckDBPyConnection) -> None:
        """Make the frame known to a connection by the name `view`."""
        con.register(self.view, self)

    def unregister(self, con: duckdb.DuckDBPyConnection) -> None:
        """Remove the name; nothing happens if a transaction that failed has removed it."""
        with contextlib.suppress(duckdb.Error):
            con.unregister(self.view)

    def types(self, con: duckdb.DuckDBPyConnection) -> list[Any]:
        """Return the DuckDB type of each column, and fill `unreadable`.

        Args:
            con: connection on which the frame is registered.
        """
        for number, field in enumerate(self.schema):
            if holds_no_values(field.type) or not _is_known(con, self._types[number]):
                self.unreadable[number] = str(field.type)
                self._types[number], self._converts[number] = pa.null(), lambda array: pa.nulls(len(array))
        return list(con.sql(f"from {self.view}").types)[:-1]

    def __arrow_c_schema__(self) -> object:
        return self._stream_schema().__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        schema = self._stream_schema()
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema)).__arrow_c_stream__(requested_schema)

    def _stream_schema(self) -> pa.Schema:
        fields = [(f"f{number}", type_) for number, type_ in enumerate(self._types)]
        return pa.schema([*fields, ("line", pa.int64())])

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        line = 0
        self.n_handed, self.failure = 0, None
        try:
            for batch in self._blocks():
                columns = [
                    column if convert is None else convert(column)
                    for column, convert in zip(batch.columns, self._converts, strict=True)
                ]
                end = line + batch.num_rows
                lines = pa.array(np.arange(line, end, dtype=np.int64))
                yield pa.RecordBatch.from_arrays([*columns, lines], schema=schema)
                line = self.n_handed = end
        except GeneratorExit:  # the scan needs no more rows
            raise
        except BaseException as error:
            self.failure = error
            raise

    def _digest_now(self) -> str:
        digest = ContentDigest(self.schema)
        for batch in self._blocks():
            digest.add(batch)
        return digest.hexdigest()


def _is_known(con: duckdb.DuckDBPyConnection, type_: pa.DataType) -> bool:
    """Whether DuckDB can read a column of this type."""
    try:
        con.from_arrow(pa.schema([("f", type_)]).empty_table()).fetchall()
    except duckdb.Error:
        return False
    return True

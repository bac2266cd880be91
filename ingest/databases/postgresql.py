"""Read a query from PostgreSQL with COPY, in a transaction that only reads.

Arrow has no type for some types of PostgreSQL, and the driver sends others as raw bytes: the server sends those as
text. `money` becomes a number, and `char(n)` loses the spaces that fill it.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

from photogenic._lazy import pa, pc
from photogenic.ingest.databases.texts import Texts
from photogenic.warehouse import InputError
from photogenic.warehouse.postgresql import Address, connect, driver, refuse

__all__ = ["Reader"]

_PASSED = frozenset(
    (
        *("bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar", "name", "uuid", "bytea"),
        *("date", "timestamp", "timestamptz", "json", "jsonb"),
    )
)
"""Types whose values the driver passes as they are; numbers of `numeric` as text."""

_CAST = {"money": "numeric", "_money": "numeric[]"}
_FIRST = {"timestamp": -210_866_803_200_000_000, "date": -2_440_588}
"""The first instants of PostgreSQL, in 4714 BC. An earlier one overflowed in the driver."""

_NEGATIVE_INFINITY = {"timestamp": -9_222_425_352_054_775_808, "date": -2_147_472_691}
"""What `-infinity` overflows to. Others that overflow are `infinity`, or later than the year 294247."""

_SELECT = re.compile(r"\s*(?:--[^\n]*\n|/\*.*?\*/|\s)*\(*\s*(?:select|with|values|table)\b", re.S | re.I)


class Reader:
    """A database of PostgreSQL.

    Attributes:
        name: address without secrets.
        folder: folder that relative paths of pictures start from.
        notes: what the account says besides the counts; filled while batches are read.

    Raises:
        InputError: the address cannot be read.
    """

    def __init__(self, given: str) -> None:
        self._address = Address(given)
        self.name, self.folder = self._address.printable, Path()
        self.notes = list[str]()

    def batches(self, query: str) -> Generator[Any, None, None]:
        """Yield the Arrow schema, then the batches of a query.

        Raises:
            InputError: the server refuses the query, or the connection is lost.
        """
        if not _SELECT.match(query):
            raise InputError("The query is not a select.", "one query that only reads", "select ... from ...")
        n_rows, texts = 0, Texts()
        with contextlib.closing(connect(self._address, read_only=True)) as connection, connection.cursor() as cursor:
            try:
                described = cursor.adbc_execute_schema(query)
                if not len(described):
                    raise InputError("The query has no columns.", "a select with columns", "select ... from ...")
                cursor.execute(_wrapped(query, described))
                reader = _stream(cursor)
                schema = pa.schema(
                    [pa.field(*field) for field in zip(described.names, map(_type, reader.schema), strict=True)]
                )
                yield schema
                for batch in reader:
                    columns = [texts.valid(_with_infinities(_plain(column))) for column in batch.columns]
                    n_rows += len(batch)
                    yield pa.RecordBatch.from_arrays(columns, schema=schema)
            except (driver().Error, pa.ArrowException, OSError) as error:
                refuse(self._address, error, n_rows)
        self.notes += texts.notes()


def _stream(cursor: Any) -> pa.RecordBatchReader:
    """The rows of a cursor. The errors of this reader have their SQLSTATE; those of `fetch_record_batch` do not."""
    module = importlib.import_module("adbc_driver_manager._reader")
    handle = cursor.fetch_arrow()
    return module.AdbcRecordBatchReader._import_from_c(handle.address)


def _wrapped(query: str, described: pa.Schema) -> str:
    """The query with the types that are sent as text."""
    columns = []
    for at, field in enumerate(described):
        name = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
        cast = (
            ""
            if name.removeprefix("_") in _PASSED
            else f"::{_CAST.get(name, 'text[]' if pa.types.is_list(field.type) else 'text')}"
        )
        columns.append(f"c{at}{cast}")
    names = ", ".join(f"c{at}" for at in range(len(described)))
    return f"select {', '.join(columns)} from (\n{query}\n) as given({names})"


def _type(field: pa.Field) -> pa.DataType:
    """The type that is stored: texts of the driver's own types are texts."""
    type_ = field.type
    if pa.types.is_list(type_):
        return pa.list_(_type(type_.value_field))
    if isinstance(type_, pa.OpaqueType):
        return type_.storage_type
    return type_


def _plain(column: pa.Array) -> pa.Array:
    """The column in the type that is stored."""
    type_ = column.type
    if isinstance(type_, pa.OpaqueType):
        return column.storage
    if pa.types.is_list(type_) and isinstance(type_.value_type, pa.OpaqueType):
        return pa.ListArray.from_arrays(column.offsets, column.values.storage, mask=column.is_null())
    return column


def _with_infinities(column: pa.Array) -> pa.Array:
    """Instants that overflowed in the driver, as infinite ones, which are refused one by one."""
    type_ = column.type
    kind, whole = ("timestamp", pa.int64()) if pa.types.is_timestamp(type_) else ("date", pa.int32())
    if kind == "date" and not pa.types.is_date32(type_):
        return column
    numbers = column.view(whole)
    least = pc.min(numbers).as_py()
    if least is None or least >= _FIRST[kind]:
        return column
    most = (1 << (whole.bit_width - 1)) - 1
    infinite = pc.if_else(pc.equal(numbers, _NEGATIVE_INFINITY[kind]), -most, most)
    return pc.if_else(pc.less(numbers, _FIRST[kind]), infinite, numbers).cast(whole).view(type_)

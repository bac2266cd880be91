"""Write a stream of Arrow into a table of PostgreSQL, by COPY, in one transaction.

An existing table is filled in place, so that its privileges, indexes and views stay. Readers see the old rows until the
new ones are complete; other writers wait. A comment on the table says what it holds:

    photogenic {"item": "like_ratios", "digests": ["..."], "n_rows": 12, ...}

A table with rows and without such a comment is not replaced. One to which rows were added beside those of others is
shared (`"is_shared": true`): rows can be added to it, each export once, and it is never replaced.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, NoReturn

from photogenic._lazy import pa
from photogenic.warehouse.errors import InputError, StoreError
from photogenic.warehouse.export.options import ExportOptions
from photogenic.warehouse.export.writer import Counted, Exported, Target
from photogenic.warehouse.postgresql import Address, connect, driver, short

__all__ = ["PostgresWriter"]

_MARK = "photogenic "
_MOST_DIGESTS = 200
_LONGEST_NAME = 63

_COLUMNS = """
    select a.attname, format_type(a.atttypid, null) as type
    from pg_attribute a
    where a.attrelid = {table}::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    order by a.attnum
"""
_ALIKE = {"character varying": "text"}
"""Types of existing columns that take the values of another type."""


class PostgresWriter:
    """A writer of tables of one database.

    Args:
        address: `postgresql://USER@HOST/DATABASE`.

    Raises:
        InputError: it is no such address.
    """

    def __init__(self, address: str) -> None:
        self._address = Address(address)

    def held(self, target: Target, options: ExportOptions) -> Exported | None:
        """Return the table if it holds this content already: by its comment and its number of rows.

        To a table that is added to, others may have added rows since.

        Raises:
            InputError: the database cannot be reached, or the table has rows of somebody else.
        """
        table = _Table(target.name)
        with connect(self._address, read_only=True) as connection, connection.cursor() as cursor:
            try:
                said = _comment(cursor, table)
                if not options.append and _has_rows_of_others(cursor, table, said):
                    raise self._foreign(table)
                if said is None:
                    return None
                if target.digest not in said["digests"][-1 if not options.append else 0 :]:
                    return None
                n_rows = _one(cursor, f"select count(*) from {table.sql}")
            except driver().Error as error:
                self._refuse(table, error)
        if n_rows < said["n_rows"] or (n_rows > said["n_rows"] and not options.append):
            return None
        return Exported(target.name, n_rows, 0, 0, "unchanged", self._printable(table))

    def held_partitions(self, target: Target, options: ExportOptions) -> Collection[str]:  # noqa: ARG002
        """Return nothing: tables of PostgreSQL are written as a whole."""
        return ()

    def write(self, reader: pa.RecordBatchReader, target: Target, options: ExportOptions) -> Exported:
        """Write all rows in place of those of the table, or add them; create the table if there is none.

        Raises:
            InputError: the database refuses it, or the table has other columns, or rows of somebody else.
            StoreError: the stream has another number of rows than it should.
        """
        counted = Counted(reader)
        table, columns = _Table(target.name), [_Column(field) for field in reader.schema]
        stream = _Stream(counted.reader, columns)
        with connect(self._address, read_only=False) as connection, connection.cursor() as cursor:
            try:
                self._prepare(cursor, table, columns, options)
                said = _comment(cursor, table) if options.append else None
                n_before = _one(cursor, f"select count(*) from {table.sql}") if options.append else 0
                _ingest(cursor, table, stream)
                counted.check(target)
                digests = [*(said["digests"] if said else []), target.digest][-_MOST_DIGESTS:]
                about = {**target.about, "item": target.item, "digests": digests, "n_rows": n_before + target.n_rows}
                if n_before > (said["n_rows"] if said else 0) or (said and said.get("is_shared")):
                    about["is_shared"] = True
                cursor.execute(f"comment on table {table.sql} is {_literal(_MARK + json.dumps(about))}")
                connection.commit()
            except (driver().Error, pa.ArrowException) as error:
                if stream.failure is not None and not isinstance(stream.failure, pa.ArrowException | GeneratorExit):
                    raise stream.failure from None
                self._refuse(table, stream.failure if isinstance(stream.failure, pa.ArrowException) else error)
        return Exported(target.name, target.n_rows, 0, 0, "written", self._printable(table), target.n_rows)

    def publish(self) -> None:
        """Do nothing: each table is complete when its transaction ends."""

    def verify(self, target: Target) -> None:
        """Count the rows of the table again.

        Raises:
            StoreError: they are others than its comment says.
        """
        table = _Table(target.name)
        with connect(self._address, read_only=True) as connection, connection.cursor() as cursor:
            try:
                said = _comment(cursor, table)
                n_rows = _one(cursor, f"select count(*) from {table.sql}") if said else 0
            except driver().Error as error:
                self._refuse(table, error)
        is_complete = said is not None and (
            n_rows >= said["n_rows"] if said.get("is_shared") else n_rows == said["n_rows"]
        )
        if said is None or not is_complete or target.digest not in said["digests"]:
            raise StoreError(
                f"The table {self._printable(table)} has {n_rows:,} rows, and not those of this export.",
                f"{said['n_rows'] if said else target.n_rows:,} rows to which no other program writes",
                "run the same command again",
            )

    def close(self) -> None:
        """Do nothing: a transaction that was not committed has left nothing."""

    def _prepare(self, cursor: Any, table: _Table, columns: list[_Column], options: ExportOptions) -> None:
        """Create the table, or empty it, and keep other writers out until the transaction ends."""
        if not _exists(cursor, table):
            if table.schema is not None:
                [(found,)] = _rows(cursor, f"select to_regnamespace({_literal(_quoted(table.schema))}) is not null")
                if not found:
                    cursor.execute(f"create schema {_quoted(table.schema)}")
            described = ", ".join(f"{_quoted(column.name)} {column.sql_type}" for column in columns)
            cursor.execute(f"create table {table.sql} ({described})")
            return
        cursor.execute(f"lock table {table.sql} in share row exclusive mode")
        self._compare(table, columns, _rows(cursor, _COLUMNS.format(table=_literal(table.sql))))
        if not options.append:
            if _has_rows_of_others(cursor, table, _comment(cursor, table)):
                raise self._foreign(table)
            cursor.execute(f"delete from {table.sql}")

    def _compare(self, table: _Table, columns: list[_Column], found: list[tuple[str, str]]) -> None:
        there = {name: _ALIKE.get(type_, type_) for name, type_ in found}
        ours = {column.name: column.sql_type for column in columns}
        problems = [f"has no column {name}" for name in ours if name not in there]
        problems += [f"has a column {name}, which is not exported" for name in there if name not in ours]
        problems += [
            f"has {name} as {there[name]}, not {type_}"
            for name, type_ in ours.items()
            if there.get(name, type_) != type_
        ]
        if problems:
            raise InputError(
                f"The table {self._printable(table)} {'; it '.join(problems[:5])}.",
                "the columns " + ", ".join(f"{name} {type_}" for name, type_ in ours.items()),
                "alter the table, or name another one: --table NAME",
            )

    def _foreign(self, table: _Table) -> InputError:
        return InputError(
            f"The table {self._printable(table)} has rows that no export has written.",
            "an absent or empty table, or one of an earlier export",
            "name another one: --table NAME, or empty it, or --append",
        )

    def _refuse(self, table: _Table, error: BaseException) -> NoReturn:
        """Raise the error of a statement."""
        state, said = getattr(error, "sqlstate", None) or "", self._address.without_secrets(short(error))
        what = f"{self._printable(table)} cannot be written: {said}"
        if state == "25006":
            expected, remedy = "a server that takes writes, not a replica", "the address of the primary server"
        elif state == "42501":
            expected = "a user who may create tables there, or select, insert and delete in the existing one"
            remedy = "grant create on schema SCHEMA to USER"
        elif state == "55P03":
            expected, remedy = "a table to which no other transaction writes for over 60 s", "try again"
        elif not state or state.startswith(("08", "57P")):
            expected, remedy = "a server that answers to the end; the table is as it was", "try again"
        else:
            expected, remedy = "values that PostgreSQL can store; the table is as it was", "another --table, or a query"
        raise InputError(what, expected, remedy) from None

    def _printable(self, table: _Table) -> str:
        return f"{self._address} {table.name}"


class _Table:
    """The name of a table: `table` or `schema.table`, as it is written.

    Raises:
        InputError: it cannot be a name.
    """

    def __init__(self, name: str) -> None:
        parts = name.split(".")
        if (
            not all(parts)
            or len(parts) > 2
            or any(len(part.encode()) > _LONGEST_NAME or "\0" in part for part in parts)
        ):
            raise InputError(
                f"A table cannot be named {name!r}.",
                f"TABLE or SCHEMA.TABLE, each of at most {_LONGEST_NAME} bytes",
                "--table ratios",
            )
        self.name, self.table, self.schema = name, parts[-1], parts[0] if len(parts) > 1 else None
        self.sql = ".".join(map(_quoted, parts))


class _Column:
    """A column of the stream: its type in PostgreSQL, and its values as the driver writes them."""

    def __init__(self, field: pa.Field) -> None:
        self.name = field.name
        self.type, self.sql_type = _types(field.type)

    def values(self, column: pa.Array) -> pa.Array:
        """Cast values of the stream."""
        if column.type == self.type:
            return column
        if self.sql_type == "json":
            texts = [None if value is None else json.dumps(value, default=str) for value in column.to_pylist()]
            return pa.array(texts, self.type)
        return column.cast(self.type)


class _Stream:
    """The batches as the driver takes them. The driver reports an error of the stream as text, so the error is kept."""

    def __init__(self, reader: pa.RecordBatchReader, columns: list[_Column]) -> None:
        self._reader, self._columns = reader, columns
        self.failure: BaseException | None = None
        self.schema = pa.schema([pa.field(column.name, column.type) for column in columns])

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._reader:
                arrays = [column.values(given) for column, given in zip(self._columns, batch.columns, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        except BaseException as error:
            self.failure = error
            raise


def _types(type_: pa.DataType) -> tuple[pa.DataType, str]:
    """The Arrow type that is sent, and the type of PostgreSQL. Times of the store are UTC."""
    types = pa.types
    if types.is_dictionary(type_):
        return _types(type_.value_type)
    if types.is_timestamp(type_):
        return pa.timestamp("us", "UTC"), "timestamp with time zone"
    if types.is_boolean(type_):
        return type_, "boolean"
    if types.is_integer(type_):
        if type_.bit_width <= 8 or type_ == pa.int16():
            return pa.int16(), "smallint"
        return (pa.int32(), "integer") if type_ in {pa.int32(), pa.uint16()} else (pa.int64(), "bigint")
    if types.is_floating(type_):
        return (pa.float64(), "double precision") if type_ == pa.float64() else (pa.float32(), "real")
    if types.is_decimal(type_):
        return type_, "numeric"
    if types.is_date(type_):
        return pa.date32(), "date"
    if types.is_binary(type_) or types.is_large_binary(type_):
        return pa.binary(), "bytea"
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        inner, name = _types(type_.value_type)
        if not name.endswith("[]") and name != "json":
            return pa.list_(inner), f"{name}[]"
        return pa.string(), "json"
    if types.is_struct(type_) or types.is_map(type_):
        return pa.string(), "json"
    return pa.string(), "text"


def _ingest(cursor: Any, table: _Table, stream: _Stream) -> None:
    reader = pa.RecordBatchReader.from_batches(stream.schema, stream.batches())
    cursor.adbc_ingest(table.table, reader, mode="append", db_schema_name=table.schema)


def _exists(cursor: Any, table: _Table) -> bool:
    return bool(_one(cursor, f"select to_regclass({_literal(table.sql)}) is not null"))


def _comment(cursor: Any, table: _Table) -> dict[str, Any] | None:
    """What an export has said of the table; None: there is no table, or none of an export."""
    text = _one(cursor, f"select obj_description(to_regclass({_literal(table.sql)}), 'pg_class')")
    if text is None or not text.startswith(_MARK):
        return None
    try:
        said = json.loads(text[len(_MARK) :])
    except ValueError:
        return None
    return said if isinstance(said, dict) and {"digests", "n_rows"} <= said.keys() else None


def _has_rows_of_others(cursor: Any, table: _Table, said: dict[str, Any] | None) -> bool:
    """Whether a table has rows that no export has written, as far as its comment says."""
    if said is not None and not said.get("is_shared"):
        return False
    return _exists(cursor, table) and bool(_one(cursor, f"select exists (select from {table.sql})"))


def _one(cursor: Any, query: str) -> Any:
    [(value,)] = _rows(cursor, query)
    return value


def _rows(cursor: Any, query: str) -> list[tuple[Any, ...]]:
    cursor.execute(query)
    found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "e'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

"""Decode Avro messages into JSON objects, which are then read like all others.

Three kinds: a record without a header, of the schema that the user gives; one behind the 5-byte header of a schema
registry (a zero byte and the id of the schema), with the schema of each id given by the user; and an Avro file of one
record, which holds its schema itself. Such a schema comes from the sender, so it may have no list of values that take
no bytes, whose number nothing would bound, and the file may not be compressed.
"""

from __future__ import annotations

import importlib
import io
import json
import struct
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from photogenic.ingest.readers.input_files import printable_name, shell_quoted
from photogenic.warehouse import InputError
from photogenic.warehouse.errors import MissingPartError

__all__ = ["MAGIC", "AvroError", "Decoder"]

MAGIC = b"Obj\x01"
"""The first bytes of an Avro file."""

_HEADER = 5
_DEEPEST = 64
_EXAMPLE = "features listen kafka://broker:9092/swipes --kind swipes --schema swipe.avsc"


class AvroError(Exception):
    """The message is not one complete Avro record."""


class Decoder:
    """Decodes messages.

    Args:
        schemas: files of schemas, as given: `FILE`, or `ID=FILE`. None: messages are Avro files.

    Raises:
        InputError: a file is no schema of a record.
        MissingPartError: the package fastavro is not installed.
    """

    def __init__(self, schemas: Sequence[str] = ()) -> None:
        try:
            fastavro: Any = importlib.import_module("fastavro")
        except ModuleNotFoundError as error:
            raise MissingPartError(
                "Avro messages need the package fastavro.", "the extra kafka", "pip install 'photogenic[kafka]'"
            ) from error
        self._fastavro = fastavro
        self._plain: Any = None
        self._by_id: dict[int, Any] = {}
        for given in schemas:
            number, equals, name = given.partition("=")
            if equals and number.isdecimal() and len(number) < 11:
                self._by_id[int(number)] = self._schema(Path(name))
            elif self._plain is None:
                self._plain = self._schema(Path(given))
            else:
                raise InputError("Two schemas are given without an id.", "one schema, or ID=FILE for each", _EXAMPLE)
        if self._plain is not None and self._by_id:
            raise InputError("Schemas are given with and without an id.", "one kind of messages", _EXAMPLE)
        self._errors = (
            *(EOFError, ValueError, TypeError, IndexError, KeyError, OverflowError, ArithmeticError, struct.error),
            *(RecursionError, MemoryError, AttributeError, fastavro.schema.SchemaParseException),
            fastavro.schema.UnknownType,
        )

    def decode(self, message: bytes) -> bytes:
        """Return the record of a message as JSON.

        Raises:
            AvroError: it is not one complete record of its schema.
        """
        try:
            if self._plain is not None:
                return self._record(message, 0, self._plain)
            if self._by_id:
                if len(message) < _HEADER or message[0] != 0:
                    raise AvroError("no header of a schema registry")
                number = int.from_bytes(message[1:_HEADER], "big")
                if number not in self._by_id:
                    raise AvroError(f"schema {number} is not given")
                return self._record(message, _HEADER, self._by_id[number])
            return self._file(message)
        except self._errors as error:
            raise AvroError(str(error)) from error

    def _record(self, message: bytes, start: int, schema: Any) -> bytes:
        body = io.BytesIO(message)
        body.seek(start)
        record = self._fastavro.schemaless_reader(body, schema)
        if body.tell() != len(message):
            raise AvroError("bytes follow the record")
        return _json(record)

    def _file(self, message: bytes) -> bytes:
        reader = self._fastavro.reader(io.BytesIO(message))
        if reader.metadata.get("avro.codec", "null") != "null":
            raise AvroError("a compressed Avro file")
        _refuse_unbounded(reader.writer_schema)
        records = iter(reader)
        record = next(records, None)
        if record is None or next(records, None) is not None:
            raise AvroError("not one record")
        return _json(record)

    def _schema(self, path: Path) -> Any:
        name = printable_name(path)
        try:
            given = json.loads(path.read_bytes())
            parsed = self._fastavro.parse_schema(given)
        except OSError as error:
            raise InputError(
                f"{name} cannot be read: {error.strerror}.", "a file with an Avro schema", f"ls -l {shell_quoted(path)}"
            ) from error
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{name} is no Avro schema: {error}.", "a schema in JSON, a .avsc file", _EXAMPLE
            ) from error
        except (self._fastavro.schema.SchemaParseException, self._fastavro.schema.UnknownType) as error:
            raise InputError(
                f"{name} is no Avro schema: {error}.", "a schema in JSON, a .avsc file", _EXAMPLE
            ) from error
        if not isinstance(parsed, dict) or parsed.get("type") != "record":
            raise InputError(f"{name} is not the schema of a record.", "a schema whose type is record", _EXAMPLE)
        return parsed


def _json(record: object) -> bytes:
    if not isinstance(record, dict):
        raise AvroError("not a record")
    return orjson.dumps(record, default=_other)


def _other(value: object) -> object:
    """A value that JSON has not."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__}")


def _refuse_unbounded(schema: Any, depth: int = 0) -> None:
    """Refuse a schema with a list or map whose values take no bytes: its length would be any number.

    Raises:
        AvroError: it has one, or is nested too deeply.
    """
    if depth > _DEEPEST:
        raise AvroError("a schema that is nested too deeply")
    if isinstance(schema, list):
        for one in schema:
            _refuse_unbounded(one, depth + 1)
    elif isinstance(schema, Mapping):
        kind = schema.get("type")
        if kind == "array" and _is_empty(schema.get("items")):
            raise AvroError("a list of values without bytes")
        for key in ("items", "values"):
            _refuse_unbounded(schema.get(key), depth + 1)
        for field in schema.get("fields") or ():
            _refuse_unbounded(field.get("type"), depth + 1)
        if isinstance(kind, list | Mapping):
            _refuse_unbounded(kind, depth + 1)


def _is_empty(schema: Any, depth: int = 0) -> bool:
    """Whether values of a schema may take no bytes. A name stands for a type that was defined before: it may."""
    if depth > _DEEPEST:
        return True
    if isinstance(schema, str):
        return schema not in {"boolean", "int", "long", "float", "double", "bytes", "string"}
    if isinstance(schema, Mapping):
        kind = schema.get("type")
        if kind == "record":
            return all(_is_empty(field.get("type"), depth + 1) for field in schema.get("fields") or ())
        if kind == "fixed":
            return not schema.get("size")
        return False if kind in {"enum", "array", "map"} else _is_empty(kind, depth + 1)
    return not isinstance(schema, list)

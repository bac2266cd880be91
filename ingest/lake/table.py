"""What a version of a table of a lake is, for its readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from photogenic._lazy import pa
from photogenic.warehouse import InputError

__all__ = ["DELETED", "LakeTable", "plain_schema", "unreadable"]

DELETED = "rows were deleted in the table, and stay in the store: features retract takes them back"
"""What the account says of them, after their number."""


class LakeTable(Protocol):
    """One version of a table.

    Attributes:
        name: address to print and store.
        folder: folder of the table; the working folder for one that is elsewhere.
        version: what identifies the version, as a JSON value; None: the table has no version yet, and no rows.
    """

    name: str
    folder: Path
    version: dict[str, Any] | None

    def rows(self) -> pa.RecordBatchReader:
        """Open the stream of all rows."""
        ...

    def rows_since(self, former: dict[str, Any]) -> tuple[pa.RecordBatchReader, Sequence[str]]:
        """Open the stream of rows that were added or changed since a former version, with notes for the account.

        The notes are complete when the stream has ended.

        If they cannot be found, it is the stream of all rows.
        """
        ...


def unreadable(name: str, error: BaseException) -> InputError:
    """The error of a table that cannot be read."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return InputError(
        f"{name} cannot be read: {lines[0][:300]}",
        "a complete table whose files are where its log says; nothing of it was taken in",
        "check the table with the program that writes it, then try again",
    )


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema without types that only Arrow has."""
    return pa.schema([pa.field(field.name, _plain(field.type)) for field in schema])


def _plain(type_: pa.DataType) -> pa.DataType:
    """The type without views and dictionaries, which Parquet stores as plain values."""
    types = pa.types
    if types.is_string_view(type_):
        return pa.string()
    if types.is_binary_view(type_):
        return pa.binary()
    if types.is_dictionary(type_):
        return _plain(type_.value_type)
    if types.is_list(type_) or types.is_list_view(type_):
        return pa.list_(_plain(type_.value_type))
    if types.is_large_list(type_):
        return pa.large_list(_plain(type_.value_type))
    if types.is_struct(type_):
        return pa.struct([pa.field(field.name, _plain(field.type)) for field in type_])
    if types.is_map(type_):
        return pa.map_(_plain(type_.key_type), _plain(type_.item_type))
    return type_

"""Find the column that holds the bytes of pictures: the mapped one, else a column of bytes with a known name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from photogenic.ingest.tabular.column_mapping import find
from photogenic.ingest.tabular.mapping_file import FileMapping
from photogenic.ingest.tabular.schemas import Table
from photogenic.warehouse import InputError

__all__ = ["picture_field"]


class Field(Protocol):
    """What is asked of a field: see `source_files.Field`."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def is_null(self) -> bool: ...
    @property
    def keys(self) -> tuple[str, ...]: ...
    @property
    def places(self) -> tuple[int, ...]: ...
    @property
    def partition(self) -> tuple[str | None] | None: ...


_PICTURE_NAMES = ("image", "bytes")
"""Names of a column of pictures that need no mapping, if it holds bytes."""


def picture_field(
    file: str, table: Table, fields: Sequence[Field], bound: Mapping[str, int], mapping: FileMapping
) -> int | None:
    """Find the number of the column with the bytes of pictures; None: there is none.

    Args:
        file: name of the file.
        table: kind of its rows.
        fields: its fields.
        bound: our column name -> number of the field.
        mapping: mapping of its columns.

    Raises:
        InputError: the mapped column is not there, or holds neither bytes nor text.
    """
    if table.picture is None:
        return None
    theirs = mapping.columns.get(table.picture.name)
    names = [field.name for field in fields]
    if theirs is None:
        found = (at for name in _PICTURE_NAMES for at in find(names, name) if fields[at].type == "BLOB")
        return next((at for at in found if at not in bound.values()), None)
    numbers = find(names, theirs)
    if len(numbers) != 1:
        raise InputError(
            f"{file} has {len(numbers) or 'no'} column{'s' * (len(numbers) > 1)} {theirs!r} with pictures.",
            "one column of bytes, or of text in base64",
            "--map image=THEIRS",
        )
    field = fields[numbers[0]]
    is_in_json = bool(field.keys and field.places)
    if field.is_null or (field.type in {"BLOB", "VARCHAR"} and field.partition is None and not is_in_json):
        return numbers[0]
    raise InputError(
        f"{file}: column {theirs!r} is {field.type}, and pictures are bytes.",
        "a column of bytes, or of text in base64",
        f"--map image={theirs}.bytes" if field.type.startswith("STRUCT") else "--map image=THEIRS",
    )

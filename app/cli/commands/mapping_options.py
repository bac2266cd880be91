"""Options that say how columns, words and numbers of rows are read, for `features ingest`, `retract` and `listen`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from photogenic.ingest.tabular.mapping_file import FileMapping
    from photogenic.ingest.tabular.schemas import Kind as AnyKind

__all__ = ["Columns", "MappingFile", "Units", "Values", "mapping_of_options"]


def _column(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not (ours and equals and theirs):
        raise typer.BadParameter(f"{text!r} is not OURS=THEIRS, such as user_id=member")
    return ours, theirs


def _value(text: str) -> tuple[str, str, str]:
    column, colon, rest = text.partition(":")
    word, equals, value = rest.rpartition("=")
    if not (column and colon and word and equals):
        raise typer.BadParameter(f"{text!r} is not COLUMN:WORD=VALUE, such as liked:boost=true")
    return column, word, value


def _unit(text: str) -> tuple[str, str]:
    column, equals, unit = text.partition("=")
    if not (column and equals and unit):
        raise typer.BadParameter(f"{text!r} is not COLUMN=UNIT, such as swiped_at=ms")
    return column, unit


Columns = Annotated[
    list[Any] | None,
    typer.Option(
        "--map",
        parser=_column,
        metavar="OURS=THEIRS",
        help="Column of the store and its name in the files, e.g. user_id=member, or photo_id=photo.id for a value "
        "inside an object; may be given several times. Default: the names are the same.",
    ),
]
Values = Annotated[
    list[Any] | None,
    typer.Option(
        "--value",
        parser=_value,
        metavar="COLUMN:WORD=VALUE",
        help="Meaning of a word in the files: liked:boost=true, gender:D=other, or photo_id:none= for a missing "
        "value; may be given several times. Default: the words that the guide of ingest lists.",
    ),
]
Units = Annotated[
    list[Any] | None,
    typer.Option(
        "--unit",
        parser=_unit,
        metavar="COLUMN=UNIT",
        help="Unit of the numbers in a column of times: days, hours, minutes, s, ms, us or ns since 1970, or excel. "
        "Default: s, ms, us or ns, by the size of each number.",
    ),
]
MappingFile = Annotated[
    Path | None,
    typer.Option(
        "--mapping",
        metavar="FILE",
        help="TOML file of columns, values and units; --map, --value and --unit precede it. Default: none.",
    ),
]


def mapping_of_options(
    kind: AnyKind,
    file: Path | None,
    columns: list[tuple[str, str]] | None,
    values: list[tuple[str, str, str]] | None,
    units: list[tuple[str, str]] | None,
) -> FileMapping:
    """The mapping of the file, with the options over it."""
    from photogenic.ingest.tabular.mapping_file import mapping_from, mapping_of

    words: dict[str, dict[str, str]] = {}
    for name, value in _once("--value", [(f"{column}:{word}", value) for column, word, value in values or []]).items():
        column, _, word = name.partition(":")
        words.setdefault(column, {})[word] = value
    options = {"columns": _once("--map", columns), "values": words, "units": _once("--unit", units)}
    return mapping_of(kind, file) | mapping_from(options, kind, "")


def _once(option: str, given: list[tuple[str, str]] | None) -> dict[str, str]:
    """Return what an option says of each name, and refuse two different answers."""
    said: dict[str, str] = {}
    for name, answer in given or []:
        if said.setdefault(name, answer) != answer:
            raise typer.BadParameter(f"{option} says {name} twice: {said[name]} and {answer}")
    return said

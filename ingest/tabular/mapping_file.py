"""How the columns and values of a file are read: a mapping, as given by options or by a TOML file.

    [columns]           # ours = "theirs"; a dot leads into an object: photo_id = "photo.id"
    sender_id = "from_member"

    [values.liked]      # word = value; "" is a missing value
    boost = true

    [units]             # of the numbers in a column of times
    swiped_at = "days"

`mapping_from` checks a parsed table of this shape, wherever it stands, and names what is wrong with it.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from photogenic.ingest.readers.input_files import printable_name
from photogenic.ingest.tabular.schemas import Column, Kind, schema_of
from photogenic.warehouse import InputError
from photogenic.warehouse.toml_file import read_toml

__all__ = ["UNITS", "FileMapping", "Given", "Unit", "Value", "mapping_from", "mapping_of", "read_mapping"]

Value = bool | str | None
"""What a word stands for: yes or no for a flag, a gender, None for a missing value."""

Unit = Literal["days", "hours", "minutes", "s", "ms", "us", "ns", "excel"]
UNITS: tuple[Unit, ...] = get_args(Unit)

_SECTIONS = ("columns", "values", "units")
_GENDERS: dict[str, str | None] = {"female": "female", "male": "male", "other": "other", "unknown": None}
_FLAGS = {"true": True, "false": False}
_MOST_WORDS, _MOST_CHARS = 1000, 500


@dataclass(frozen=True, slots=True)
class FileMapping:
    """How a file's columns and values are read.

    Attributes:
        columns: our column name -> theirs.
        values: our column name -> word in the file -> what it stands for.
        units: our column name -> unit of its numbers, for times.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)

    def __or__(self, other: FileMapping) -> FileMapping:
        """Both mappings; where they differ, `other` counts."""
        values = {name: dict(words) for name, words in self.values.items()}
        for name, words in other.values.items():
            values[name] = values.get(name, {}) | dict(words)
        return FileMapping({**self.columns, **other.columns}, values, {**self.units, **other.units})

    def key(self) -> list[Any]:
        """The mapping as JSON, equal for equal mappings. What is empty is left out."""
        values = [[name, sorted(words.items())] for name, words in sorted(self.values.items()) if words]
        parts: list[Any] = [sorted(self.columns.items()), values, sorted(self.units.items())]
        while len(parts) > 1 and not parts[-1]:
            parts.pop()
        return parts


Given = FileMapping | Mapping[str, Any] | str | Path | None
"""A mapping as users of Python give it: our column -> theirs, the tables of a mapping file, or its path."""


def mapping_of(
    kind: Kind,
    given: Given = None,
    values: Mapping[str, Mapping[str, Any]] | None = None,
    units: Mapping[str, Any] | None = None,
) -> FileMapping:
    """Make the mapping that the arguments of an ingest describe.

    Args:
        kind: kind of the rows.
        given: our column -> theirs; or `columns`, `values` and `units`; or the path of a TOML file with these.
        values: our column -> word -> what it stands for; counts before those of `given`.
        units: our column -> unit of its numbers; counts before those of `given`.

    Raises:
        InputError: something in it is not known, or not of its type.
    """
    if isinstance(given, str | Path):
        mapping = read_mapping(Path(given), kind)
    elif isinstance(given, FileMapping):
        mapping = given
    else:
        table = dict(given or {})
        is_whole = any(isinstance(value, Mapping) for value in table.values())
        mapping = mapping_from(table if is_whole else {"columns": table}, kind, "")
    return mapping | mapping_from({"values": values or {}, "units": units or {}}, kind, "")


def read_mapping(path: Path, kind: Kind) -> FileMapping:
    """Read a mapping from a TOML file.

    Raises:
        InputError: there is no such file, or it is not a mapping of this kind of rows.
    """
    return mapping_from(read_toml(path, "mapping").table, kind, printable_name(path))


def mapping_from(table: Mapping[str, Any], kind: Kind, where: str) -> FileMapping:
    """Check a parsed table, and make it a mapping.

    Args:
        table: `columns`, `values` and `units`, each of which may be absent.
        kind: kind of the rows.
        where: where the table stands, for messages: the file's name and, inside it, the path of its keys.

    Raises:
        InputError: a key, a type, a column or a value in it is not known.
    """
    at = f"{where}: " if where else ""
    for section, content in table.items():
        if section not in _SECTIONS:
            near = difflib.get_close_matches(str(section), _SECTIONS, n=1)
            raise InputError(
                f"{at}{_shown(section)} is not known.",
                f"one of {', '.join(_SECTIONS)}",
                f"[{near[0]}]" if near else "features ingest --help",
            )
        if not isinstance(content, Mapping):
            raise InputError(
                f"{at}{section} is {_shown(content)}.", f"a table: [{section}]", f"write its keys below [{section}]"
            )

    def place(section: str, name: object) -> str:
        return f"{at}{section}.{name}" if where else str(name)

    columns, values, units = dict[str, str](), dict[str, dict[str, Value]](), dict[str, Unit]()
    for name, theirs in table.get("columns", {}).items():
        column = _column(kind, name, at, "--map {}=THEIRS", with_picture=True)
        columns[column.name] = _theirs(column, theirs, place("columns", name))
    for name, words in table.get("values", {}).items():
        column = _column(kind, name, at, "--value {}:WORD=VALUE")
        values[column.name] = _words(column, words, place("values", name))
    for name, unit in table.get("units", {}).items():
        column = _column(kind, name, at, "--unit {}=UNIT")
        units[column.name] = _unit(column, unit, kind, place("units", name))
    return FileMapping(columns, values, units)


def _column(kind: Kind, name: object, at: str, option: str, *, with_picture: bool = False) -> Column:
    table = schema_of(kind)
    for column in table.columns:
        if column.name == name:
            return column
    if with_picture and table.picture is not None and name == table.picture.name:
        return table.picture
    near = difflib.get_close_matches(str(name)[:_MOST_CHARS], table.names, n=1)
    raise InputError(
        f"{at}{kind} have no column {_shown(name)}.",
        f"one of {', '.join(table.names)}",
        option.format(near[0]) if near else f"features ingest {kind.replace('_', '-')} --help",
    )


def _theirs(column: Column, theirs: object, at: str) -> str:
    if isinstance(theirs, str) and theirs and len(theirs) <= _MOST_CHARS and _is_unicode(theirs):
        return theirs
    raise InputError(
        f"{at} is {_shown(theirs)}.", "the name of a column in the files, as text", f"--map {column.name}=THEIRS"
    )


def _words(column: Column, words: object, at: str) -> dict[str, Value]:
    if not isinstance(words, Mapping):
        raise InputError(f"{at} is {_shown(words)}.", "words and their values", "WORD = VALUE, such as boost = true")
    if len(words) > _MOST_WORDS:
        raise InputError(f"{at} has {len(words):,} words.", f"at most {_MOST_WORDS:,}", "convert the column before")
    return {_word(word, at): _value(column, value, f"{at}.{_shown(word)}") for word, value in words.items()}


def _unit(column: Column, unit: object, kind: Kind, at: str) -> Unit:
    if column.type != "time":
        times = ", ".join(other.name for other in schema_of(kind).columns if other.type == "time")
        raise InputError(f"{at} has a unit, but is no time.", f"one of {times}", "leave it out")
    for known in UNITS:
        if unit == known:
            return known
    raise InputError(f"{at} is {_shown(unit)}.", f"one of {', '.join(UNITS)}", f"--unit {column.name}=ms")


def _word(word: object, at: str) -> str:
    if isinstance(word, int) and not isinstance(word, bool):
        word = str(word)
    if not isinstance(word, str) or not word.strip() or len(word) > _MOST_CHARS or not _is_unicode(word):
        raise InputError(
            f"{at} has the word {_shown(word)}.",
            f"a word of up to {_MOST_CHARS:,} characters; blanks mean a missing value already",
            "WORD = VALUE",
        )
    return word.strip()


def _value(column: Column, value: object, at: str) -> Value:
    """What a word stands for. The empty text stands for a missing value."""
    if value is None or value == "":
        return None
    if column.type == "flag":
        found: Value = value if isinstance(value, bool) else _FLAGS.get(str(value).lower())
        if found is None:
            raise InputError(f"{at} is {_shown(value)}.", 'true, false, or "" for a missing value', "true or false")
        return found
    if column.type == "gender":
        if not isinstance(value, str) or value.lower() not in _GENDERS:
            raise InputError(f"{at} is {_shown(value)}.", f'one of {", ".join(_GENDERS)}, or ""', "other")
        return _GENDERS[value.lower()]
    raise InputError(
        f"{at} is {_shown(value)}.",
        f'"" for a missing value: {column.name} holds values of any text, and only liked and gender have fixed ones',
        f"--value {column.name}:WORD=",
    )


def _is_unicode(text: str) -> bool:
    """Whether it is text that UTF-8 can hold, without the character 0."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _shown(value: object) -> str:
    text = reprlib.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

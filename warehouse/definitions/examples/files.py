"""Read the literal examples of a relation: rows that are given, and the rows that must come out.

    [[example]]
    name = "an older swipe does not count"
    as_of = 2024-02-01
    swipes = '''
    recipient_id | liked | swiped_at
    bob          | true  | 2024-01-20 10:00
    bob          | true  | 2023-01-01
    '''
    expect = '''
    user_id | n_28d
    bob     | 1
    '''

Cells stand between `|`. `NULL` is the missing value. A text that holds `|`, that begins or ends with a blank, or that
is empty or `NULL` stands in single quotes, with each quote in it doubled. Times are ISO 8601, lists `[a, b]`.
"""

from __future__ import annotations

import datetime as dt
import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from photogenic.warehouse.catalog import Column, Relation
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.moment import Moment
from photogenic.warehouse.toml_file import TomlFile, shown, toml_of

__all__ = ["ARRIVAL", "TOLERANCE", "Example", "Rows", "read_examples"]

ARRIVAL = {"users": "created_at", "photos": "posted_at", "main_photos": "set_at", "swipes": "swiped_at"}
"""Views of facts -> the column with the time at which a row happened. Examples may give their `ingested_at` too."""

TOLERANCE = 1e-9
"""Largest difference of two numbers of type double that count as equal, in units of the larger one, or of 1."""

_SETTINGS = ("name", "as_of", "known_at", "parameters", "tolerance", "expect")
_WHOLE = {"tinyint": 8, "smallint": 16, "integer": 32, "int": 32, "bigint": 64, "hugeint": 128}
"""Types of whole numbers -> bits."""

_REAL = ("double", "float", "real")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a relation.

    Attributes:
        columns: the columns that are written, in the order of the file.
        rows: their values, in the types of the columns.
    """

    relation: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a relation.

    Attributes:
        where: file and line, for messages.
        moment: the clock.
        parameters: values of parameters: name -> value.
        given: rows of relations that stand in for whatever would compute them.
        expect: the rows that the relation must have.
        tolerance: see TOLERANCE.
    """

    relation: str
    name: str
    where: str
    moment: Moment
    parameters: Mapping[str, Any]
    given: tuple[Rows, ...]
    expect: Rows
    tolerance: float = TOLERANCE


def read_examples(
    path: Path, text: str, what: Relation, lookup: Callable[[str], Relation | None]
) -> tuple[Example, ...]:
    """Read the examples of a relation.

    Args:
        path: path of the file, for messages.
        text: its content.
        what: the relation.
        lookup: returns a relation by its name; None: there is none.

    Raises:
        InputError: the file is not TOML, or an example is not as described above.
    """
    file = toml_of(path, "file with examples", text)
    for key in file.table:
        if key != "example":
            raise InputError(
                f"{file.where('', key)}: there is no key {shown(key)} outside an example.",
                "tables that begin with [[example]]",
                '[[example]]\nname = "what it shows"',
            )
    tables = file.table.get("example", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(
            f"{file.where('', 'example')}: example is {shown(tables)}.", "tables that begin with [[example]]"
        )
    return tuple(_Reader(file, what, lookup, number).example(table) for number, table in enumerate(tables))


@dataclass(slots=True)
class _Reader:
    """Reader of one example, `number` in its file."""

    file: TomlFile
    what: Relation
    lookup: Callable[[str], Relation | None]
    number: int
    name: str = ""

    def example(self, table: dict[str, Any]) -> Example:
        name = table.get("name", f"example {self.number + 1}")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            self._fail("name", f"the name is {shown(name)}", "a text on one line", 'name = "what it shows"')
        self.name = name
        if "expect" not in table:
            self._fail("", f"{name!r} does not say what comes out", "rows under the key expect", "expect = '''")
        given = tuple(self._given(key, value) for key, value in table.items() if key not in _SETTINGS)
        return Example(
            relation=self.what.name,
            name=name,
            where=self.file.where("example", "", self.number),
            moment=self._moment(table),
            parameters=self._parameters(table.get("parameters", {})),
            given=given,
            expect=self._rows("expect", table["expect"], self.what, self.what.columns),
            tolerance=self._tolerance(table.get("tolerance", TOLERANCE)),
        )

    def _given(self, key: str, value: object) -> Rows:
        found = self.lookup(key)
        if found is None or key == self.what.name:
            why = "is what the example tests" if found is not None else "is not a relation"
            near = difflib.get_close_matches(key, [*self.what.reads, *_SETTINGS], 1)
            expected = "relations that are given, such as " + ", ".join(self.what.reads)
            self._fail(key, f"{self.name!r} gives {key}, which {why}", expected, near[0] if near else "expect")
        clock = (Column("ingested_at", "timestamp", "when it arrived"),) if key in ARRIVAL else ()
        return self._rows(key, value, found, (*found.columns, *clock))

    def _moment(self, table: dict[str, Any]) -> Moment:
        for key in ("as_of", "known_at"):
            value = table.get(key)
            if value is not None and not isinstance(value, (str, dt.date)):
                self._fail(key, f"{self.name!r}: {key} is {shown(value)}", "an instant", f"{key} = 2024-02-01")
        try:
            return Moment.of(table.get("as_of"), table.get("known_at"))
        except InputError as error:
            key = "known_at" if error.what.startswith("known_at") else "as_of"
            self._fail(key, f"{self.name!r}: {error.what.rstrip('.')}", error.expected, f"{key} = 2024-02-01")

    def _parameters(self, value: object) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            what = f"{self.name!r}: parameters is {shown(value)}"
            self._fail("parameters", what, "a table", "parameters = { days = 28 }")
        return value

    def _tolerance(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            what = f"{self.name!r}: tolerance is {shown(value)}"
            self._fail("tolerance", what, "a number from 0 on", "tolerance = 0.01")
        return float(value)

    def _rows(self, key: str, text: object, what: Relation, known: Sequence[Column]) -> Rows:
        if not isinstance(text, str):
            self._fail(key, f"{self.name!r}: {key} is {shown(text)}", "rows as a text in '''", f"{key} = '''")
        lines = list(self._lines(key, text))
        if not lines:
            names = " | ".join(column.name for column in known[:3])
            self._fail(key, f"{self.name!r}: {key} has no line with the names of its columns", names, f"{key} = '''")
        (place, head), *body = lines
        columns = self._columns(place, key, _cells(head), what, known)
        rows = []
        for place, line in body:
            cells = _cells(line)
            if len(cells) != len(columns):
                raise InputError(
                    f"{place}: example {self.name!r}: the row of {key} has {_n(len(cells), 'value')}.",
                    f"{_n(len(columns), 'value')} between |, one for each of {', '.join(c.name for c in columns)}",
                    "put a text that holds | in single quotes",
                )
            rows.append(tuple(self._value(place, cell, column) for cell, column in zip(cells, columns, strict=True)))
        return Rows(what.name, columns, tuple(rows))

    def _columns(
        self, place: str, key: str, cells: Sequence[_Cell], what: Relation, columns: Sequence[Column]
    ) -> tuple[Column, ...]:
        known = {column.name: column for column in columns}
        found: dict[str, Column] = {}
        for cell in cells:
            if cell.text not in known or cell.text in found:
                why = "stands there twice" if cell.text in found else f"is no column of {what.name}"
                near = difflib.get_close_matches(cell.text, known, 1)
                raise InputError(
                    f"{place}:{cell.at}: example {self.name!r}: {shown(cell.text)} in {key} {why}.",
                    f"columns of {what.name}: {', '.join(known)}",
                    near[0] if near and cell.text not in found else f"features sql --show {what.name}",
                )
            found[cell.text] = known[cell.text]
        return tuple(found.values())

    def _value(self, place: str, cell: _Cell, column: Column) -> Any:
        try:
            return _typed(cell, column.type)
        except ValueError as error:
            raise InputError(
                f"{place}:{cell.at}: example {self.name!r}: {shown(cell.text)} is no {column.type} for {column.name}.",
                str(error) or f"a value of type {column.type}, or NULL",
                "write NULL where the value is missing, and '' for the empty text",
            ) from error

    def _lines(self, key: str, text: str) -> Iterator[tuple[str, str]]:
        """Yield file and line number, and the line, of each line that is not blank."""
        place, first = self.file.where("example", key, self.number), self.file.line_of("example", key, self.number)
        source = self.file.text.splitlines()
        inside = first is not None and source[first - 1].rstrip().endswith(("'''", '"""'))
        for n, line in enumerate(text.splitlines()):
            if line.strip():
                yield (f"{place.rpartition(':')[0]}:{first + n + inside}" if first is not None else place), line

    def _fail(self, key: str, what: str, expected: str, remedy: str) -> NoReturn:
        raise InputError(f"{self.file.where('example', key, self.number)}: {what}.", expected, remedy)


@dataclass(frozen=True, slots=True)
class _Cell:
    """A value as written.

    Attributes:
        at: its first column in the line, from 1.
        quoted: whether it stands in quotes, which `text` is without.
    """

    text: str
    at: int
    quoted: bool = False


_PART = re.compile(
    r"\s*(?:'(?P<quoted>(?:[^']|'')*)'|(?P<list>\[(?:'(?:[^']|'')*'|[^'\]])*\])|(?P<bare>[^|]*?))\s*(?=\||$)"
)
_ELEMENT = re.compile(r"\s*(?:'(?P<quoted>(?:[^']|'')*)'|(?P<bare>[^,]*?))\s*(?=,|$)")


def _cells(line: str) -> list[_Cell]:
    return list(_split(line, _PART))


def _split(line: str, pattern: re.Pattern[str]) -> Iterator[_Cell]:
    start = 0
    while True:
        found = pattern.match(line, start)
        assert found is not None  # the bare form matches whatever the others do not
        group = found.lastgroup or "bare"
        text = found[group]
        yield _Cell(text.replace("''", "'") if group == "quoted" else text, found.start(group) + 1, group == "quoted")
        if found.end() >= len(line):
            return
        start = found.end() + 1


def _typed(cell: _Cell, kind: str) -> Any:
    """Return the value of a cell.

    Raises:
        ValueError: it is not of that type; its text says what was expected, or is empty.
    """
    if not cell.quoted and cell.text.upper() == "NULL":
        return None
    if kind == "varchar":
        if not cell.text and not cell.quoted:
            raise ValueError
        return cell.text
    if kind.endswith("[]"):
        if cell.quoted or not (cell.text.startswith("[") and cell.text.endswith("]")):
            raise ValueError("a list such as [a, b], or NULL")
        inner = cell.text[1:-1]
        return [_typed(part, kind.removesuffix("[]")) for part in _split(inner, _ELEMENT)] if inner.strip() else []
    return _plain(cell.text, kind)


def _plain(text: str, kind: str) -> Any:
    if kind == "boolean":
        if text.lower() not in ("true", "false"):
            raise ValueError("true, false or NULL")
        return text.lower() == "true"
    if kind in _WHOLE:
        if not re.fullmatch(r"[+-]?[0-9]{1,39}", text) or not -(2 ** (_WHOLE[kind] - 1)) <= int(text) < 2 ** (
            _WHOLE[kind] - 1
        ):
            raise ValueError(f"a whole number of {_WHOLE[kind]} bits, or NULL")
        return int(text)
    if kind in _REAL:
        if not _NUMBER.fullmatch(text):
            raise ValueError("a number, inf, nan or NULL")
        return float(text)
    if kind == "timestamp":
        try:
            at = dt.datetime.fromisoformat(text)
            return at.astimezone(dt.UTC).replace(tzinfo=None) if at.tzinfo else at
        except (ValueError, OverflowError) as error:
            raise ValueError("a time as ISO 8601 in UTC, such as 2024-01-31 10:00, or NULL") from error
    if kind == "date":
        try:
            return dt.date.fromisoformat(text)
        except ValueError as error:
            raise ValueError("a date such as 2024-01-31, or NULL") from error
    raise ValueError(f"NULL: values of type {kind} cannot be written here, so leave the column out")


def _n(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"

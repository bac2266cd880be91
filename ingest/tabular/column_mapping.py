"""Map the columns of a file to ours, and find the separator of its header."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from photogenic.ingest.tabular.schemas import Column, Table
from photogenic.warehouse import InputError

__all__ = ["Header", "bind", "read_header"]

_SEPARATORS = (",", ";", "\t", "|")
_SEP = re.compile(r'(["\']?)sep=(.?)\1[ ,;\t|]*', re.IGNORECASE)
_LINE_END = re.compile("\r\n|\r|\n")
_GENERIC = {"id", "ids", "uid", "uuid", "guid", "key", "no", "nr", "number", "ref", "at", "time", "ts", "the"}
"""Parts of a name that do not say what it names."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first record of a CSV: the names, their separator, and the line on which it ends, from 1."""

    names: list[str]
    separator: str
    line: int


def read_header(file: str, head: str, table: Table, mapping: Mapping[str, str]) -> Header:
    """Read the header of a text that is not blank. A first line `sep=;`, as Excel writes it, sets the separator.

    Without such a line, the separator is the one with which most of our columns are found.

    Raises:
        InputError: there is no readable header.
    """
    at, line = _first_line(head, 0, 1)
    separators: Sequence[str] = _SEPARATORS
    first = _LINE_END.split(head[at : at + 1000], maxsplit=1)[0]
    if given := _SEP.fullmatch(first):
        if not given[2] or given[2] in '"\n\r' or not given[2].isascii() or given[2].isalnum():
            raise InputError(
                f"{file}: its first line {first!r} names no separator.",
                "one character, such as sep=;",
                "remove that line from the file",
            )
        separators = [given[2]]
        at, line = _first_line(head, at + len(first), line)
    if at == len(head):
        raise InputError(f"{file} has no header.", "a line of names", f"head -n 3 {file}")
    wanted = {*map(_plain, table.names), *map(_plain, mapping.values())}
    splits = [(separator, *_split(head, at, separator)) for separator in separators]
    separator, names, end = max(
        splits, key=lambda split: (len(wanted.intersection(map(_plain, split[1]))), len(split[1]))
    )
    if not names:
        shown = head[at : at + 80].splitlines()[0]
        raise InputError(
            f"{file}: the header {shown!r} cannot be read.",
            "one record of names, each quote closed",
            f"head -n 3 {file}",
        )
    return Header(names, separator, line + len(_LINE_END.findall(head, at, end)))


def bind(
    file: str,
    table: Table,
    names: Sequence[str],
    mapping: Mapping[str, str],
    nested: Collection[str] = (),
    *,
    retract: bool = False,
) -> dict[str, int]:
    """Find the field of each of our columns: by exact name, else ignoring case, blanks and hyphens.

    In a file whose rows may take back, some columns are dispensable (`Column.unless`).

    Args:
        file: name of the file.
        table: table whose columns are looked for.
        names: names of the fields.
        mapping: our column name -> theirs.
        nested: names of fields that have objects or lists; these are never suggested.
        retract: whether every row takes back; then a column `deleted` says nothing, and is not bound.

    Raises:
        InputError: a column is missing, or is there more than once.
    """
    bound: dict[str, int] = {}
    for column in sorted(table.columns, key=lambda column: bool(column.unless)):
        if retract and column.name == "deleted":
            continue
        theirs = mapping.get(column.name)
        name = theirs or column.name
        numbers = [number for number, given in enumerate(names) if given == name]
        numbers = numbers or [number for number, given in enumerate(names) if _plain(given) == _plain(name)]
        if len(numbers) > 1:
            raise InputError(
                f"{file} has {len(numbers)} columns {name!r}.", "one", f"--map {column.name}=THEIRS, or drop the others"
            )
        if numbers:
            bound[column.name] = numbers[0]
        elif theirs is not None or (column.required and not _is_dispensable(column, {*bound}, retract=retract)):
            ours = {_plain(other) for other in table.names if other != name}
            free = [given for given in names if given not in nested and _plain(given) not in ours]
            raise _missing(file, column, name, names, free)
    return bound


def _is_dispensable(column: Column, bound: set[str], *, retract: bool) -> bool:
    """Whether a file with these columns may lack another one."""
    return bool(column.unless) and bound | ({"deleted"} if retract else set()) >= {*column.unless}


def _missing(file: str, column: Column, name: str, names: Sequence[str], free: Sequence[str]) -> InputError:
    near = max(free, key=lambda given: _likeness(name, given), default="")
    return InputError(
        f"{file} has no column {name!r}.",
        f"that name among its columns: {', '.join(names[:40])}",
        f"--map {column.name}={near if near and _likeness(name, near) >= 0.7 else 'THEIRS'}",
    )


def _likeness(one: str, other: str) -> float:
    """Similarity of two names, from 0 to 1, by their distinctive parts: `sender_id` is not similar to `event_id`."""
    left, right = _distinctive_parts(one), _distinctive_parts(other)
    if not left or not right:
        return difflib.SequenceMatcher(None, _plain(one), _plain(other)).ratio()
    return difflib.SequenceMatcher(None, left, right).ratio()


def _distinctive_parts(name: str) -> str:
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return "_".join(part for part in _plain(plain).split("_") if part and part not in _GENERIC)


def _plain(name: str) -> str:
    """Normalize a name: `Sender ID`, `sender-id` and `sender_id` are equal."""
    return re.sub(r"[\s\-_]+", "_", name.strip().strip("\ufeff").strip().lower())


def _first_line(head: str, at: int, line: int) -> tuple[int, int]:
    """Offset and number of the next line that is not empty."""
    while end := _LINE_END.match(head, at):
        at, line = end.end(), line + 1
    return at, line


def _split(head: str, at: int, separator: str) -> tuple[list[str], int]:
    """The fields of the record at `at`, and where it ends. No fields if its quotes are invalid.

    The rules are those of readers/csv_quotes.py, except that a quote after a blank is an ordinary character.
    """
    sep = re.escape(separator)
    field = re.compile(rf'"((?:[^"]|"")*)" *(?=[{sep}\r\n]|\Z)|((?:[^"{sep}\r\n][^{sep}\r\n]*)?)')
    names = list[str]()
    while found := field.match(head, at):
        names.append(found[1].replace('""', '"') if found[1] is not None else found[2])
        at = found.end()
        behind = head[at : at + 1]
        if behind in {"", "\r", "\n"}:
            return names, at
        if behind != separator:
            break
        at += 1
    return [], at

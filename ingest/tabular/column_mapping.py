"""Map the columns of a file to ours, and find the separator of its header."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from photogenic.ingest.tabular.schemas import Column, Table
from photogenic.ingest.tabular.suggestions import Candidate, candidate_of_values, missing_error, normalized
from photogenic.warehouse import InputError

__all__ = ["Header", "bind", "find", "read_header", "samples"]

_SEPARATORS = (",", ";", "\t", "|")
_SEP = re.compile(r'(["\']?)sep=(.?)\1[ ,;\t|]*', re.IGNORECASE)
_LINE_END = re.compile("\r\n|\r|\n")
_MOST_ROWS = 200


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
    wanted = {*map(normalized, table.names), *map(normalized, mapping.values())}
    splits = [(separator, *_split(head, at, separator)) for separator in separators]
    separator, names, end = max(
        splits, key=lambda split: (len(wanted.intersection(map(normalized, split[1]))), len(split[1]))
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
    candidates: Callable[[], Sequence[Candidate]],
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
        candidates: function that returns the fields that may be suggested.
        retract: whether every row takes back; then a column `deleted` says nothing, and is not bound.

    Raises:
        InputError: columns are missing, or one is there more than once.
    """
    bound, missing = dict[str, int](), list[tuple[Column, str]]()
    for column in sorted(table.columns, key=lambda column: bool(column.unless)):
        if retract and column.name == "deleted":
            continue
        theirs = mapping.get(column.name)
        name = theirs or column.name
        numbers = find(names, name)
        if len(numbers) > 1:
            raise InputError(
                f"{file} has {len(numbers)} columns {name!r}.", "one", f"--map {column.name}=THEIRS, or drop the others"
            )
        if numbers:
            bound[column.name] = numbers[0]
        elif theirs is not None or (column.required and not _is_dispensable(column, {*bound}, retract=retract)):
            missing.append((column, name))
    if missing:
        ours = {normalized(other) for other in table.names} - {normalized(name) for _, name in missing}
        taken = {names[number] for number in bound.values()}
        found = candidates()
        free = [given for given in found if given.name not in taken and normalized(given.name) not in ours]
        raise missing_error(file, table, missing, [given.name for given in found], free, retract=retract)
    return bound


def _is_dispensable(column: Column, bound: set[str], *, retract: bool) -> bool:
    """Whether a file with these columns may lack another one."""
    return bool(column.unless) and bound | ({"deleted"} if retract else set()) >= {*column.unless}


def find(names: Sequence[str], name: str) -> list[int]:
    """The numbers of the fields with that name: the exact one, else ignoring case, blanks and hyphens."""
    numbers = [number for number, given in enumerate(names) if given == name]
    return numbers or [number for number, given in enumerate(names) if normalized(given) == normalized(name)]


def samples(head: str, header: Header) -> list[Candidate]:
    """The columns of a CSV with the types that the values of their first rows may have.

    Args:
        head: beginning of the text.
        header: its header.
    """
    lines = _LINE_END.split(head, maxsplit=header.line + _MOST_ROWS)[header.line : header.line + _MOST_ROWS]
    values: list[list[str]] = [[] for _ in header.names]
    try:
        for row in csv.reader(lines, delimiter=header.separator):
            if len(row) == len(values):
                for column, value in zip(values, row, strict=True):
                    column.append(value)
    except csv.Error:
        pass  # a field of more than 128 kB: the rows before it are enough
    return [candidate_of_values(name, column) for name, column in zip(header.names, values, strict=True)]


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

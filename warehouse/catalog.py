"""The relations, read from the files of sql/: the SQL of each one and the contract in its header.

A file is a header and one bare SELECT. The header's first line names the relation and says what a row
is; then `key: value` lines (grain, reads, time, source, parameters), then free text. The columns are
those of the last SELECT, each written as `cast(... as TYPE) as NAME  -- what it holds`.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from photogenic import sql
from photogenic._lazy import duckdb

__all__ = ["Column", "Relation", "create_views", "create_views_of_labels", "parse", "relation"]

_KEYS = ("grain", "reads", "time", "source", "parameters")
_COLUMN = re.compile(r" as (?P<type>[a-z]+(?:\[\])?)\) as (?P<name>\w+),?\s+-- (?P<comment>.+)$", re.MULTILINE)
_PARAMETER = re.compile(r"\$(\w+)")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a relation."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A SELECT and its contract.

    Attributes:
        text: the content of the file, which is what runs.
        reads: names of the relations and base tables that it reads.
        parameters: names of its `$name` parameters.
        notes: free text after the keys of the header.
    """

    name: str
    text: str
    summary: str
    grain: str
    reads: tuple[str, ...]
    time: str
    source: str
    parameters: tuple[str, ...]
    notes: str
    columns: tuple[Column, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the grain."""
        names = {column.name for column in self.columns}
        return tuple(word for word in re.findall(r"\w+", self.grain) if word in names)


@functools.cache
def relation(name: str) -> Relation:
    """Return the relation that `sql/NAME.sql` defines."""
    return parse(name, sql.read(name))


def parse(name: str, text: str) -> Relation:
    """Read a file's header and columns.

    Raises:
        ValueError: the header does not have the form described in the docstring of this module.
    """
    header = re.match(r"(?:--.*\n)+", text)
    lines = [line.removeprefix("--").strip() for line in header[0].splitlines()] if header else []
    if not lines or not lines[0].startswith(f"{name}: "):
        raise ValueError(f"sql/{name}.sql must begin with `-- {name}: what a row is`")
    values = dict.fromkeys(_KEYS, "")
    notes: list[str] = []
    for line in lines[1:]:
        key, colon, value = line.partition(":")
        if colon and key in _KEYS and not notes:
            values[key] = value.strip()
        elif line or notes:
            notes.append(line)
    if missing := [key for key in _KEYS if not values[key] and key != "parameters"]:
        raise ValueError(f"sql/{name}.sql: the header lacks {', '.join(missing)}")
    body = text[header.end() :] if header else text
    columns = tuple(Column(m["name"], m["type"], m["comment"].strip()) for m in _COLUMN.finditer(body))
    return Relation(
        name=name,
        text=text,
        summary=lines[0].removeprefix(f"{name}: "),
        grain=values["grain"],
        reads=tuple(values["reads"].split(", ")),
        time=values["time"],
        source=values["source"],
        parameters=tuple(dict.fromkeys(_PARAMETER.findall(body))),
        notes="\n".join(notes).strip(),
        columns=columns,
    )


def create_views(con: duckdb.DuckDBPyConnection) -> None:
    """Replace the views of a store by those of this version, unless they are the same already."""
    held = dict(con.execute("select view_name, comment from duckdb_views() where not internal").fetchall())
    if all(held.get(name) == _digest(name) for name in sql.VIEWS):
        return
    con.begin()
    for name in sql.VIEWS:
        _create_view(con, name)
    con.commit()


def create_views_of_labels(con: duckdb.DuckDBPyConnection) -> None:
    """Do the same with the views that read computed relations, which must be there; in the caller's transaction."""
    held = dict(con.execute("select view_name, comment from duckdb_views() where not internal").fetchall())
    for name in sql.VIEWS_OF_LABELS:
        if held.get(name) != _digest(name):
            _create_view(con, name)


def _create_view(con: duckdb.DuckDBPyConnection, name: str) -> None:
    con.execute(f"create or replace view {name} as {relation(name).text}")
    con.execute(f"comment on view {name} is '{_digest(name)}'")


def _digest(name: str) -> str:
    import hashlib

    return "sql/" + hashlib.sha256(relation(name).text.encode()).hexdigest()[:16]

"""The relations, read from the files of sql/: the SQL of each one and the contract in its header.

A file is a header and one bare SELECT. The header's first line names the relation and says what a row
is; then `key: value` lines (grain, reads, time, source, parameters), then free text. The columns are
those of the last SELECT, each written as `cast(... as TYPE) as NAME  -- what it holds`.

A user's own relations (warehouse/definitions/) have the same form. Their text is a part of the store, so the relations
of a store are a `Catalog`, which `catalog_of` reads from it.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from photogenic import sql
from photogenic._lazy import duckdb

__all__ = [
    "OURS",
    "Catalog",
    "Column",
    "Relation",
    "catalog_of",
    "create_views",
    "create_views_of_labels",
    "in_order",
    "parse",
    "read_values",
    "relation",
    "view_texts",
]

_KEYS = ("grain", "reads", "time", "source", "parameters", "additive")
_OPTIONAL = ("parameters", "additive")
_COLUMN = re.compile(
    r" as (?P<type>[a-z]+(?:\[\])?)\) as (?P<name>\w+),?\s+-- (?P<comment>.+)$", re.MULTILINE | re.IGNORECASE
)
_LAST_SELECT = re.compile(r"^select\b(?!.*^select\b)", re.MULTILINE | re.IGNORECASE | re.DOTALL)
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
        defaults: values of parameters in the header of a user's own relation: name -> value.
        additive: the log whose rows it counts, if its rows are sums over disjoint sets of them.
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
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False)
    additive: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the grain."""
        names = {column.name for column in self.columns}
        return tuple(word for word in re.findall(r"\w+", self.grain) if word in names)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The relations of a store: those of sql/, and those that users defined and a build computed.

    Attributes:
        own: relations of the user's own, in build order.
        kinds: own relation -> `sql`, a table; or `picture`, a view of the values of a Python function.
        values: own relation -> values of its parameters.
        unbuilt: own relations that no build has computed: name -> why.
        added: relations beside those of the DuckDB files (warehouse/duckdb_store/extension.py).
    """

    own: Mapping[str, Relation] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unbuilt: Mapping[str, str] = field(default_factory=dict)
    added: Mapping[str, Relation] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All relations: views first, then computed ones in build order, then own ones."""
        return (*sql.NAMES, *self.own, *self.added)

    @property
    def computed(self) -> tuple[str, ...]:
        """The relations that are tables, in build order."""
        return (*sql.RELATIONS, *(name for name in self.own if self.kinds[name] == "sql"))

    def relation(self, name: str) -> Relation:
        """Return a relation by name.

        Raises:
            KeyError: there is none of this name.
        """
        if (found := self.own.get(name) or self.added.get(name)) is not None:
            return found
        if name not in sql.NAMES:
            raise KeyError(name)
        return relation(name)

    def below(self, names: Iterable[str]) -> set[str]:
        """Return these relations, and all relations and base tables that they read, directly or through others."""
        found, left = set[str](), [*names]
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self.relation(name).reads if name in self.names else ()
        return found


OURS = Catalog()
"""The relations of sql/ alone."""


def catalog_of(con: duckdb.DuckDBPyConnection) -> Catalog:
    """Read the catalog of the store of a connection: own relations are there as a build last computed them."""
    query = """
        select relation, kind, coalesce(built_definition, definition), coalesce(built_parameters, parameters),
            built_definition is not null or kind <> 'sql', status, error
        from facts.own_relations order by relation
    """
    own, kinds, values, unbuilt = dict[str, Relation](), dict[str, str](), dict[str, dict[str, Any]](), {}
    for name, kind, text, parameters, is_built, status, error in con.execute(query).fetchall():
        if not is_built:
            unbuilt[name] = error or status
            continue
        own[name], kinds[name] = _parsed(name, text), kind
        values[name] = read_values(own[name], parameters)
    return Catalog({name: own[name] for name in in_order(own)}, kinds, values, unbuilt)


def in_order(relations: Mapping[str, Relation]) -> tuple[str, ...]:
    """Sort relations: what a relation reads comes before it. Relations in a circle come last, by name."""
    graph = {name: sorted(set(what.reads) & set(relations)) for name, what in relations.items()}
    last: list[str] = []
    while True:
        order: TopologicalSorter[str] = TopologicalSorter({name: graph[name] for name in sorted(graph)})
        try:
            return (*order.static_order(), *sorted(last))
        except CycleError as error:
            circle = set(error.args[1])
            last += circle
            graph = {name: [read for read in graph[name] if read not in circle] for name in graph if name not in circle}


def read_values(what: Relation, text: str) -> dict[str, Any]:
    """Read the values of parameters from JSON; dates and instants have the type of the default in the header."""
    values: dict[str, Any] = json.loads(text)
    for name, default in what.defaults.items():
        if isinstance(default, dt.date) and isinstance(values.get(name), str):
            values[name] = type(default).fromisoformat(values[name])
    return values


@functools.lru_cache(maxsize=1_000)
def _parsed(name: str, text: str) -> Relation:
    return parse(name, text)


@functools.cache
def relation(name: str) -> Relation:
    """Return the relation that `sql/NAME.sql` defines."""
    return parse(name, sql.read(name))


@functools.cache
def view_texts(reads: tuple[str, ...]) -> tuple[str, ...]:
    """Return the SQL of the views of sql/ among these relations, and of the views that those read, each once."""
    found: dict[str, str] = {}
    left = sorted(reads, reverse=True)
    while left:
        name = left.pop()
        if name not in found and name in (*sql.VIEWS, *sql.VIEWS_OF_LABELS):
            found[name] = relation(name).text
            left += sorted(relation(name).reads, reverse=True)
    return tuple(found.values())


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
    if missing := [key for key in _KEYS if not values[key] and key not in _OPTIONAL]:
        raise ValueError(f"sql/{name}.sql: the header lacks {', '.join(missing)}")
    body = text[header.end() :] if header else text
    last = _LAST_SELECT.search(body)
    found = list(_COLUMN.finditer(body, last.start() if last else 0)) or list(_COLUMN.finditer(body))
    columns = tuple(Column(m["name"], m["type"].lower(), m["comment"].strip()) for m in found)
    return Relation(
        name=name,
        text=text,
        summary=lines[0].removeprefix(f"{name}: "),
        grain=values["grain"],
        reads=tuple(re.split(r",\s*", values["reads"])),
        time=values["time"],
        source=values["source"],
        parameters=tuple(dict.fromkeys(_PARAMETER.findall(body))),
        notes="\n".join(notes).strip(),
        columns=columns,
        defaults=_defaults(name, values["parameters"]),
        additive=values["additive"],
    )


def _defaults(name: str, text: str) -> dict[str, Any]:
    """Read `days = 28, since = 2024-01-01`, which are values of TOML; names alone have no default."""
    import tomllib

    if "=" not in text:
        return {}
    try:
        found: dict[str, Any] = tomllib.loads(f"values = {{{text}}}")["values"]
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"sql/{name}.sql: `parameters: {text}` is not a list like `days = 28`: {error}") from error
    return found


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

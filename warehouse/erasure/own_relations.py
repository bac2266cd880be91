"""Erased people in the user's own relations: their tables, and the definitions that name somebody.

An erase computes own relations again, from facts without these people. What still holds one of them is emptied, and the
next build computes it again. In a definition an id counts where it is a text by itself, such as `'kilroy-42'`, and,
if it is long, where it is a word of a text or of a comment; names of relations and columns stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import get_args, get_type_hints

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import catalog_of
from photogenic.warehouse.definitions.project import ProjectDefinitions
from photogenic.warehouse.erasure.id_words import IdWords, re2_patterns
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.labels.options import LabelOptions

__all__ = ["OPTION_WORDS", "definition_mentions", "empty_relations", "held_ids", "redact_sql", "without_erased"]

OPTION_WORDS = frozenset(
    word for kind in get_type_hints(LabelOptions).values() for word in get_args(kind) if isinstance(word, str)
)
"""Values of options, which are not redacted even if an id has the same text."""

_VALUES = OPTION_WORDS | {"female", "male", "other", "train", "dev", "test", "ok"}
_PIECE = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<text>'(?:[^']|'')*')|(?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)", re.DOTALL
)
_KEY = re.compile(r"--\s*(?:grain|reads|time|additive):")
_FIRST_WORD = re.compile(r"--\s*\w+: ")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_TOKEN = re.compile(r"[^\s,;:.()'\"`]{6,}")
"""A word of a text that is long enough for an id."""
_SQL = {"own_relations": ("definition", "built_definition"), "own_audits": ("definition",)}


def redact_sql(text: str, is_one: Callable[[str], bool], redact: Callable[[str], str]) -> str:
    """Return a definition with `(erased)` in place of ids.

    Args:
        text: header and SELECT.
        is_one: whether a text is an id.
        redact: function that replaces the ids within a text.
    """

    def literal(inner: str) -> str:
        return "(erased)" if inner not in _VALUES and is_one(inner) else redact(inner)

    def changed(found: re.Match[str]) -> str:
        piece = found[0]
        if found["comment"] is not None:
            if _KEY.match(piece):
                return piece
            if piece.removeprefix("--").strip().startswith("parameters:"):
                return _QUOTED.sub(lambda one: one[0][0] + literal(one[0][1:-1]) + one[0][-1], piece)
            first = _FIRST_WORD.match(piece)
            start = first.end() if first else 2
            return piece[:start] + redact(piece[start:])
        if found["text"] is not None:
            return "'" + literal(piece[1:-1].replace("''", "'")).replace("'", "''") + "'"
        edge = f"${found['tag']}$"
        return edge + literal(piece[len(edge) : -len(edge)]) + edge

    return _PIECE.sub(changed, text)


def definition_mentions(
    con: duckdb.DuckDBPyConnection, words: IdWords, long: IdWords
) -> Iterator[tuple[str, str, dict[str, str | None]]]:
    """Yield table, column, and for each definition that names an erased person its replacement.

    Args:
        con: connection to the warehouse or the snapshot.
        words: the erased ids.
        long: those that are long enough to be searched for within texts.
    """
    ids = frozenset(words.ids)
    for table, columns in _SQL.items():
        for column in columns:
            kept: dict[str, str | None] = {}
            for (text,) in con.execute(f"select distinct {column} from facts.{table}").fetchall():
                if text is not None and (struck := redact_sql(text, ids.__contains__, long.redact)) != text:
                    kept[text] = struck
            if kept:
                yield table, column, kept


def held_ids(
    con: duckdb.DuckDBPyConnection,
    *,
    sought: Callable[[str], list[str]],
    sha256s: list[str],
    long: IdWords,
    unchanged: set[str],
    history: frozenset[str],
) -> dict[str, str]:
    """Return the own relations whose rows hold an erased id: name -> column and number of rows.

    Args:
        con: connection to the warehouse or the snapshot.
        sought: column -> the erased ids that must not be in it.
        sha256s: digests of erased pictures.
        long: the ids that are searched for within texts.
        unchanged: texts of other people that mention an id and stay.
        history: relations that keep ids of purged photos; what reads them may have them too.
    """
    catalog, found = catalog_of(con), dict[str, str]()
    query = """
        select table_name, column_name, data_type from system.main.duckdb_columns()
        where schema_name = 'main' and data_type in ('VARCHAR', 'VARCHAR[]') and list_contains($1, table_name)
        order by all
    """
    tables = [name for name, kind in catalog.kinds.items() if kind == "sql" and not catalog.below([name]) & history]
    for name, column, kind in con.execute(query, [tables]).fetchall():
        value = f'unnest("{column}")' if kind.endswith("[]") else f'"{column}"'
        source = f'(select {value} as value from main."{name}")'
        ids = sought(column) if column == "target" or column.endswith("_id") else []
        exact = f"select count(*) from {source} where value in (select unnest($1::varchar[]))"
        ((n,),) = con.execute(exact, [[*sha256s, *ids]]).fetchall()
        if not n:
            n = sum(long.has(_without(text, unchanged)) for text in _matching(con, source, long))
        if n:
            found.setdefault(name, f"{column}: {n}")
    return found


def _matching(con: duckdb.DuckDBPyConnection, source: str, long: IdWords) -> set[str]:
    """Return the distinct texts that may have one of the ids as a word."""
    query = f"select distinct value from {source} where regexp_matches(value, $1)"
    return {text for pattern in re2_patterns(long.ids) for (text,) in con.execute(query, [pattern]).fetchall()}


def _without(text: str, others: set[str]) -> str:
    for other in others:
        text = text.replace(other, "")
    return text


def empty_relations(con: duckdb.DuckDBPyConnection, held: Mapping[str, str]) -> list[str]:
    """Empty own relations that could not be computed again, or still hold an id; in the caller's transaction.

    Returns:
        Their names.
    """
    query = "select relation, error from facts.own_relations where kind = 'sql' and status <> 'ok' order by all"
    why = {
        name: error or "It could not be computed again after an erase." for name, error in con.execute(query).fetchall()
    }
    why |= {
        name: f"It held an erased id after it was computed again, in the column {what}." for name, what in held.items()
    }
    tables = "select table_name from duckdb_tables() where schema_name = 'main' and not temporary"
    there = {name for (name,) in con.execute(tables).fetchall()}
    emptied = sorted(there.intersection(why))
    for name in emptied:
        con.execute(f'delete from main."{name}"')
        con.execute("delete from facts.relation_state where relation = $1", [name])
        con.execute(
            "update facts.own_relations set status = 'failed', error = $2, failed_digest = null where relation = $1",
            [name, why[name]],
        )
    return emptied


def without_erased(project: ProjectDefinitions | None, tombstones: Tombstones) -> ProjectDefinitions | None:
    """Return a project without the definitions that name an erased person, which count as unreadable."""
    if project is None or not len(tombstones):
        return project

    def is_one(text: str) -> bool:
        return tombstones.contains("user", text) or tombstones.contains("photo", text)

    def redact(text: str) -> str:
        return _TOKEN.sub(lambda word: "(erased)" if word[0] not in sql.NAMES and is_one(word[0]) else word[0], text)

    unreadable = dict(project.unreadable)
    kept: dict[str, dict[str, str]] = {"relations": {}, "audits": {}}
    for folder, definitions in (("relations", project.relations), ("audits", project.audits)):
        for name, text in definitions.items():
            file = f"{folder}/{name}.sql"
            values = project.parameters.get(name, {}).values() if folder == "relations" else ()
            if redact_sql(text, is_one, redact) == text and not any(
                isinstance(one, str) and is_one(one) for one in values
            ):
                kept[folder][name] = text
                continue
            error = InputError(
                f"{file} names an erased person, whose id must not come back into the store.",
                "a definition without ids of erased people",
                f"remove the id from {file}, or from [parameters.{name}] of photogenic.toml",
            )
            unreadable[file] = str(error)
    return replace(project, relations=kept["relations"], audits=kept["audits"], unreadable=unreadable)

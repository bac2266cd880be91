"""Answer the NEAREST joins of a statement of a user, also of one that is explained, with the vectors of a store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from photogenic._lazy import duckdb, pa
from photogenic.features.search.index_files import Index
from photogenic.features.search.searcher import Searcher
from photogenic.features.vector_sql.nearest import Answered, answer_nearest, discard, markers_of
from photogenic.features.vector_sql.relations import Rows
from photogenic.features.vector_sql.tree import parse, walk
from photogenic.features.vectors.reader import VectorSet
from photogenic.warehouse.duckdb_store.extension import Instance, words_of
from photogenic.warehouse.errors import StoreError
from photogenic.warehouse.sql_guard.guard import changing_functions
from photogenic.warehouse.sql_guard.rewrite import explained_query

__all__ = ["StoreVectors", "release", "rewritten"]

Key = tuple[str, tuple[tuple[str, str, str], ...], tuple[tuple[str, str, str], ...]]

_KEPT, _KEPT_BYTES, _ROW_BYTES = 4, 32 * 2**20, 64
"""Answered queries that an instance keeps, their size, and about that of a row of a right side."""

_UNSTABLE = frozenset(
    {
        *("sample", "tablesample", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"),
    }
)
"""Words of queries whose rows may be others the next time, beside the functions of which DuckDB says so."""

_OURS = frozenset({"similar", "vectors"})
"""Functions that read more than the snapshot and the vectors that a query names. `vectors` is also a usual alias."""


@dataclass(frozen=True, slots=True)
class StoreVectors:
    """The vectors of the relations that a query names.

    Attributes:
        rows: relation -> its vectors.
        searcher: the search of the store, with its indices.
        instance: the instance of the query, which keeps the markers of its snapshot.
    """

    rows: Mapping[str, Rows]
    searcher: Searcher
    instance: Instance

    def relations(self) -> frozenset[str]:
        return frozenset(self.rows)

    def vectors(self, relation: str) -> VectorSet:
        return self.rows[relation].vectors

    def index(self, relation: str) -> Index | None:
        known = self.vectors(relation).manifest
        try:
            index = self.searcher.cache.index(known.encoder)
        except StoreError:
            return None
        is_current = index.manifest.vectors_content == known.content and not index.manifest.n_bad
        return index if is_current else None

    def markers(self, con: duckdb.DuckDBPyConnection, relation: str) -> pa.Table:
        index = self.index(relation)
        key = relation, self.vectors(relation).manifest.content, index and index.manifest.generation
        kept = self.instance.kept.setdefault("markers", {})
        if key not in kept:
            kept.clear()
            kept[key] = markers_of(con, self, relation)
        table: pa.Table = kept[key]
        return table


def rewritten(
    con: duckdb.DuckDBPyConnection,
    statement: duckdb.Statement,
    values: dict[str, object] | None,
    sources: StoreVectors,
    instance: Instance,
) -> tuple[duckdb.Statement, Answered] | None:
    """Return the statement to run instead of one with NEAREST joins; None: it has none.

    The rows of EXPLAIN have one more for each NEAREST join, with the key `nearest`.

    Args:
        con: the connection of the query.
        statement: a statement that the guard has accepted.
        values: its parameters.
        sources: the vectors that it may read.
        instance: the instance of the connection.
    """
    _forget_former(sources)
    explained = explained_query(statement.query)
    key = None if explained is not None else _key(con, statement.query, values, sources)
    if key is not None and (kept := _answers(instance).pop(key, None)) is not None:
        for name, table in kept.markers.items():
            con.register(name, table)
        for checked in kept.checked:
            checked.con = instance.cursor()
            kept.cursors.append(checked.con)
        (made,) = con.extract_statements(kept.text)
        return made, kept
    text = statement.query if explained is None else explained
    answered = answer_nearest(con, text, values, sources, owner=instance.con, open_cursor=instance.cursor)
    if answered is None:
        return None
    if explained is not None:
        head = statement.query[: len(statement.query) - len(explained)]
        rows = con.execute(head + answered.text, answered.values).fetchall()
        rows = [*(("nearest", line) for line in answered.plan), *rows]
        lines = ", ".join(f"({_literal(key)}, {_literal(value)})" for key, value in rows)
        answered.text = f"select * from (values {lines}) as explained (explain_key, explain_value)"
        answered.values = None
    answered.key = None if key is None or _calls_ours(con, text) else key
    (made,) = con.extract_statements(answered.text)
    return made, answered


def release(instance: Instance, answered: Answered) -> None:
    """Keep an answered query that has ended for the next time that it is asked, or discard it.

    The instance is of one snapshot, and one query uses it at a time. Its last queries are kept, if they are small.
    """
    answers = _answers(instance)
    if answered.key is not None:
        for cursor in answered.cursors:
            cursor.close()
        answered.cursors.clear()
        for checked in answered.checked:
            checked.con = instance.con
        if (before := answers.pop(answered.key, None)) is not None:
            discard(instance.con, before)
        answers[answered.key] = answered
    else:
        discard(instance.con, answered)
    while answers and (len(answers) > _KEPT or sum(map(_size, answers.values())) > _KEPT_BYTES):
        discard(instance.con, answers.popitem(last=False)[1])


def _forget_former(sources: StoreVectors) -> None:
    """Discard what an instance keeps of vectors whose files were replaced, so that these are no longer mapped."""
    instance = sources.instance
    held: dict[str, VectorSet] = instance.kept.setdefault("sets", {})
    now = {relation: sources.vectors(relation) for relation in sources.rows}
    if any(held.get(relation, vectors) is not vectors for relation, vectors in now.items()):
        answers = _answers(instance)
        while answers:
            discard(instance.con, answers.popitem()[1])
        instance.kept.pop("markers", None)
    held |= now


def _answers(instance: Instance) -> OrderedDict[Key, Answered]:
    """The answered queries that an instance keeps, the last ones at the end."""
    kept: OrderedDict[Key, Answered] = instance.kept.setdefault("answers", OrderedDict())
    return kept


def _size(answered: Answered) -> int:
    candidates = sum(one.n_bytes + _ROW_BYTES * one.n_rows for one in answered.candidates)
    return candidates + sum(one.n_bytes for one in answered.checked)


def _key(
    con: duckdb.DuckDBPyConnection, text: str, values: dict[str, object] | None, sources: StoreVectors
) -> Key | None:
    """What a query and its answer depend on; None: it may have another answer the next time."""
    instance = sources.instance
    if instance.moments:
        return None
    if "unstable" not in instance.kept:
        instance.kept["unstable"] = _UNSTABLE | changing_functions(con)
    if not words_of(text).isdisjoint(instance.kept["unstable"]):
        return None
    given = []
    for name, value in sorted((values or {}).items()):
        if not isinstance(value, (str, int, float, type(None))):
            return None
        given.append((name, type(value).__name__, str(value)))
    read = []
    for relation in sorted(sources.rows):
        index = sources.index(relation)
        read.append((relation, sources.vectors(relation).manifest.content, str(index and index.manifest.generation)))
    return text, tuple(given), tuple(read)


def _calls_ours(con: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Whether a query calls one of our functions, or cannot be read as a tree."""
    if words_of(text).isdisjoint(_OURS):
        return False
    document = parse(con, text)
    return document is None or any(str(node.get("function_name", "")).lower() in _OURS for node in walk(document))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

"""Install the relations of vectors and the search functions on the connection of a query that names them.

Functions in Python belong to a DuckDB instance, and temporary views and macros to one cursor. So the functions are made
once for an instance, and get the number of the query that calls them from the macro. The guard lets no query name them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from photogenic._lazy import duckdb, pa, pl
from photogenic.warehouse import Store
from photogenic.warehouse.catalog import Relation
from photogenic.warehouse.duckdb_store.database import CATALOG_WORDS
from photogenic.warehouse.duckdb_store.extension import HIDDEN, Instance, words_of
from photogenic.warehouse.duckdb_store.parameters import Parameters
from photogenic.warehouse.errors import PhotogenicError, QueryMemoryError, StoreError

if TYPE_CHECKING:
    from photogenic.features.search.searcher import Searcher
    from photogenic.features.vector_sql.nearest import Answered
    from photogenic.features.vector_sql.relations import Rows
    from photogenic.features.vector_sql.similar import EmbedText

__all__ = ["VectorSql"]

_PREFIX = "vectors_"
_READS = frozenset({"photo_labels", "photos", "users"})
_FAILED = "The search failed, number"


@dataclass(eq=False, slots=True)
class Session:
    """One query that runs.

    Attributes:
        number: the number that its macros pass to the functions.
        instance: the instance of its connection.
        rows: vectors of the relations that it names.
        error: the error of a search in it.
        answered: how its NEAREST joins are answered.
        notes: what its searches have noted; each note is given once.
    """

    number: int
    instance: Instance
    rows: dict[str, Rows] = field(default_factory=dict)
    error: PhotogenicError | MemoryError | None = None
    answered: Answered | None = None
    notes: dict[str, None] = field(default_factory=dict)


class VectorSql:
    """What SQL of users sees of the vectors of one store. It is thread-safe.

    Args:
        store: the open store.
        cache_bytes: largest total size of the cached vectors of filters. Default: that of `Searcher`.
        may_embed: whether pictures may be decoded in this process.
        embed_text: returns the vectors of texts. Default: they are computed in this process.
    """

    def __init__(
        self,
        store: Store,
        *,
        cache_bytes: int | None = None,
        may_embed: bool = True,
        embed_text: EmbedText | None = None,
    ) -> None:
        self._store, self._cache_bytes, self._may_embed = store, cache_bytes, may_embed
        self._embed_text = embed_text
        self._searcher: Searcher | None = None
        self._sessions: dict[int, Session] = {}
        self._of_connection: dict[int, Session] = {}
        self._numbers = itertools.count(1)
        self._instances: weakref.WeakSet[Instance] = weakref.WeakSet()
        # A function that is still there when Python ends is a leak for DuckDB's client, which says so on stderr.
        weakref.finalize(self, _close_all, self._instances)

    @property
    def searcher(self) -> Searcher:
        """Similarity search of the store; it keeps vectors and indices open between queries."""
        from photogenic.features.search.searcher import Searcher

        if self._searcher is None:
            more = {} if self._cache_bytes is None else {"cache_bytes": self._cache_bytes}
            self._searcher = Searcher(self._store, **more)
        return self._searcher

    def functions(self) -> Mapping[str, str]:
        from photogenic.features.vector_sql.arguments import describe_options

        return {
            "similar": f"similar({describe_options()}): the photos most like a photo, vector, picture or text",
            "vectors": "vectors(): the encoders with vectors, and their indices",
        }

    def relations(self) -> Mapping[str, Relation]:
        from photogenic.features.vector_sql.relations import described, encoders_by_relation
        from photogenic.features.vectors.reader import manifest

        found = {}
        for name, encoder in encoders_by_relation(self._store.layout).items():
            with contextlib.suppress(StoreError):  # features doctor reports it
                found[name] = described(name, manifest(self._store.layout, encoder))
        return found

    def reads(self, query: str) -> frozenset[str]:
        words = words_of(query)
        if "similar" in words:
            return _READS
        is_named = any(word.startswith(_PREFIX) for word in words) or not words.isdisjoint(CATALOG_WORDS)
        return frozenset({"photos"}) if is_named else frozenset()

    def install(self, con: duckdb.DuckDBPyConnection, instance: Instance, query: str) -> None:
        words = words_of(query)
        wants_all = not words.isdisjoint(CATALOG_WORDS)
        names = {word for word in words if word.startswith(_PREFIX)}
        functions = words & {"similar", "vectors"}
        if not (wants_all or names or functions):
            return
        session = Session(next(self._numbers), instance)
        self._sessions[session.number] = self._of_connection[id(con)] = session
        if wants_all or names:
            self._install_relations(con, session, None if wants_all else names, named=names)
        if "similar" in functions:
            self._install_similar(con, session)
        if "vectors" in functions:
            from photogenic.features.vector_sql.relations import list_of_vectors

            con.register(f"{HIDDEN}list", list_of_vectors(self._store.layout))
            con.execute(f"create temp macro vectors() as table from {HIDDEN}list order by encoder")

    def answer(self, query: str, params: Parameters | None) -> pl.DataFrame | None:
        from photogenic.features.vector_sql.direct import call_in, columns_of

        call = call_in(query)
        columns = None if call is None else columns_of(call, params)
        if columns is None:
            return None
        from photogenic.features.vector_sql.arguments import in_sql
        from photogenic.features.vector_sql.similar import answer_one

        try:
            return answer_one(self.searcher, columns, **self._how({}))
        except MemoryError:
            raise _memory_error() from None
        except PhotogenicError as error:
            raise in_sql(error) from error

    def _how(self, noted: dict[str, None]) -> dict[str, Any]:
        """How `similar` searches in this process; what it notes is added to `noted`, and given once."""
        from photogenic.features.vector_sql.arguments import named_in_sql
        from photogenic.features.vector_sql.similar import embed_text

        def note(text: str) -> None:
            text = named_in_sql(text)
            if text not in noted:
                noted[text] = None
                self._store.progress.note(text)

        embed = self._embed_text or embed_text(self._store.layout, self._store.progress.note)
        return {"may_embed": self._may_embed, "embed_text": embed, "note": note}

    def rewrite(
        self, con: duckdb.DuckDBPyConnection, statement: duckdb.Statement, values: dict[str, object] | None
    ) -> tuple[duckdb.Statement, dict[str, object] | None]:
        session = self._of_connection.get(id(con))
        if session is None or not session.rows or "nearest" not in statement.query.lower():
            return statement, values
        from photogenic.features.vector_sql.rewriting import StoreVectors, rewritten

        found = rewritten(
            con, statement, values, StoreVectors(session.rows, self.searcher, session.instance), session.instance
        )
        if found is None:
            return statement, values
        made, session.answered = found
        if session.answered.noted:
            for line in session.answered.plan:
                self._store.progress.note(line)
        return made, session.answered.values

    def plan(self, con: duckdb.DuckDBPyConnection) -> list[str]:
        session = self._of_connection.get(id(con))
        if session is None:
            return []
        return [*(session.answered.plan if session.answered is not None else ()), *session.notes]

    def failure(self, con: duckdb.DuckDBPyConnection, error: Exception) -> PhotogenicError | None:
        session = self._of_connection.get(id(con))
        if session is None:
            return None
        failed: PhotogenicError | MemoryError | None = None
        if session.error is not None and f"{_FAILED} {session.number}." in str(error):
            failed = session.error
        elif session.answered is not None and "MemoryError" in str(error):
            failed = MemoryError()
        if isinstance(failed, MemoryError):
            return _memory_error()
        return failed

    def release(self, con: duckdb.DuckDBPyConnection) -> None:
        session = self._of_connection.pop(id(con), None)
        if session is not None:
            self._sessions.pop(session.number, None)
            if session.answered is not None:
                from photogenic.features.vector_sql.rewriting import release

                self._instances.add(session.instance)
                release(session.instance, session.answered)

    def close(self) -> None:
        searcher, self._searcher = self._searcher, None
        if searcher is not None:
            searcher.close()

    def _install_relations(
        self, con: duckdb.DuckDBPyConnection, session: Session, wanted: set[str] | None, *, named: set[str]
    ) -> None:
        """Create the relations of vectors as temporary views; None: all."""
        from photogenic.features.vector_sql.relations import encoders_by_relation, rows_of

        layout, base = self._store.layout, session.instance.base
        living = f'select photo_id from "{base}".main.photos'
        if session.instance.moments:
            living = (
                f'select photos.photo_id from "{base}".main.photos inner join store.main.photos as photos_now'
                " on photos.photo_id = photos_now.photo_id and photos.sha256 is not distinct from photos_now.sha256"
            )
        for relation, encoder in encoders_by_relation(layout).items():
            if wanted is not None and relation not in wanted:
                continue
            try:
                rows = rows_of(layout, encoder)
            except StoreError:
                if relation in named:
                    raise
                continue
            con.register(f"{HIDDEN}{relation}", rows.table)
            session.rows[relation] = rows
            embedding = "embedding"
            if not rows.is_direct:
                dim = rows.vectors.dim
                self._create(session.instance, f"{HIDDEN}float_{dim}", _converted, f"float[{dim}]")
                embedding = f"{HIDDEN}float_{dim}({session.number}, '{relation}', row)"
            con.execute(
                f"create temp view {relation} as select photo_id, {embedding} as embedding from {HIDDEN}{relation}"
                f" where photo_id in ({living})"
            )

    def _install_similar(self, con: duckdb.DuckDBPyConnection, session: Session) -> None:
        from photogenic.features.vector_sql.arguments import DEFAULTS, NO_FILTER, NO_QUERY
        from photogenic.features.vector_sql.similar import RETURNS

        instance = session.instance
        self._create(instance, f"{HIDDEN}similar", _similar, RETURNS)
        defaults = {"query": NO_QUERY, **DEFAULTS, "filter": NO_FILTER}
        parameters = ", ".join(f"{name} := {value}" for name, value in defaults.items())
        # To make this macro takes longer than a short search, so the instance keeps it, in its own database `memory`.
        # The connection has the number of the query in a variable, which no query can set.
        if "similar" not in instance.made:
            with instance.cursor("memory") as cursor:
                cursor.execute(
                    f'create or replace macro "similar"({parameters}) as table select found.* from (select unnest('
                    f"{HIDDEN}similar(getvariable('{HIDDEN}query'), query, {', '.join(DEFAULTS)})) as found)"
                )
            instance.made.add("similar")
        con.execute(f"set variable {HIDDEN}query = {session.number}")
        con.execute(f"set search_path = '{instance.base},memory'")

    def _create(
        self,
        instance: Instance,
        name: str,
        answer: Callable[[VectorSql, Session, list[pa.ChunkedArray]], pa.Array],
        returns: str,
    ) -> None:
        """Create a function on an instance, once: its first argument is the number of the query."""
        if name in instance.made:
            return
        itself = weakref.ref(self)  # DuckDB's reference to a function is not seen by Python's garbage collector

        def call(*columns: pa.ChunkedArray) -> pa.Array:
            extension = itself()
            assert extension is not None
            session = extension._sessions[columns[0][0].as_py()]
            try:
                return answer(extension, session, list(columns[1:]))
            except MemoryError:
                session.error = MemoryError()  # the one that was raised keeps what did not fit in its traceback
            except PhotogenicError as error:
                session.error = error.with_traceback(None)
            raise RuntimeError(f"{_FAILED} {session.number}.")

        instance.con.create_function(  # type: ignore[call-overload]  # its stub knows no Arrow array
            name, call, None, returns, type="arrow", null_handling="special", side_effects=False
        )
        instance.made.add(name)
        self._instances.add(instance)


def _similar(extension: VectorSql, session: Session, columns: list[pa.ChunkedArray]) -> pa.Array:
    from photogenic.features.vector_sql.arguments import in_sql
    from photogenic.features.vector_sql.similar import answer

    searcher = extension.searcher
    try:
        with searcher.cache.pinned(session.instance):
            return answer(searcher, columns, **extension._how(session.notes))
    except PhotogenicError as error:
        raise in_sql(error) from error


def _memory_error() -> QueryMemoryError:
    return QueryMemoryError(
        "A search in the query needs more memory than there is.",
        "fewer rows, or a smaller k",
        "FEATURES_MEMORY_LIMIT=8GB features sql ...",
    )


def _converted(extension: VectorSql, session: Session, columns: list[pa.ChunkedArray]) -> pa.Array:
    """Return vectors of float16 as float32, by relation and place."""
    import numpy as np

    del extension
    vectors = session.rows[columns[0][0].as_py()].vectors
    found = vectors.at(columns[1].to_numpy())
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ravel(found)), type=pa.list_(pa.float32(), vectors.dim))


def _close_all(instances: weakref.WeakSet[Instance]) -> None:
    for instance in list(instances):
        if instance.process == os.getpid():
            instance.con.close()

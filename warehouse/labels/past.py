"""Read the relations of another moment than the published one, without a change for anybody else.

A moment is a database in memory beside the snapshot: the base tables are views of those of the snapshot, the clock has
its own row, and the files of sql/ run against both. Only relations that a query may read, and what these read, are
computed. The label options are those of the last published build.

    past = Past(db)
    sql(past.database(Moments.of(as_of="2024-06-01")), "from photo_labels")
    sql(past.database(Moments.of({"may": "2024-05-01", "june": "2024-06-01"})), "from may.photo_labels")
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import NoReturn

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import OURS, Catalog, catalog_of, in_order
from photogenic.warehouse.definitions.failures import is_of_relation
from photogenic.warehouse.duckdb_store.database import LABELLING, Database, list_relations_only, snapshot_state
from photogenic.warehouse.duckdb_store.error_mapping import map_engine_errors
from photogenic.warehouse.duckdb_store.extension import Instance
from photogenic.warehouse.duckdb_store.interrupt import interruptible
from photogenic.warehouse.errors import InputError, QueryError, QueryMemoryError
from photogenic.warehouse.labels.audits import audit
from photogenic.warehouse.labels.compute import clock_values, many_swipes
from photogenic.warehouse.labels.last_build import last_build, next_options
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.moment import EVERYTHING, Moment, Moments
from photogenic.warehouse.sql_guard.rewrite import strip_semicolon

__all__ = ["PLAIN", "MomentDatabase", "Past", "open_moments", "relations_in", "why_empty"]

PLAIN = "moment"
"""Name of the database of the moment without a name."""

_HOLDS = "a SELECT that also holds for other moments"

_SOURCES = {
    "swipes": ("swipe", "had happened", "swiped_at"),
    "main_photos": ("change of a main photo", "had happened", "set_at"),
    "photos": ("photo", "had been posted", "posted_at"),
    "users": ("user", "had been created", "created_at"),
}
"""View -> what a row is, what it does on the clock `as_of`, and when."""


def relations_in(query: str, catalog: Catalog = OURS) -> frozenset[str]:
    """Return every relation that a query can name. It may return more, because comments and texts count too."""
    words = set(re.findall(r"\w+", query.lower()))
    return frozenset(words.intersection(catalog.names))


def open_moments(
    db: Database,
    moments: Moments,
    names: Collection[str] | None,
    *,
    asked: Collection[str] | None = None,
    memory_limit: str | None = None,
    limit_s: float | None = None,
) -> tuple[duckdb.DuckDBPyConnection, dict[str, str]]:
    """Open a reading connection on the newest snapshot with the relations of other moments, and locked settings.

    Args:
        db: the warehouse.
        moments: the moments; each named one is a database of that name.
        names: relations to compute, and whatever they read. None: all.
        asked: names of relations whose failure is an error; other relations of the user's own that fail are left out.
            Default: `names`.
        memory_limit: as for `Database.open_snapshot`.
        limit_s: seconds after which the computation is interrupted. Default: never.

    Returns:
        The connection, and why a moment has no row of some views: view -> reason.

    Raises:
        AuditError: a relation of a moment breaks its contract.
        InputError: a name is a word of SQL or of the store, or Spark computed the labels from other swipes.
        QueryMemoryError: the relations do not fit into the memory limit.
        duckdb.InterruptException: the time is over.
        StoreError: the store does not exist.
    """
    con, notes = db.open_snapshot(memory_limit=memory_limit, labelling=True), dict[str, str]()
    timer = threading.Timer(limit_s or 0, con.interrupt)
    if limit_s is not None:
        timer.daemon = True
        timer.start()
    try:
        with map_engine_errors(db.layout), interruptible(con):
            catalog = catalog_of(con)
            _check_names(con, moments, catalog)
            needed = _needed(catalog.names if names is None else names, catalog)
            if not needed <= _VIEWS:
                _refuse_foreign_swipes(con)
            how = _How(
                next_options(None, last_build(con)), catalog, frozenset((names or ()) if asked is None else asked)
            )
            for name, moment in ((PLAIN, moments.plain), *moments.named):
                if moment is not None:
                    notes = _make(con, name, moment, needed, how) | notes
            con.execute("reset disabled_optimizers")
            con.execute("set lock_configuration = true")
            con.execute(f"use {PLAIN if moments.plain is not None else 'store'}")
    except BaseException:
        con.close()
        raise
    finally:
        timer.cancel()
    return con, notes


class Past:
    """The last moments that were read, until the snapshot changes. It is thread-safe.

    Args:
        db: the warehouse.
        note: called with the reason why relations of a moment are empty.
        most: largest number of moments that stay open.
        n_bytes: largest total size of their relations.
    """

    def __init__(
        self, db: Database, note: Callable[[str], None] = lambda _: None, *, most: int = 4, n_bytes: int = 512 * 10**6
    ) -> None:
        self.db, self.note, self._most, self._n_bytes = db, note, most, n_bytes
        self._lock = threading.RLock()
        self._open: OrderedDict[Moments, _Open] = OrderedDict()
        self._catalog: tuple[tuple[int, int] | None, Catalog] | None = None

    def database(self, moments: Moments) -> Database:
        """Return the store as of these moments; without a moment, the store itself."""
        return MomentDatabase(self, moments) if moments else self.db

    def cursor(self, moments: Moments, asked: Collection[str] | None) -> duckdb.DuckDBPyConnection:
        """Open a cursor, which the caller closes, on the relations of these moments.

        Args:
            moments: the moments.
            asked: relations that a query names. None: all, without those of the user's own that fail.

        Raises:
            QueryError: a relation of the user's own that the query names fails at one of the moments.
        """
        return self.lend(moments, asked)[0]

    def lend(self, moments: Moments, asked: Collection[str] | None) -> tuple[duckdb.DuckDBPyConnection, Instance]:
        """Do the same as `cursor`, and return the instance of the cursor too."""
        with self._lock:
            state, catalog = self.drop_stale(), self.catalog
            names, asked = catalog.names if asked is None else asked, asked or ()
            held = self._open.pop(moments, None)
            if held is None or not held.names.issuperset(names):
                # Whoever asks for more relations of the same moment may ask for all of them, one after the other.
                wanted = frozenset(catalog.names) if held is not None else _VIEWS.union(names)
                if held is not None:
                    held.con.close()
                con, notes = open_moments(self.db, moments, wanted, asked=asked)
                base = "store" if moments.plain is None else PLAIN
                instance = Instance(con, state, base, Moments(moments.plain))
                held = _Open(con, instance, state, wanted, notes, _size(con))
            self._open[moments] = held
            while len(self._open) > 1 and (
                len(self._open) > self._most or sum(each.n_bytes for each in self._open.values()) > self._n_bytes
            ):
                self._open.popitem(last=False)[1].con.close()
            cursor = held.con.cursor()
        for name in catalog.own.keys() & held.notes.keys() & set(asked):
            raise QueryError(held.notes[name], _HOLDS, f"features sql --show {name}")
        cursor.execute(f"use {PLAIN if moments.plain is not None else 'store'}")
        list_relations_only(cursor)  # they have the same columns at any moment
        needed = _needed(names, catalog)
        for note in [reason for name, reason in held.notes.items() if name in needed][:1]:
            self.note(note)
        return cursor, held.instance

    @property
    def catalog(self) -> Catalog:
        """The relations of the present snapshot."""
        with self._lock:
            state = snapshot_state(self.db.layout)
            if self._catalog is None or self._catalog[0] != state:
                with self.db.read() as con:
                    self._catalog = state, catalog_of(con)
            return self._catalog[1]

    def drop_stale(self) -> tuple[int, int] | None:
        """Close the moments of former snapshots, which may hold erased rows; return the state of the present one."""
        state = snapshot_state(self.db.layout)
        with self._lock:
            for stale in [key for key, held in self._open.items() if held.state != state]:
                self._open.pop(stale).con.close()
        return state

    def close(self) -> None:
        """Close the moments."""
        with self._lock:
            for held in self._open.values():
                held.con.close()
            self._open.clear()


class MomentDatabase(Database):
    """The database of a store whose `read` shows the relations of other moments. It cannot be written.

    Attributes:
        past: the moments that are open.
        moments: the moments that it shows.
    """

    def __init__(self, past: Past, moments: Moments) -> None:
        super().__init__(past.db.layout, past.db.settings)
        self.past, self.moments, self.extension = past, moments, past.db.extension

    @property
    def is_of_now(self) -> bool:
        return False

    @contextlib.contextmanager
    def read(
        self, *, memory_limit: str | None = None, labelling: bool = False, query: str | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection for one query; without one, every relation is computed. See `open_moments`."""
        del memory_limit, labelling  # those of the open moments hold
        names = None if query is None else relations_in(query, self.past.catalog)
        if names is not None and self.extension is not None:
            names |= self.extension.reads(query or "")
        con, instance = self.past.lend(self.moments, names)
        with self._reading(con, instance):
            yield con

    def write(self, command: str, *, publish: bool = True) -> NoReturn:  # noqa: ARG002
        """Refuse to write.

        Raises:
            InputError: always.
        """
        raise InputError(f"{command} cannot write {self.moments}.", "the store as it is now", "")


@dataclass(frozen=True, slots=True)
class _Open:
    """Open relations of moments.

    Attributes:
        instance: the instance of their connection.
        state: the snapshot that they were computed from.
        names: relations that were wanted.
        notes: why views are empty.
    """

    con: duckdb.DuckDBPyConnection
    instance: Instance
    state: tuple[int, int] | None
    names: frozenset[str]
    notes: dict[str, str]
    n_bytes: int


@dataclass(frozen=True, slots=True)
class _How:
    """How relations of a moment are computed.

    Attributes:
        options: label options of the last build.
        catalog: the relations of the store.
        asked: relations that the query names; if one of them fails, the query does.
    """

    options: LabelOptions
    catalog: Catalog
    asked: frozenset[str]


def _needed(names: Collection[str], catalog: Catalog = OURS) -> set[str]:
    """Return the relations and all that they read, without base tables."""
    return catalog.below(names).intersection(catalog.names)


def _make(
    con: duckdb.DuckDBPyConnection, name: str, moment: Moment, needed: Collection[str], how: _How
) -> dict[str, str]:
    """Create the relations of a moment, and return why views of it are empty."""
    _attach(con, name, moment)
    try:
        failed = _compute(con, needed, how)
    except duckdb.OutOfMemoryException as error:
        raise QueryMemoryError(
            f"The relations {moment} do not fit into the memory limit.",
            "memory for the counts of all swipes",
            "FEATURES_MEMORY_LIMIT=8GB features sql ...",
        ) from error
    return why_empty(con, needed, moment) | failed


_VIEWS = frozenset(name for name in sql.VIEWS if not _needed([name]).intersection(sql.RELATIONS))
"""Views of facts, which cost nothing."""


def _attach(con: duckdb.DuckDBPyConnection, name: str, moment: Moment) -> None:
    """Create the database of a moment, with the base tables and its clock, and make it the current one."""
    con.execute(f"attach ':memory:' as \"{name}\"")
    con.execute(f'use "{name}"')
    con.execute("create schema facts")
    tables = "select table_name from duckdb_tables() where database_name = 'store' and schema_name = 'facts'"
    for (table,) in con.execute(tables).fetchall():
        if table != "clock":
            con.execute(f"create view facts.{table} as select * from store.facts.{table}")
    con.execute(
        "create table facts.clock as select $1 as as_of, $2 as known_at, $3 as observed_at", clock_values(con, moment)
    )


def _compute(con: duckdb.DuckDBPyConnection, needed: Collection[str], how: _How) -> dict[str, str]:
    """Create the relations in the current database, each after those that it reads, and audit them.

    Returns:
        Why own relations are missing, if how.asked does not name them: relation -> reason.
    """
    failed, catalog = dict[str, str](), how.catalog
    for name in in_order({name: catalog.relation(name) for name in needed}):
        what = catalog.relation(name)
        if name in catalog.own:
            if (why := _create_own(con, name, how)) is not None:
                failed[name] = why
        elif name in sql.RELATIONS:
            parameters = {parameter: getattr(how.options, parameter) for parameter in what.parameters}
            with many_swipes(con) if "swipes" in what.reads else contextlib.nullcontext():
                con.execute(f"create table {name} as {what.text}", parameters or None)
        else:
            con.execute(f"create view {name} as {what.text}")
    audit(con, set(needed).intersection(sql.RELATIONS), there=needed)
    return failed


def _create_own(con: duckdb.DuckDBPyConnection, name: str, how: _How) -> str | None:
    """Create a relation of the user's own in the current database; return why it is missing, if that is no error."""
    catalog = how.catalog
    text, kind = strip_semicolon(catalog.own[name].text), "table" if catalog.kinds[name] == "sql" else "view"
    con.execute("reset disabled_optimizers")
    try:
        con.execute(f"create {kind} {name} as {text}", {**catalog.values[name]} or None)
    except duckdb.Error as error:
        if not is_of_relation(error):
            raise
        fact = f"The relation {name} failed at this moment: {str(error).splitlines()[0]}"
        if name in how.asked:
            raise QueryError(fact, _HOLDS, f"features sql --show {name}") from error
        return fact
    finally:
        for setting in LABELLING:
            con.execute(setting)
    return None


def _check_names(con: duckdb.DuckDBPyConnection, moments: Moments, catalog: Catalog) -> None:
    reserved = "select 1 from duckdb_keywords() where keyword_name = $1 and keyword_category = 'reserved'"
    for name, _ in moments.named:
        if name.lower() in catalog.names or con.execute(reserved, [name.lower()]).fetchall():
            raise InputError(
                f"A moment is called {name}.",
                "a name that is neither a relation nor a word of SQL",
                "--as-of jan=2024-01-31",
            )


def _refuse_foreign_swipes(con: duckdb.DuckDBPyConnection) -> None:
    last = last_build(con)
    if (
        last is not None
        and last.cluster is not None
        and not con.execute("select 1 from store.facts.swipes limit 1").fetchall()
    ):
        raise InputError(
            "Spark computed the labels of this store from swipes outside the store.",
            "a store with its own swipes, for labels of another moment",
            "features build --only labels --as-of TIME --publish, then the same without --as-of",
        )


def why_empty(con: duckdb.DuckDBPyConnection, needed: Collection[str], moment: Moment) -> dict[str, str]:
    """Explain why the moment has no row of a view, if the store has some: view -> reason."""
    reasons = {}
    for name, (noun, verb, column) in _SOURCES.items():
        if name not in needed or con.execute(f"select 1 from {name} limit 1").fetchall():
            continue
        ((first, arrived),) = con.execute(f"select min({column}), min(ingested_at) from facts.{name}").fetchall()
        if arrived is None:
            continue
        known_at, as_of = _z(moment.known_at), _z(moment.as_of)
        later = "History that was loaded later is seen by --as-of alone."
        if arrived >= moment.known_at:
            reasons[name] = f"No {noun} had arrived before {known_at}: the first arrival was {_z(arrived)}. {later}"
        elif first is not None and first >= moment.as_of:
            reasons[name] = f"No {noun} {verb} before {as_of}: the first one is of {_z(first)}."
        elif moment.known_at < EVERYTHING:
            reasons[name] = f"No {noun} that {verb} before {as_of} had arrived before {known_at}. {later}"
    return reasons


def _z(instant: object) -> str:
    return f"{str(instant).replace(' ', 'T')}Z"


def _size(con: duckdb.DuckDBPyConnection) -> int:
    ((n_bytes,),) = con.execute("select coalesce(sum(memory_usage_bytes), 0) from duckdb_memory()").fetchall()
    return int(n_bytes)

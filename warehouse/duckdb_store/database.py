"""Open the database of a store: one writer on warehouse.duckdb, any number of readers on the snapshot.

A write ends with a checkpoint and a publication: the warehouse file is copied beside the snapshot,
synced and renamed over it. A reader that has the former snapshot open keeps reading it until it closes it;
a reader that opens the snapshot afterwards sees the new state. Readers never block the writer or each other.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from photogenic._lazy import duckdb, pl
from photogenic.warehouse.catalog import Catalog, create_views
from photogenic.warehouse.duckdb_store.distances import NAMES, create_distances
from photogenic.warehouse.duckdb_store.error_mapping import classify_error, map_engine_errors
from photogenic.warehouse.duckdb_store.extension import HIDDEN, Instance, SqlExtension, words_of
from photogenic.warehouse.duckdb_store.history import History
from photogenic.warehouse.duckdb_store.interrupt import interruptible
from photogenic.warehouse.duckdb_store.migrations import SCHEMA_VERSION, create, migrate, refuse_newer, version_of
from photogenic.warehouse.duckdb_store.outdated import outdated_error
from photogenic.warehouse.duckdb_store.publish import fingerprint, is_copy, publish_copy
from photogenic.warehouse.duckdb_store.settings import Settings
from photogenic.warehouse.errors import StoreError
from photogenic.warehouse.sql_guard.allowed import TABLE_FUNCTIONS, VIEWS
from photogenic.warehouse.storage.layout import Layout, sync_directory
from photogenic.warehouse.storage.lock import Holder, locked, open_when_free

__all__ = ["CATALOG_WORDS", "LABELLING", "STORAGE", "Database", "close_files", "list_relations_only", "snapshot_state"]

LABELLING = (
    # DuckDB misestimates how many swipes pass the filter of the clock, and would build a hash table of 40 million
    # rows. Without these optimizers joins run as they are written, the large side first.
    "set disabled_optimizers = 'join_order,build_side_probe_side'",
)
"""Settings under which labels are computed."""

STORAGE = "v1.5.0"
"""The oldest DuckDB that opens the files of a store. The next older one has no type VARIANT for own relations."""

CATALOG_WORDS = VIEWS | TABLE_FUNCTIONS | {"desc", "describe", "information_schema", "pragma", "show", "summarize"}
"""Words without one of which no query reads the catalog of DuckDB."""


class Database:
    """The DuckDB files of one store.

    Args:
        layout: paths of the store.
        settings: limits for memory, threads and lock time.

    Attributes:
        history: history of the running command. None: the command is not recorded.
        extension: relations and functions that SQL of users has beside those of the files. None: none.
    """

    def __init__(self, layout: Layout, settings: Settings) -> None:
        layout.refuse_unusable()
        self.layout, self.settings = layout, settings
        self.history: History | None = None
        self.extension: SqlExtension | None = None
        self._depth, self._migrated = 0, False
        self._turn = threading.Lock()
        self._kept: Instance | None = None
        self._n_closed = 0
        self._instances: dict[int, Instance] = {}

    def close(self) -> None:
        """Close the snapshot that stays open between queries; the next query opens it again."""
        with self._turn:
            self._kept = None
            self._n_closed += 1

    @contextlib.contextmanager
    def lock(self, command: str, *, erasing: bool = False) -> Iterator[None]:
        """Hold the lock of the one writer. Nested calls of the same object share the lock.

        Args:
            command: the command that writes, for messages.
            erasing: whether to resume an interrupted erase. All other commands are refused until it has ended.

        Raises:
            LockedError: another process writes and did not end within `settings.lock_timeout_s`.
            StoreError: an erase was interrupted.
        """
        if self._depth:
            yield
            return
        self.layout.refuse_unusable()
        with (
            map_engine_errors(self.layout),
            locked(self.layout.lock, command, self.settings.lock_timeout_s, _say_waiting),
        ):
            if not erasing:
                self.refuse_unfinished_erase()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def refuse_unfinished_erase(self) -> None:
        """Refuse to go on while an interrupted erase is unfinished.

        Raises:
            StoreError: an erase was interrupted.
        """
        if self.layout.erase_journal.exists():
            raise StoreError(
                f"An erase of the store {self.layout.root} was interrupted.",
                "a finished erase before anything else is written",
                f"features erase --yes --store {self.layout.root}",
            )

    @contextlib.contextmanager
    def write(self, command: str, *, publish: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a writing connection to the warehouse, with the base tables in place, and publish it at the end.

        The caller begins and commits transactions. An exception rolls back the open one and publishes nothing.

        Args:
            command: the command that writes, for messages.
            publish: whether to publish. What is not published yet, the next command that writes publishes too.

        Raises:
            LockedError: another process writes.
            StoreError: the warehouse is damaged or comes from a newer version.
        """
        self.close()
        with self.lock(command):
            self.layout.root.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.layout.spill, ignore_errors=True)
            try:
                path, config = self.layout.warehouse, self._config()
                if not path.exists():
                    self._make_file()
                con = open_when_free(
                    path, lambda: duckdb.connect(path.absolute(), config=config), self.settings.lock_timeout_s
                )
            except duckdb.Error as error:
                raise classify_error(error, self.layout) or StoreError(
                    f"{self.layout.warehouse} cannot be opened: {error}",
                    "a DuckDB file that this version wrote, in a writable folder with free disk",
                    f"features doctor --store {self.layout.root}",
                ) from error
            try:
                con.execute("set enable_progress_bar = false")  # it would be printed to stdout, among the data
                before = self._state()
                with interruptible(con):
                    self._prepare(con)
                    yield con
                    if self.history is not None and self._state() != before:
                        self.history.record(con)
                    con.execute("checkpoint")
            finally:
                con.close()
            if publish:
                self.publish()

    @contextlib.contextmanager
    def read(
        self, *, memory_limit: str | None = None, labelling: bool = False, query: str | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a reading connection to the newest snapshot: no writes, no files, no network, locked settings.

        SQL of users runs in `warehouse.duckdb_store.query` only, or after `sql_guard.guard.parse_read_only`.

        Args:
            memory_limit: memory limit of this connection, e.g. `500MB`. Default: that of the settings.
            labelling: whether to use the settings of label builds, unlocked. For queries of this program only.
            query: the one query that will run. A `MomentDatabase` computes only the relations in it. Default: any.

        Raises:
            StoreError: the store does not exist, has no snapshot yet, or lacks a relation that this version needs.
        """
        if labelling or memory_limit not in (None, self.settings.memory_limit):
            con = self.open_snapshot(memory_limit=memory_limit, labelling=labelling)
            with self._reading(con):
                yield con
            return
        instance, n_closed = self._lend(), self._n_closed
        con = instance.con.cursor()
        with self._reading(con, instance):
            con.execute("use store")
            if query is None or not words_of(query).isdisjoint(CATALOG_WORDS):
                list_relations_only(con)
            yield con
            if query is None and not self._is_unchanged(instance):
                return
        with self._turn:  # after an error DuckDB may be unusable, so that only an instance without one is kept
            if self._kept is None and n_closed == self._n_closed:
                self._kept = instance

    @contextlib.contextmanager
    def _reading(self, con: duckdb.DuckDBPyConnection, instance: Instance | None = None) -> Iterator[None]:
        """Context manager in which a connection reads; afterwards it is closed."""
        if instance is not None:
            self._instances[id(con)] = instance
        try:
            with map_engine_errors(self.layout), interruptible(con):
                yield
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            if (outdated := outdated_error(con)) is None:
                raise
            raise outdated from error
        finally:
            if self.extension is not None:
                self.extension.release(con)
            self._instances.pop(id(con), None)
            con.close()

    @property
    def is_of_now(self) -> bool:
        """Whether its relations are the published ones."""
        return True

    def with_added(self, catalog: Catalog) -> Catalog:
        """Return a catalog with the relations of the extension."""
        return catalog if self.extension is None else replace(catalog, added=self.extension.relations())

    def instance_of(self, con: duckdb.DuckDBPyConnection) -> Instance | None:
        """Return the instance of a connection that `read` yields; None: no extension works on it."""
        return self._instances.get(id(con))

    def _lend(self) -> Instance:
        """Return an instance on the newest snapshot, for one query at a time: its memory limit is that of a query.

        The snapshot stays attached for the next query, because attaching it takes longer than a short query.
        """
        with self._turn:
            kept, self._kept = self._kept, None
        # A snapshot that is published meanwhile gets the former state here, so that it is opened again next time.
        state = snapshot_state(self.layout)
        if kept is not None and state is not None and kept.state == state and kept.process == os.getpid():
            with contextlib.suppress(duckdb.CatalogException):
                kept.con.execute("use store")  # one that a statement has detached is not lent again
                return kept
        return Instance(self.open_snapshot(), state)

    def _is_unchanged(self, instance: Instance) -> bool:
        """Whether an instance has the snapshot, read-only, and nothing else, after statements that may do anything."""
        found = instance.con.execute(
            "select database_name, path, readonly from system.main.duckdb_databases() where not internal order by all"
        ).fetchall()
        made = (
            "select 1 from system.main.duckdb_schemas() where database_name = 'memory' and not internal union all"
            " select 1 from system.main.duckdb_tables() where database_name = 'memory' union all"
            " select 1 from system.main.duckdb_views() where database_name = 'memory' and not internal"
        )
        only = [("memory", None, False), ("store", str(self.layout.snapshot.absolute()), True)]
        return found == only and not instance.con.execute(made).fetchall()

    def rows(self, query: str, values: object = None) -> list[tuple[Any, ...]]:
        """Run a query of this program on the newest snapshot, and return its rows."""
        with self.read(query=query) as con:
            return con.execute(query, values).fetchall()

    def frame(self, query: str, values: dict[str, Any] | None = None) -> pl.DataFrame:
        """Run a query of this program on the newest snapshot, and return a frame."""
        with self.read(query=query) as con:
            found: pl.DataFrame = con.sql(query, params=values or None).pl()
            return found

    def require(self) -> None:
        """Refuse a folder without a store, before anything else is reported as missing.

        Raises:
            StoreError: there is no store.
        """
        if not self.layout.snapshot.exists():
            raise StoreError(
                f"There is no store at {self.layout.root.absolute()}.",
                "a folder that `features ingest` or `features demo` has written",
                f"features ingest users USERS.csv --store {self.layout.root}",
            )

    def open_snapshot(self, *, memory_limit: str | None = None, labelling: bool = False) -> duckdb.DuckDBPyConnection:
        """Open a connection like that of `read`, which the caller closes. An older store is migrated first."""
        self.require()
        # The snapshot is attached to a database in memory: DuckDB caches one instance per path and process, so
        # a connection to the path itself would keep showing the snapshot that was opened first.
        con = duckdb.connect(":memory:", config={"threads": self.settings.threads})
        try:
            attach = f"attach {_quoted(self.layout.snapshot)} as store (read_only)"
            open_when_free(self.layout.snapshot, lambda: con.execute(attach), self.settings.lock_timeout_s)
        except duckdb.Error as error:
            con.close()
            raise StoreError(
                f"{self.layout.snapshot} cannot be read: {error}",
                "the copy that the last successful write published",
                f"features doctor --fix --store {self.layout.root}",
            ) from error
        con.execute("use store")
        found = version_of(con) or 0
        if found != SCHEMA_VERSION:
            con.close()
            refuse_newer(found, self.layout.root)
            self._migrate_snapshot(found)
            return self.open_snapshot(memory_limit=memory_limit, labelling=labelling)
        con.execute("set enable_progress_bar = false")
        con.execute(
            "set global timezone = 'UTC'"
        )  # also of its cursors: the result must not depend on the time zone of the machine
        con.execute(f"set memory_limit = '{memory_limit or self.settings.memory_limit}'")
        con.execute("set temp_directory = ''")
        if labelling:
            for setting in LABELLING:
                con.execute(setting)
        try:
            self.attach_others(con)
        except BaseException:
            con.close()
            raise
        con.execute("set enable_external_access = false")
        # Without the next line COPY and ATTACH could still use the paths of attached files.
        con.execute("set disabled_filesystems = 'LocalFileSystem'")
        if not labelling:
            list_relations_only(con)
            con.execute("set lock_configuration = true")
        return con

    def attach_others(self, con: duckdb.DuckDBPyConnection) -> None:
        """Attach other files beside the snapshot, before the access to files is switched off. Here: none."""

    def _migrate_snapshot(self, found: int) -> None:
        """Migrate the warehouse, which opening it for writing does, and publish it."""
        if not self.layout.warehouse.exists() or self._migrated:
            raise StoreError(
                f"{self.layout.snapshot} has schema version {found}.",
                f"version {SCHEMA_VERSION}, or a warehouse beside it that can be migrated to it",
                f"features doctor --fix --store {self.layout.root}",
            )
        self._migrated = True
        with self.write("migrate"):
            pass

    def publish(self) -> bool:
        """Copy the warehouse over the snapshot, atomically, unless they are equal already. True: copied."""
        if self.is_published():
            return False
        publish_copy(self.layout, self.layout.warehouse, self.layout.snapshot)
        return True

    def compact(self) -> None:
        """Rewrite the warehouse file, so that no free block keeps deleted data. The caller holds the lock."""
        temporary = self.layout.root / ".warehouse.compact.tmp"
        for stale in self.layout.root.glob(f"{temporary.name}*"):
            stale.unlink()
        with duckdb.connect(":memory:", config=self._config()) as con:
            con.execute("set enable_progress_bar = false")
            con.execute(f"attach {_quoted(self.layout.warehouse)} as former (read_only)")
            con.execute(f"attach {_quoted(temporary)} as compact (storage_version '{STORAGE}')")
            con.execute("copy from database former to compact")
            con.execute("checkpoint compact")
        temporary.replace(self.layout.warehouse)
        sync_directory(self.layout.root)
        self.publish()

    def _make_file(self) -> None:
        """Make the empty warehouse of a new store.

        The storage version is said here, and not as a setting of the connection that writes: DuckDB would describe
        parse trees in the form of that version too, and the SQL guard reads them in one form.
        """
        temporary = self.layout.root / ".warehouse.new.tmp"
        for stale in self.layout.root.glob(f"{temporary.name}*"):
            stale.unlink()
        with duckdb.connect(":memory:") as con:
            con.execute(f"attach {_quoted(temporary)} as made (storage_version '{STORAGE}')")
            con.execute("create table made.t (i integer); drop table made.t; checkpoint made; detach made")
        temporary.replace(self.layout.warehouse)
        sync_directory(self.layout.root)

    def put_back(self) -> None:
        """Copy the snapshot over the warehouse, which has no later writes. The caller holds the lock."""
        self.layout.warehouse.with_name(f"{self.layout.warehouse.name}.wal").unlink(missing_ok=True)
        publish_copy(self.layout, self.layout.snapshot, self.layout.warehouse)

    def is_published(self) -> bool:
        """Whether the snapshot is a copy of the current warehouse."""
        return is_copy(self.layout)

    def _config(self) -> dict[str, str | bool | int | float | list[str]]:
        return {
            "memory_limit": self.settings.memory_limit,
            "threads": self.settings.threads,
            "temp_directory": str(self.layout.spill.absolute()),
        }

    def _state(self) -> list[int]:
        """Return a fingerprint of the warehouse file and its log; each commit changes it."""
        log = self.layout.warehouse.with_name(f"{self.layout.warehouse.name}.wal")
        return [*fingerprint(self.layout.warehouse), log.stat().st_size if log.exists() else 0]

    def _prepare(self, con: duckdb.DuckDBPyConnection) -> None:
        """Create the base tables of a new store, migrate an older one, refuse a newer one."""
        found = version_of(con)
        if found is None:
            create(con)
        else:
            refuse_newer(found, self.layout.root)
            if found < SCHEMA_VERSION:
                print(f"Migrating the store from version {found} to version {SCHEMA_VERSION}.", file=sys.stderr)
                migrate(con, found)
        create_views(con)
        create_distances(con, " ".join(NAMES))


def snapshot_state(layout: Layout) -> tuple[int, int] | None:
    """Return what changes whenever a snapshot is published; None: there is none."""
    try:
        stat = layout.snapshot.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def close_files(con: duckdb.DuckDBPyConnection) -> None:
    """Deny a writing connection every file but those of its database and its temporary folder, and lock its settings.

    SQL of users runs on it afterwards. The guard refuses what names a file; this does not depend on the text.
    """
    con.execute("set enable_external_access = false")
    con.execute("set lock_configuration = true")


def list_relations_only(con: duckdb.DuckDBPyConnection) -> None:
    """Make DuckDB's catalog list the relations of the store, each once, and no base table; and those of other files.

    information_schema and the other views of the catalog read three functions, and a temporary macro has precedence
    over the function of its name. They are listed as those of the current database, which may be one of another
    moment; SHOW TABLES looks for the number of its schema too. It holds for this connection: a cursor needs its own.
    """
    con.execute(
        "".join(
            f"create or replace temp macro duckdb_{what}() as table"
            " select * replace (case when database_name in ('store', 'temp') then current_database() else database_name"
            " end as database_name, case when database_name in ('store', 'temp') then (select max(oid) from"
            " system.main.duckdb_schemas() where database_name = current_database() and schema_name = 'main')"
            f" else schema_oid end as schema_oid) from system.main.duckdb_{what}()"
            " where database_name = 'store' and schema_name = 'main'"
            f" or database_name = 'temp' and not internal and not starts_with({name}, '{HIDDEN}')"
            " or database_name <> 'store' and database_name in"
            " (select database_name from system.main.duckdb_databases() where path is not null);"
            for what, name in (("columns", "table_name"), ("tables", "table_name"), ("views", "view_name"))
        )
    )


def _quoted(path: Path) -> str:
    """Quote an absolute path. A relative one such as `sqlite:x` would name another kind of database."""
    return "'" + str(path.absolute()).replace("'", "''") + "'"


def _say_waiting(who: Holder | None) -> None:
    print(f"Waiting for the writer's lock, held by {who or 'another process'}.", file=sys.stderr)

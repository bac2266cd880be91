"""The two doors to the data: one writer on warehouse.duckdb, any number of readers on the snapshot.

A write ends with a checkpoint and a publication: the warehouse file is copied beside the snapshot,
synced and renamed over it. A reader that has the former snapshot open keeps it, whole, for as long
as it likes; the next one that opens sees the new state. Readers therefore never block, nor are blocked.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from photogenic.warehouse.catalog import create_views
from photogenic.warehouse.duckdb_store.error_mapping import told, trouble
from photogenic.warehouse.duckdb_store.history import History
from photogenic.warehouse.duckdb_store.interrupt import interruptible
from photogenic.warehouse.duckdb_store.migrations import SCHEMA_VERSION, create, migrate, refuse_newer, version_of
from photogenic.warehouse.duckdb_store.publish import fingerprint, is_copy, published
from photogenic.warehouse.duckdb_store.settings import Settings
from photogenic.warehouse.errors import StoreError
from photogenic.warehouse.storage.layout import Layout, sync_directory
from photogenic.warehouse.storage.lock import Holder, locked, opened

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["LABELLING", "Database"]

LABELLING = (
    # DuckDB misjudges how many swipes the clock leaves, and would then build a hash table of forty million:
    # joins run as they are written, the large side first.
    "set disabled_optimizers = 'join_order,build_side_probe_side'",
)
"""Settings under which labels are computed."""


class Database:
    """The DuckDB files of one store.

    Args:
        layout: where the store lies.
        settings: memory, threads, patience.

    Attributes:
        history: of the command that runs; None: nobody remembers.
    """

    def __init__(self, layout: Layout, settings: Settings) -> None:
        layout.refuse_unusable()
        self.layout, self.settings = layout, settings
        self.history: History | None = None
        self._depth, self._migrated = 0, False

    @contextlib.contextmanager
    def lock(self, command: str, *, erasing: bool = False) -> Iterator[None]:
        """Be the store's one writer. Nested calls of the same object share the lock.

        Args:
            command: who writes.
            erasing: to go on with an erase that was cut off; all others are refused until it has ended.

        Raises:
            LockedError: another process writes and did not end within `settings.lock_timeout_s`.
            StoreError: an erase was cut off.
        """
        if self._depth:
            yield
            return
        self.layout.refuse_unusable()
        with told(self.layout), locked(self.layout.lock, command, self.settings.lock_timeout_s, _say_waiting):
            if not erasing:
                self.refuse_unfinished_erase()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def refuse_unfinished_erase(self) -> None:
        """Raises:
        StoreError: an erase was cut off.
        """
        if self.layout.erase_journal.exists():
            raise StoreError(
                f"An erase of the store {self.layout.root} was cut off.",
                "it to be finished before anything else is written",
                f"features erase --yes --store {self.layout.root}",
            )

    @contextlib.contextmanager
    def write(self, command: str) -> Iterator[DuckDBPyConnection]:
        """A writing connection, with the base tables in place. On leaving, what was committed is published.

        The caller chooses its transactions; an exception rolls back the open one and publishes nothing.

        Raises:
            LockedError: another process writes.
            StoreError: the warehouse is damaged or comes from a newer version.
        """
        import duckdb

        with self.lock(command):
            self.layout.root.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.layout.spill, ignore_errors=True)
            try:
                path, config = self.layout.warehouse, self._config()
                con = opened(path, lambda: duckdb.connect(path.absolute(), config=config), self.settings.lock_timeout_s)
            except duckdb.Error as error:
                raise trouble(error, self.layout) or StoreError(
                    f"{self.layout.warehouse} cannot be opened: {error}",
                    "a DuckDB file that this version wrote, in a writable folder with free disk",
                    f"features doctor --store {self.layout.root}",
                ) from error
            try:
                con.execute("set enable_progress_bar = false")  # it would go to stdout, among the data
                before = self._state()
                self._prepare(con)
                with interruptible(con):
                    yield con
                    if self.history is not None and self._state() != before:
                        self.history.record(con)
                    con.execute("checkpoint")
            finally:
                con.close()
            self.publish()

    @contextlib.contextmanager
    def read(self, *, memory_limit: str | None = None, labelling: bool = False) -> Iterator[DuckDBPyConnection]:
        """A reading connection on the newest snapshot: no writes, no files, no network, locked settings.

        What others wrote is run by `warehouse.duckdb_store.query` alone, or after `warehouse.sql_guard.guard.reading`.

        Args:
            memory_limit: for this connection; None: that of the settings.
            labelling: with the settings of label builds, which may be changed: for our own queries.

        Raises:
            StoreError: there is no store, or it was never written.
        """
        con = self.open_snapshot(memory_limit=memory_limit, labelling=labelling)
        try:
            with told(self.layout), interruptible(con):
                yield con
        finally:
            con.close()

    def open_snapshot(self, *, memory_limit: str | None = None, labelling: bool = False) -> DuckDBPyConnection:
        """As `read`, for callers that keep the connection and close it themselves. An older store is migrated first."""
        import duckdb

        if not self.layout.snapshot.exists():
            raise StoreError(
                f"There is no store at {self.layout.root.absolute()}.",
                "a folder that `features ingest` or `features demo` has written",
                f"features ingest users USERS.csv --store {self.layout.root}",
            )
        # Attached to a database in memory: a connection straight to the path would share one cached
        # instance per process, and so keep showing the snapshot that was first opened.
        con = duckdb.connect(":memory:", config={"threads": self.settings.threads})
        try:
            attach = f"attach {_quoted(self.layout.snapshot)} as store (read_only)"
            opened(self.layout.snapshot, lambda: con.execute(attach), self.settings.lock_timeout_s)
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
        con.execute("set timezone = 'UTC'")  # an answer does not depend on where it is asked
        con.execute(f"set memory_limit = '{memory_limit or self.settings.memory_limit}'")
        con.execute("set temp_directory = ''")
        if labelling:
            for setting in LABELLING:
                con.execute(setting)
        con.execute("set enable_external_access = false")
        # That alone leaves the paths of attached files open to COPY and ATTACH.
        con.execute("set disabled_filesystems = 'LocalFileSystem'")
        if not labelling:
            con.execute("set lock_configuration = true")
        return con

    def _migrate_snapshot(self, found: int) -> None:
        """Opening the warehouse for writing migrates it, and leaving publishes it."""
        if not self.layout.warehouse.exists() or self._migrated:
            raise StoreError(
                f"{self.layout.snapshot} has schema version {found}.",
                f"version {SCHEMA_VERSION}, or a warehouse beside it that can be brought there",
                f"features doctor --fix --store {self.layout.root}",
            )
        self._migrated = True
        with self.write("migrate"):
            pass

    def publish(self) -> bool:
        """Copy the warehouse over the snapshot, atomically, unless it is there already. True when copied."""
        if self.is_published():
            return False
        published(self.layout, self.layout.warehouse, self.layout.snapshot)
        return True

    def compact(self) -> None:
        """Write the warehouse anew, so that no freed block keeps what was deleted. The caller holds the lock."""
        import duckdb

        temporary = self.layout.root / ".warehouse.compact.tmp"
        for stale in self.layout.root.glob(f"{temporary.name}*"):
            stale.unlink()
        with duckdb.connect(":memory:", config=self._config()) as con:
            con.execute("set enable_progress_bar = false")
            con.execute(f"attach {_quoted(self.layout.warehouse)} as former (read_only)")
            con.execute(f"attach {_quoted(temporary)} as compact")
            con.execute("copy from database former to compact")
            con.execute("checkpoint compact")
        temporary.replace(self.layout.warehouse)
        sync_directory(self.layout.root)
        self.publish()

    def put_back(self) -> None:
        """Make the snapshot the warehouse again: nothing was written since it was copied. The caller holds the lock."""
        self.layout.warehouse.with_name(f"{self.layout.warehouse.name}.wal").unlink(missing_ok=True)
        published(self.layout, self.layout.snapshot, self.layout.warehouse)

    def is_published(self) -> bool:
        """Whether the snapshot is a copy of the warehouse as it is."""
        return is_copy(self.layout)

    def _config(self) -> dict[str, str | bool | int | float | list[str]]:
        return {
            "memory_limit": self.settings.memory_limit,
            "threads": self.settings.threads,
            "temp_directory": str(self.layout.spill.absolute()),
        }

    def _state(self) -> list[int]:
        """Of the warehouse's file and log: another one after whatever was committed."""
        log = self.layout.warehouse.with_name(f"{self.layout.warehouse.name}.wal")
        return [*fingerprint(self.layout.warehouse), log.stat().st_size if log.exists() else 0]

    def _prepare(self, con: DuckDBPyConnection) -> None:
        """Create the base tables of a new store, migrate an older one, refuse a newer one."""
        found = version_of(con)
        if found is None:
            create(con)
        else:
            refuse_newer(found, self.layout.root)
            if found < SCHEMA_VERSION:
                print(f"The store is of version {found}; bringing it to {SCHEMA_VERSION}.", file=sys.stderr)
                migrate(con, found)
        create_views(con)


def _quoted(path: Path) -> str:
    """Absolute: a relative path such as `sqlite:x` would name another kind of database."""
    return "'" + str(path.absolute()).replace("'", "''") + "'"


def _say_waiting(who: Holder | None) -> None:
    print(f"Waiting for the writer's lock, held by {who or 'another process'}.", file=sys.stderr)

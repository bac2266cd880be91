"""The two doors to the data: one writer on warehouse.duckdb, any number of readers on the snapshot.

A write ends with a checkpoint and a publication: the warehouse file is copied beside the snapshot,
synced and renamed over it. A reader that has the former snapshot open keeps it, whole, for as long
as it likes; the next one that opens sees the new state. Readers therefore never block, nor are blocked.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import sql
from warehouse.errors import StoreError
from warehouse.interrupt import interruptible
from warehouse.layout import Layout, sync_directory, write_atomically
from warehouse.lock import Holder, locked
from warehouse.relations import create_views
from warehouse.settings import Settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["LABELLING", "SCHEMA_VERSION", "Database"]

LABELLING = (
    # DuckDB misjudges how many swipes the clock leaves, and would then build a hash table of forty million:
    # joins run as they are written, the large side first.
    "set disabled_optimizers = 'join_order,build_side_probe_side'",
)
"""Settings under which labels are computed."""

SCHEMA_VERSION = 1
"""Of the base tables in sql/schema.sql. A store with a higher one is refused, a lower one is migrated."""


class Database:
    """The DuckDB files of one store.

    Args:
        layout: where the store lies.
        settings: memory, threads, patience.
    """

    def __init__(self, layout: Layout, settings: Settings) -> None:
        self.layout, self.settings = layout, settings
        self._depth = 0

    @contextlib.contextmanager
    def lock(self, command: str) -> Iterator[None]:
        """Be the store's one writer. Nested calls of the same object share the lock.

        Raises:
            LockedError: another process writes and did not end within `settings.lock_timeout_s`.
        """
        if self._depth:
            yield
            return
        with locked(self.layout.lock, command, self.settings.lock_timeout_s, _say_waiting):
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

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
                con = duckdb.connect(self.layout.warehouse, config=self._config())
            except duckdb.IOException as error:
                raise StoreError(
                    f"{self.layout.warehouse} cannot be opened: {error}",
                    "a DuckDB file that this version wrote, in a writable folder with free disk",
                    f"features doctor --store {self.layout.root}",
                ) from error
            try:
                con.execute("set enable_progress_bar = false")  # it would go to stdout, among the data
                self._prepare(con)
                with interruptible(con):
                    yield con
                    con.execute("checkpoint")
            finally:
                con.close()
            self.publish()

    @contextlib.contextmanager
    def read(self, *, memory_limit: str | None = None, labelling: bool = False) -> Iterator[DuckDBPyConnection]:
        """A reading connection on the newest snapshot: no writes, no files, no network, locked settings.

        Args:
            memory_limit: for this connection; None: that of the settings.
            labelling: with the settings of label builds, which may be changed: for our own queries.

        Raises:
            StoreError: there is no store, or it was never written.
        """
        con = self.open_snapshot(memory_limit=memory_limit, labelling=labelling)
        try:
            with interruptible(con):
                yield con
        finally:
            con.close()

    def open_snapshot(self, *, memory_limit: str | None = None, labelling: bool = False) -> DuckDBPyConnection:
        """As `read`, for callers that keep the connection and close it themselves."""
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
            con.execute(f"attach {_quoted(self.layout.snapshot)} as store (read_only)")
        except duckdb.Error as error:
            con.close()
            raise StoreError(
                f"{self.layout.snapshot} cannot be read: {error}",
                "the copy that the last successful write published",
                f"features doctor --fix --store {self.layout.root}",
            ) from error
        con.execute("use store")
        con.execute("set enable_progress_bar = false")
        con.execute(f"set memory_limit = '{memory_limit or self.settings.memory_limit}'")
        con.execute("set temp_directory = ''")
        if labelling:
            for setting in LABELLING:
                con.execute(setting)
        con.execute("set enable_external_access = false")
        if not labelling:
            con.execute("set lock_configuration = true")
        return con

    def publish(self) -> bool:
        """Copy the warehouse over the snapshot, atomically, unless it is there already. True when copied."""
        if self.is_published():
            return False
        source = self.layout.warehouse
        state = _fingerprint(source)
        temporary = self.layout.root / f".snapshot.{os.getpid()}.tmp"
        for stale in self.layout.root.glob(".snapshot.*.tmp"):
            stale.unlink()
        with source.open("rb") as reader, temporary.open("wb") as writer:
            while os.copy_file_range(reader.fileno(), writer.fileno(), 1 << 30):
                pass
            os.fsync(writer.fileno())
        temporary.replace(self.layout.snapshot)
        sync_directory(self.layout.root)
        write_atomically(self.layout.snapshot_manifest, json.dumps({"warehouse": state}).encode())
        return True

    def is_published(self) -> bool:
        """Whether the snapshot is a copy of the warehouse as it is."""
        if not self.layout.snapshot.exists() or not self.layout.warehouse.exists():
            return False
        return _recorded(self.layout.snapshot_manifest) == _fingerprint(self.layout.warehouse)

    def _config(self) -> dict[str, str | bool | int | float | list[str]]:
        return {
            "memory_limit": self.settings.memory_limit,
            "threads": self.settings.threads,
            "temp_directory": str(self.layout.spill),
        }

    def _prepare(self, con: DuckDBPyConnection) -> None:
        """Create the base tables of a new store; refuse one from a newer version."""
        known = con.execute("select 1 from duckdb_tables() where schema_name = 'facts' and table_name = 'version'")
        if known.fetchone() is None:
            con.begin()
            con.execute(sql.schema())
            con.execute("insert into facts.version values ($1)", [SCHEMA_VERSION])
            con.commit()
            create_views(con)
            return
        row = con.execute("select max(version) from facts.version").fetchone()
        found = row[0] if row else None
        if found != SCHEMA_VERSION:
            raise StoreError(
                f"The store {self.layout.root} has schema version {found}.",
                f"version {SCHEMA_VERSION}",
                "pip install --upgrade photogenic",
            )
        create_views(con)


def _fingerprint(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_ino, stat.st_size, stat.st_mtime_ns]


def _recorded(manifest: Path) -> list[int] | None:
    try:
        return json.loads(manifest.read_text())["warehouse"]  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _say_waiting(who: Holder | None) -> None:
    print(f"Waiting for the writer's lock, held by {who or 'another process'}.", file=sys.stderr)

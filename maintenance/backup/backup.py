"""Copy a store to another place while it is in use: the steps of `features backup`.

1. Copy the journals of downloads and crawls first: a segment that is merged later is in the snapshot too, by its name,
   and so is never merged twice.
2. Open the snapshot, vectors and indices of one moment (frozen_store.py).
3. Copy what is not in the backup yet (repository.py), the snapshot first; read every block of it.
4. Copy the pictures that this snapshot and these journals name: they were stored before it, and stay.
5. If nobody was erased meanwhile, write the manifest; then remove the files that it does not list.

No lock of the store is taken, and nothing is written to it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path

from photogenic._lazy import duckdb
from photogenic.ingest.journal.journal import segments
from photogenic.maintenance.backup.frozen_store import Frozen, OpenFile, freeze, immutable_files
from photogenic.maintenance.backup.remote_repository import RemoteArchive, open_archive
from photogenic.maintenance.backup.repository import Archive, Entry, Manifest
from photogenic.warehouse import Layout, Store, StoreError
from photogenic.warehouse.erasure.tombstones import count_erasures
from photogenic.warehouse.filesystems import is_remote

__all__ = ["BackupReport", "backup"]


@dataclass(slots=True)
class BackupReport:
    """Result of a backup.

    Attributes:
        folder: folder or address of the backup, without secrets.
        n_files, n_bytes: number and size of the store's files in the backup.
        n_copied, bytes_copied: number and size of the files that this backup copied.
        n_removed: number of files of earlier backups that this one does not need.
        left_out: files that are damaged or missing in the store, each with the reason.
    """

    folder: Path | str
    n_files: int = 0
    n_bytes: int = 0
    n_copied: int = 0
    bytes_copied: int = 0
    n_removed: int = 0
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0


def backup(store: Store, folder: str | Path, *, thorough: bool = False) -> BackupReport:
    """Update the backup in `folder` to the store. May be killed and started again.

    Args:
        store: the open store.
        folder: folder of the backup, or its address in an object store; the first backup creates it.
        thorough: whether to read every byte of the earlier backup too, and copy again what is damaged there.

    Raises:
        LockedError: another backup is being written there.
        NetworkError: the object store cannot be reached, or the connection broke; the earlier backup is kept.
        StoreError: there is no store, its snapshot is damaged, people are being erased from it, or `folder` holds
            something else; the earlier backup is kept.
    """
    layout = store.layout
    started, archive = time.monotonic(), open_archive(folder)
    target = archive.name if is_remote(folder) else Path(folder)
    _check(layout, target)
    before = _erase_state(layout)
    with archive.writing(store.database.settings.lock_timeout_s) as former:
        copying = _Copying(store, archive, thorough, BackupReport(target))
        try:
            copying.run(former)
        except OSError as error:
            raise StoreError(
                f"The backup could not be written: {error}.",
                f"a writable folder {target} with free disk; the earlier backup is kept",
                "free some disk and run the command again: it continues where it stopped",
            ) from error
        if _erase_state(layout) != before or layout.erase_journal.exists():
            archive.sweep({entry.sha256 for entry in former.files} if former else ())
            raise StoreError(
                "People were erased from the store while it was copied, or it was restored.",
                "a store from which nothing is removed during the backup",
                "run the same command again: it removes the erased people from the backup too",
            )
        return copying.publish(started)


def _check(layout: Layout, target: Path | str) -> None:
    if not layout.snapshot.exists():
        raise StoreError(
            f"There is no store at {layout.root.absolute()}.", "a folder that holds a store", "features backup --store"
        )
    if layout.erase_journal.exists():
        raise StoreError(
            "People are being erased from the store, or an erase of it was interrupted.",
            "an erase that has finished",
            f"features erase --yes --store {layout.root}",
        )
    if isinstance(target, str):
        return
    ours, theirs = layout.root.resolve(), target.resolve()
    if ours == theirs or ours in theirs.parents or theirs in ours.parents:
        raise StoreError(
            f"{target} and the store {layout.root} are inside each other.",
            "a folder outside of the store, best on another disk",
            "features backup ANOTHER_DIR",
        )


class _Copying:
    """State of one backup while it is made."""

    def __init__(self, store: Store, archive: Archive, thorough: bool, report: BackupReport) -> None:
        self._store, self._layout = store, store.layout
        self._archive, self._thorough, self._report = archive, thorough, report
        self._entries: list[Entry] = []
        self._schema = 0
        self._store_id: str | None = None

    def run(self, former: Manifest | None) -> None:
        """Do steps 1 to 4."""
        from_journals = self._journals()
        with freeze(self._layout) as frozen:
            if isinstance(self._archive, RemoteArchive):  # read it first: in the backup it cannot be opened
                pictures = self._read_through(Path(f"/proc/self/fd/{frozen.snapshot.file.fileno()}"))
                self._add([self._copy(frozen.snapshot)])
            else:
                self._add([self._copy(frozen.snapshot, thorough=True)])
                pictures = self._read_through(self._archive.path(self._entries[-1].sha256).absolute())
            pictures |= from_journals
            left = list(immutable_files(self._layout))
            n = len(pictures) + len(left) + sum(map(len, frozen.folders.values()))
            self._refuse_another(former)
            with self._store.progress.stage("backup", n, "files") as advance:
                self._folders(frozen, advance)
                for path, sha256 in left:
                    self._file(path, sha256)
                    advance(1)
                for sha256 in sorted(pictures):
                    self._file(self._layout.photo(sha256), sha256, missing="missing")
                    advance(1)

    def publish(self, started: float) -> BackupReport:
        """Do step 5."""
        report, now = self._report, dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        files = tuple(sorted(self._entries, key=lambda entry: entry.path))
        report.n_removed = self._archive.publish(
            Manifest(now, self._schema, self._store_id, files, tuple(report.left_out))
        )
        report.n_files, report.n_bytes = len(files), sum(entry.bytes for entry in files)
        report.seconds = time.monotonic() - started
        return report

    def _refuse_another(self, former: Manifest | None) -> None:
        if former is not None and None not in (former.store_id, self._store_id) and former.store_id != self._store_id:
            raise StoreError(
                f"{self._archive.name} holds the backup of another store than {self._layout.root}.",
                "a folder for each store; the backup in this folder is kept",
                "features backup ANOTHER_DIR",
            )

    def _journals(self) -> set[str]:
        """Copy the segments that are not merged. Returns the digests of the pictures that they name."""
        pictures: set[str] = set()
        for path in (*segments(self._layout.fetch), *segments(self._layout.crawl)):
            entry = self._file(path)
            if entry is None:  # merged since
                continue
            for line in self._archive.read_bytes(entry).splitlines():
                try:
                    record = json.loads(line)
                except ValueError:  # the one that is being written
                    continue
                if record.get("sha256"):
                    pictures.add(str(record["sha256"]))
        return pictures

    def _read_through(self, snapshot: Path) -> set[str]:
        """Read every block of a snapshot, so that DuckDB checks them. Returns digests of its pictures."""
        path = str(snapshot).replace("'", "''")
        try:
            with duckdb.connect(":memory:", config={"threads": self._store.database.settings.threads}) as con:
                con.execute("set enable_progress_bar = false")
                con.execute(f"attach '{path}' as copied (read_only)")
                con.execute("use copied")
                for schema, table in con.execute("select schema_name, table_name from duckdb_tables()").fetchall():
                    con.execute(f'select max(hash(row)) from "{schema}"."{table}" as row').fetchall()
                ((self._schema,),) = con.execute("select max(version) from facts.version").fetchall()
                if con.execute("select 1 from duckdb_tables() where table_name = 'identity'").fetchall():
                    ((self._store_id,),) = con.execute("from facts.identity").fetchall()
                rows = con.execute("select distinct sha256 from facts.photo_files where sha256 is not null").fetchall()
        except duckdb.Error as error:
            raise StoreError(
                f"{self._layout.snapshot} is damaged: {error}",
                "a snapshot whose blocks can all be read; the earlier backup is kept",
                f"features doctor --fix --store {self._layout.root}",
            ) from error
        return {sha256 for (sha256,) in rows}

    def _folders(self, frozen: Frozen, advance: Callable[[int], None]) -> None:
        self._report.left_out += [f"{name}: {why}" for name, why in frozen.damaged.items()]
        for name, files in frozen.folders.items():
            entries = []
            for opened in files:
                entry = self._copy(opened)
                if opened.sha256 not in (None, entry.sha256):
                    self._report.left_out.append(f"{name}: {Path(opened.path).name} has SHA-256 {entry.sha256}")
                    break
                entries.append(entry)
            else:
                self._add(entries)
            advance(len(files))

    def _file(self, path: Path, sha256: str | None = None, *, missing: str = "") -> Entry | None:
        """Copy a file by its name. A missing file is left out, and reported if `missing` is given."""
        name = str(path.relative_to(self._layout.root))
        entry = self._stored_entry(name, sha256)
        if entry is None:
            try:
                with path.open("rb") as file:
                    entry = self._copy(OpenFile(name, file))
            except FileNotFoundError:
                self._report.left_out += [f"{name}: {missing}"] if missing else []
                return None
        if sha256 not in (None, entry.sha256):
            self._report.left_out.append(f"{name}: its bytes have SHA-256 {entry.sha256}")
            return None
        self._add([entry])
        return entry

    def _copy(self, opened: OpenFile, *, thorough: bool = False) -> Entry:
        there = self._stored_entry(opened.path, opened.sha256 or _digest_of(opened.file), thorough=thorough)
        if there is not None:
            return there
        entry = self._archive.put(opened.file)
        self._report.n_copied += 1
        self._report.bytes_copied += entry.bytes
        return replace(entry, path=opened.path)

    def _stored_entry(self, name: str, sha256: str | None, *, thorough: bool = False) -> Entry | None:
        """The entry of a file whose bytes are in the backup already."""
        n_bytes = None if sha256 is None else self._archive.stored_size(sha256, thorough=thorough or self._thorough)
        return None if n_bytes is None or sha256 is None else Entry(name, n_bytes, sha256)

    def _add(self, entries: Iterable[Entry]) -> None:
        self._entries.extend(entries)


def _digest_of(file: BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _erase_state(layout: Layout) -> tuple[int, int]:
    """A state that changes when people are erased, or the store is replaced as a whole."""
    return count_erasures(layout), layout.root.stat().st_ino

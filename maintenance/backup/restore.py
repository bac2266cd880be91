"""Make a store out of a backup: the steps of `features restore`.

1. Check the backup: every file that its manifest lists must exist, with the size it lists.
2. Check the target: empty, or a store to replace, which is locked against writers from now on.
3. Copy into a folder beside it; every byte is compared with its digest. A killed restore is continued by the next.
4. Add the tombstones of the replaced store, and those given, to those of the backup. People who were erased and photos
   that were purged since the backup was made are erased and purged from the copy, with receipts.
5. Put the copy in place, at once; then remove the replaced store.

Until step 5 the target does not change.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime as dt
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from photogenic import sql
from photogenic.ingest.quiesce import merge_journals, pause_network_runs
from photogenic.maintenance.backup.remote_repository import open_archive
from photogenic.maintenance.backup.repository import Archive, Entry, Manifest, copy_file
from photogenic.maintenance.erase.erase import erase, lock_fine_tuning
from photogenic.maintenance.erase.journal import Receipt
from photogenic.maintenance.erase.purge import purge_again
from photogenic.warehouse import Database, Layout, Store, StoreError
from photogenic.warehouse.duckdb_store.migrations import SCHEMA_VERSION
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.storage.checksum import digest
from photogenic.warehouse.storage.integrity import why_not_a_store
from photogenic.warehouse.storage.layout import exchange, sync_directory, sync_filesystem
from photogenic.warehouse.storage.lock import locked
from photogenic.warehouse.storage.manifest import parse_object, read_limited

__all__ = ["RestoreReport", "restore", "staging_of"]

_IGNORED = {"lost+found", "lock", ".restore"}
"""Names that an empty folder may contain."""


@dataclass(slots=True)
class RestoreReport:
    """Result of a restore.

    Attributes:
        made_at: time at which the backup was made.
        n_files, n_bytes: number and size of the store's files.
        n_adopted: number of files that an interrupted restore had copied already.
        erased: receipts of people who were erased, and of photos that were purged, since the backup was made.
        left_out: files that the store lacked when the backup was made.
    """

    made_at: dt.datetime
    n_files: int
    n_bytes: int
    n_adopted: int = 0
    erased: list[Receipt] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0


def restore(
    store: Store, folder: str | Path, *, replace: bool = False, tombstones: str | Path | None = None
) -> RestoreReport:
    """Put the store of a backup into the folder of `store`. May be killed and started again.

    Args:
        store: store whose folder is absent, empty, or with `replace` a store.
        folder: folder of the backup, or its address in an object store.
        replace: whether to remove the store in the folder, once the copy is complete.
        tombstones: an `erased` folder, or the store with it: people who were erased there are not restored either.

    Raises:
        LockedError: another process writes to the store in the folder.
        NetworkError: the object store cannot be reached, or the connection broke; nothing changed.
        StoreError: the backup is absent, damaged or from a newer version, or the target is not empty; nothing changed.
    """
    started, archive = time.monotonic(), open_archive(folder)
    manifest = _check_backup(archive)
    settings, root = store.database.settings, store.layout.root.resolve()
    with _target(Store(Database(Layout(root), settings)), may_replace=replace) as former:
        staging = staging_of(root)
        if former is not None and staging.parent == root:
            raise StoreError(
                f"The store {root} cannot be replaced at once: it is a mount point, or its parent is read-only.",
                "a store whose folder can be renamed",
                "move its content to FORMER, then features restore FOLDER --tombstones FORMER/erased",
            )
        with locked(staging / "lock", "features restore", settings.lock_timeout_s):
            made = Store(Database(Layout(staging / "store"), settings), store.progress)
            report = RestoreReport(
                dt.datetime.fromisoformat(manifest.made_at),
                len(manifest.files),
                sum(entry.bytes for entry in manifest.files),
                left_out=list(manifest.left_out),
            )
            try:
                report.n_adopted = _fill(made, archive, manifest)
            except OSError as error:
                raise StoreError(
                    f"The backup could not be copied into {staging}: {error}.",
                    f"{report.n_bytes / 1e9:.1f} GB free beside the store",
                    "free some disk and run the command again: it continues where it stopped",
                ) from error
            if (wrong := why_not_a_store(made.layout.snapshot)) is not None:
                raise StoreError(
                    f"The backup is damaged: its snapshot.duckdb cannot be opened: {wrong}.",
                    "the database that `features backup` copied",
                    "restore another backup",
                )
            report.erased = _without_erased(made, _erased_folders(former, tombstones))
            sync_filesystem(staging)
            _install(made.layout.root, root)
        shutil.rmtree(staging)
    report.seconds = time.monotonic() - started
    return report


def staging_of(root: Path) -> Path:
    """The folder of the copy: beside the store, or inside of a mount point or of a read-only parent."""
    beside, inside = Layout(root).restoring
    nearest = next(path for path in root.parents if path.exists())
    return inside if root.is_mount() or not os.access(nearest, os.W_OK) else beside


def _check_backup(archive: Archive) -> Manifest:
    """Do step 1."""
    manifest = archive.read()
    if manifest is None:
        raise StoreError(
            f"There is no complete backup in {archive.name}.",
            "a folder that `features backup` has written",
            "features backup FOLDER",
        )
    if manifest.schema > SCHEMA_VERSION:
        raise StoreError(
            f"The backup is of a store with schema version {manifest.schema}.",
            f"at most version {SCHEMA_VERSION}",
            "pip install --upgrade photogenic",
        )
    for entry in manifest.files:
        archive.check(entry)
    return manifest


@contextlib.contextmanager
def _target(store: Store, *, may_replace: bool) -> Iterator[Layout | None]:
    """Do step 2: lock the store that is to be replaced, if there is one."""
    db, layout = store.database, store.layout
    there = {path.name for path in layout.root.iterdir()} - _IGNORED if layout.root.exists() else set()
    if not there or _install_marker(layout.root / ".restore").exists():
        yield None
        return
    is_store = {layout.warehouse.name, layout.snapshot.name, layout.erased.name} & there
    if not is_store or not may_replace:
        what = "a store already" if is_store else "something that is not a store"
        raise StoreError(
            f"{layout.root} holds {what}.",
            "an empty folder, or one that does not exist yet" + (", or --replace" if is_store else ""),
            "features restore FOLDER --store ANOTHER"
            + (", or features restore FOLDER --replace --yes to remove the store" if is_store else ""),
        )
    with pause_network_runs(db), lock_fine_tuning(store), db.lock("features restore"):
        yield layout


def _fill(store: Store, archive: Archive, manifest: Manifest) -> int:
    """Do step 3. Returns the number of files that were there already."""
    made = store.layout
    n_adopted, listed = 0, {made.warehouse, made.snapshot_manifest}
    for entry in manifest.files:
        target = made.root / entry.path
        if made.root not in target.parents or ".." in Path(entry.path).parts:
            raise archive.damaged(entry, "would be outside of the store")
        listed.add(target)

    def copy(entry: Entry) -> bool:
        return _copy_entry(archive, entry, made.root / entry.path)

    pool = concurrent.futures.ThreadPoolExecutor(archive.at_once)
    with store.progress.stage("restore", len(manifest.files), "files") as advance:
        try:
            for was_there in pool.map(
                lambda entry: _copy_entry(archive, entry, made.root / entry.path), manifest.files
            ):
                n_adopted += was_there
                advance(1)
        finally:
            pool.shutdown(cancel_futures=True)
    for path in sorted(made.root.rglob("*"), reverse=True):
        if path.is_symlink() or (path.is_file() and path not in listed):
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    copied_to = made.warehouse
    with made.snapshot.open("rb") as file:
        sha256, _ = copy_file(file, copied_to)
    stat = copied_to.stat()
    state = [stat.st_ino, stat.st_size, stat.st_mtime_ns]
    made.snapshot_manifest.write_text(json.dumps({"warehouse": state, "sha256": sha256}))
    return n_adopted


def _copy_entry(archive: Archive, entry: Entry, target: Path) -> bool:
    """Copy a file out of the backup. Returns whether an interrupted restore had copied it already."""
    if target.is_file() and target.stat().st_size == entry.bytes and digest(target) == entry.sha256:
        return True
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    found = archive.fetch(entry, temporary)
    if found != entry.sha256:
        temporary.unlink()
        raise archive.damaged(entry, f"has SHA-256 {found}")
    if target.name == "salt":
        temporary.chmod(0o600)
    temporary.replace(target)
    return False


def _erased_folders(former: Layout | None, given: str | Path | None) -> list[Path]:
    """The `erased` folders of the replaced store, and the given one."""
    found = [former.erased] if former is not None else []
    if given is not None:
        folder = Path(given) if (Path(given) / "tombstones").exists() else Path(given) / "erased"
        if not (folder / "tombstones").exists():
            raise StoreError(
                f"There are no tombstones in {Path(given).absolute()}.",
                "the `erased` folder of a store from which people were erased, or that store",
                "features restore FOLDER --tombstones STORE/erased",
            )
        found.append(folder)
    return found


def _without_erased(made: Store, folders: list[Path]) -> list[Receipt]:
    """Do step 4."""
    db, tombstones, receipts = made.database, Tombstones(made.layout), made.layout.erased / "receipts"
    before, n_before = Tombstones(made.layout), len(tombstones)
    for folder in folders:
        tombstones.merge(folder)
        for path in (folder / "receipts").glob("*.json"):
            receipts.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, receipts / path.name)
    if len(tombstones) == n_before:
        return []
    merge_journals(db)  # pages that were crawled before, of people who were erased since
    with db.write("features restore") as con:
        tombstones.prepare(con)
        returned = [user_id for (user_id,) in con.execute(sql.read("erase/returned")).fetchall()]
        con.execute("delete from facts.crawl_targets where was_erased('target', target)")
    made_again = erase(made, returned) if returned else []
    with db.write("features restore") as con:
        tombstones.prepare(con)
        held = con.execute("select distinct photo_id from facts.photos where was_erased('photo', photo_id)").fetchall()
    purged = _purge_times(made.layout, tombstones, [name for (name,) in held if not before.contains("photo", name)])
    made_again += purge_again(made, purged) if purged else []
    if not made_again:
        with db.lock("features restore"):
            db.compact()
    return made_again


def _purge_times(layout: Layout, tombstones: Tombstones, photo_ids: list[str]) -> dict[str, dt.datetime]:
    """When photos were purged, by the receipts; now, if there is no receipt."""
    times, now = dict[str, dt.datetime](), dt.datetime.now(dt.UTC).replace(tzinfo=None)
    for path in sorted((layout.erased / "receipts").glob("*.json")):
        receipt = parse_object(read_limited(path))
        at = dt.datetime.fromisoformat(receipt["erased_at"]).replace(tzinfo=None)
        times = dict.fromkeys(receipt.get("photos", ()), at) | times  # the first purge, not one after a restore
    return {
        name: min((times[one] for one in tombstones.hashes("photo", name) if one in times), default=now)
        for name in photo_ids
    }


def _install(made: Path, root: Path) -> None:
    """Do step 5."""
    if made.parent.parent == root:  # entry by entry; the store is there once its snapshot is
        _install_marker(made.parent).touch()
        for path in sorted(made.iterdir(), key=lambda path: path.suffix == ".duckdb"):
            with contextlib.suppress(NotADirectoryError, FileNotFoundError):
                shutil.rmtree(root / path.name)  # left by an interrupted install
            path.replace(root / path.name)
        sync_directory(root)
    elif root.exists():
        exchange(made, root)
    else:
        made.replace(root)
        sync_directory(root.parent)


def _install_marker(staging: Path) -> Path:
    """The file that marks the start of an install in this folder."""
    return staging / "installing"

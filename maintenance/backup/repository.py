"""A backup on disk: every file once, under the digest of its bytes, and a manifest that lists the files that count.

    FOLDER/files/ab/<sha256>   bytes, complete from the moment they have this name
    FOLDER/manifest.json       written last: path in the store -> bytes and digest; and its own digest

A killed backup leaves the earlier manifest and all files that it lists; the next backup uses what was copied already.
Files are copied, never linked: a change of the store must not change its backup. Where the file system can, both
share blocks until one of them is changed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path

from photogenic.warehouse import StoreError
from photogenic.warehouse.storage.checksum import digest as file_digest
from photogenic.warehouse.storage.layout import refuse_name, sha256_of, sync_filesystem, write_atomically
from photogenic.warehouse.storage.lock import locked
from photogenic.warehouse.storage.manifest import (
    checked_relative_path,
    checked_sha256,
    parse_object,
    read_limited,
    to_dataclass,
)

__all__ = ["Archive", "Entry", "Manifest", "copy_file", "dump_manifest", "parse_manifest"]

FORMAT = 1

_MOST_BYTES = 4 << 30
_OWN = {
    *("build.json", "listeners", "lock", "snapshot.json", "tmp", "underway.json"),
    *("warehouse.duckdb", "warehouse.duckdb.wal"),
}
"""Names at the top of a store that are not in a backup."""

_ELSEWHERE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""Error numbers of a kernel that cannot copy between two file systems."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the store.

    Attributes:
        path: path in the store, with slashes.
    """

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One state of one store.

    Attributes:
        made_at: time of the backup; UTC, ISO 8601.
        schema: schema version of the warehouse.
        store_id: id of the store; None for a version without ids.
        left_out: files that were damaged or missing in the store, and so are in no backup.
    """

    made_at: str
    schema: int
    store_id: str | None
    files: tuple[Entry, ...]
    left_out: tuple[str, ...] = ()
    format: int = FORMAT


class Archive:
    """The folder of a backup.

    Args:
        folder: path of the folder; the first backup creates it.

    Attributes:
        name: where it is, for messages.
        at_once: number of files that are copied out of it at the same time.
    """

    at_once = 1

    def __init__(self, folder: Path) -> None:
        refuse_name(folder, "A backup")
        self.folder, self.name = folder, str(folder.absolute())
        self._manifest, self._files = folder / "manifest.json", folder / "files"
        self._listed_sizes: dict[str, int] = {}

    def path(self, sha256: str) -> Path:
        """The path of bytes with this digest."""
        return self._files / sha256[:2] / sha256

    def read(self) -> Manifest | None:
        """Read the manifest. None: there is none.

        Raises:
            StoreError: the manifest is damaged, or of a newer version.
        """
        try:
            data = read_limited(self._manifest, _MOST_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise _damaged_manifest(self._manifest, error) from error
        return parse_manifest(data, str(self._manifest))

    @contextlib.contextmanager
    def writing(self, timeout_s: float) -> Iterator[Manifest | None]:
        """Lock the folder for writing, and return the earlier manifest.

        Raises:
            LockedError: another backup is being written here.
            StoreError: the folder holds something else, or a damaged manifest.
        """
        if self.folder.exists() and any(self.folder.iterdir()) and not self._files.is_dir():
            raise StoreError(
                f"{self.folder.absolute()} holds something that is not a backup.",
                "an empty folder, one that does not exist yet, or an earlier backup",
                "features backup ANOTHER_DIR",
            )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.folder / "lock", "features backup", timeout_s):
            former = self.read()
            self._files.mkdir(exist_ok=True)
            self._listed_sizes = {entry.sha256: entry.bytes for entry in former.files} if former else {}
            for path in self._files.glob("*.tmp"):
                path.unlink()
            yield former

    def stored_size(self, sha256: str, *, thorough: bool = False) -> int | None:
        """The size of the bytes with this digest. None: they are missing or damaged.

        Bytes that the manifest lists are checked by size, and read as well if `thorough`; all others are read.
        """
        path = self.path(sha256)
        if not path.exists():
            return None
        n_bytes = path.stat().st_size
        if self._listed_sizes.get(sha256) == n_bytes and not thorough:
            return n_bytes
        return n_bytes if file_digest(path) == sha256 else None

    def put(self, source: BufferedReader) -> Entry:
        """Copy an open file. Returns an entry without a path."""
        temporary = self._files / f"{os.getpid()}.tmp"
        sha256, n_bytes = copy_file(source, temporary)
        path = self.path(sha256)
        path.parent.mkdir(exist_ok=True)
        temporary.replace(path)  # the file that it replaces may be damaged
        return Entry("", n_bytes, sha256)

    def publish(self, manifest: Manifest) -> int:
        """Write the manifest durably, and remove the files that it does not list. Returns their number."""
        sync_filesystem(self.folder)
        write_atomically(self._manifest, dump_manifest(manifest))
        return self.sweep({entry.sha256 for entry in manifest.files})

    def sweep(self, listed: Collection[str]) -> int:
        """Remove bytes that are not listed. Returns their number."""
        n = 0
        for path in self._files.glob("*/*"):
            if path.name not in listed:
                path.unlink()
                n += 1
        return n

    def read_bytes(self, entry: Entry) -> bytes:
        """Read a small file of the backup."""
        return self.path(entry.sha256).read_bytes()

    def check(self, entry: Entry) -> None:
        """Check that a file that the manifest lists is there, with its size. Its bytes are not read.

        Raises:
            StoreError: it is not.
        """
        path = self.path(entry.sha256)
        if not path.is_file():
            raise self.damaged(entry, "is not there")
        if self.folder.resolve() not in path.resolve().parents:
            raise self.damaged(entry, f"is a link to {path.resolve()}, outside of the backup")
        if path.stat().st_size != entry.bytes:
            raise self.damaged(entry, f"has {path.stat().st_size:,} bytes, and had {entry.bytes:,}")

    def fetch(self, entry: Entry, target: Path) -> str:
        """Copy a file of the backup to a path. Returns the SHA-256 of the copy."""
        with self.path(entry.sha256).open("rb") as file:
            return copy_file(file, target)[0]

    def where(self, entry: Entry) -> str:
        """Where the bytes of a file are, for messages."""
        return str(self.path(entry.sha256))

    def damaged(self, entry: Entry, why: str) -> StoreError:
        """The error that a file is not as the manifest says."""
        return StoreError(
            f"The backup is damaged: {self.where(entry)}, which is {entry.path}, {why}.",
            f"{entry.bytes:,} bytes with SHA-256 {entry.sha256}",
            "features backup FOLDER --thorough copies it again, if the store still has it; else restore another backup",
        )


def dump_manifest(manifest: Manifest) -> bytes:
    """Return the manifest as JSON, with a digest of it."""
    backup = asdict(manifest)
    return json.dumps({"sha256": _digest(backup), "backup": backup}).encode()


def parse_manifest(data: bytes, name: object) -> Manifest:
    """Parse and check a manifest.

    Args:
        data: the bytes of the manifest.
        name: where it is, for messages.

    Raises:
        StoreError: it is damaged, or of a newer version.
    """
    try:
        content = parse_object(data)
        backup = content["backup"]
        if not isinstance(backup, dict):
            raise ValueError("backup is not an object")
        if _digest(backup) != content["sha256"]:
            raise ValueError("its content does not have the SHA-256 that it names")
        if backup["format"] != FORMAT:
            raise StoreError(f"{name} has format {backup['format']}.", f"format {FORMAT}", "upgrade Photogenic")
        found = to_dataclass(Manifest, backup)
        _check(found)
    except (ValueError, KeyError) as error:
        raise _damaged_manifest(name, error) from error
    return found


def copy_file(source: BufferedReader, target: Path) -> tuple[str, int]:
    """Copy an open file from its beginning. Returns SHA-256 and size of the copy."""
    with target.open("wb") as file:
        at = 0
        try:
            while n := os.copy_file_range(source.fileno(), file.fileno(), 1 << 30, at):
                at += n
        except OSError as error:
            if at or error.errno not in _ELSEWHERE:
                raise
            source.seek(0)
            shutil.copyfileobj(source, file, 1 << 20)
    return sha256_of(target), target.stat().st_size


def _damaged_manifest(name: object, error: Exception) -> StoreError:
    return StoreError(
        f"{name} is damaged: {error}.",
        "the manifest that `features backup` wrote last",
        f"rm {name}, then run features backup: it does not copy undamaged files again",
    )


def _check(manifest: Manifest) -> None:
    """Check the paths and digests of a manifest.

    Raises:
        ValueError: the manifest lists something that is in no backup.
    """
    dt.datetime.fromisoformat(manifest.made_at)
    for entry in manifest.files:
        checked_sha256(entry.sha256)
        names = checked_relative_path(entry.path).split("/")
        if entry.bytes < 0:
            raise ValueError(f"{entry.path} has {entry.bytes} bytes")
        if names[0] in _OWN or any(name.startswith(".") for name in names) or entry.path == "erased/journal.json":
            raise ValueError(f"{entry.path} is a file that a store makes for itself")
    listed: dict[str, Entry] = {}
    for entry in manifest.files:
        if listed.setdefault(entry.path, entry) != entry:
            raise ValueError(f"it lists {entry.path} twice, with other bytes")
    if "snapshot.duckdb" not in listed:
        raise ValueError("it lists no snapshot.duckdb")


def _digest(backup: object) -> str:
    return hashlib.sha256(json.dumps(backup, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

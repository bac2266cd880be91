"""A backup on disk: every file once, under the digest of its bytes, and a manifest that says which of them count.

    DIR/files/ab/<sha256>   bytes, complete from the moment they have this name
    DIR/manifest.json       written last: path in the store -> bytes and digest; and its own digest

A killed backup leaves the former manifest and everything it lists; what it had copied already is adopted by the next.
Files are copied, never linked: what happens to the store must not happen to its backup. Where the file system can,
both share blocks until one of them is changed.
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
from photogenic.warehouse.storage.layout import refuse_name, sync_filesystem, write_atomically
from photogenic.warehouse.storage.lock import locked
from photogenic.warehouse.storage.manifest import (
    checked_relative_path,
    checked_sha256,
    parse_object,
    read_limited,
    to_dataclass,
)

__all__ = ["Archive", "Entry", "Manifest", "copied"]

FORMAT = 1

_MOST_BYTES = 4 << 30
_OWN = {"lock", "snapshot.json", "tmp", "underway.json", "warehouse.duckdb", "warehouse.duckdb.wal"}
"""Names at the top of a store that come from no backup."""

_ELSEWHERE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""What the kernel says where it does not copy between two file systems."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the store.

    Attributes:
        path: in the store, with slashes.
    """

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One state of one store.

    Attributes:
        made_at: when; UTC, ISO 8601.
        schema: version of the warehouse.
        store_id: which store; None: it is of a version that does not know.
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
        folder: created by the first backup.
    """

    def __init__(self, folder: Path) -> None:
        refuse_name(folder, "A backup")
        self.folder = folder
        self._manifest, self._files = folder / "manifest.json", folder / "files"
        self._sound: dict[str, int] = {}

    def path(self, sha256: str) -> Path:
        """Where bytes lie."""
        return self._files / sha256[:2] / sha256

    def read(self) -> Manifest | None:
        """What the folder holds, or None where there is no manifest.

        Raises:
            StoreError: the manifest is damaged, or of a newer version.
        """
        try:
            told = parse_object(read_limited(self._manifest, _MOST_BYTES))
            backup = told["backup"]
            if not isinstance(backup, dict):
                raise ValueError("backup is no object")
            if _digest(backup) != told["sha256"]:
                raise ValueError("its content has not the SHA-256 that it names")
            if backup["format"] != FORMAT:
                raise StoreError(
                    f"{self._manifest} has format {backup['format']}.", f"format {FORMAT}", "upgrade Photogenic"
                )
            found = to_dataclass(Manifest, backup)
            _check(found)
            return found
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError) as error:
            raise StoreError(
                f"{self._manifest} is damaged: {error}.",
                "the manifest that `features backup` wrote last",
                f"features backup makes a new one once {self._manifest} is removed; what is still sound is not copied",
            ) from error

    @contextlib.contextmanager
    def writing(self, timeout_s: float) -> Iterator[Manifest | None]:
        """Be the only one who writes here; hands over what is there.

        Raises:
            LockedError: another backup is being written here.
            StoreError: the folder holds something else, or a damaged manifest.
        """
        if self.folder.exists() and any(self.folder.iterdir()) and not self._files.is_dir():
            raise StoreError(
                f"{self.folder.absolute()} holds something that is no backup.",
                "an empty folder, one that does not exist yet, or a former backup",
                "features backup ANOTHER_DIR",
            )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.folder / "lock", "features backup", timeout_s):
            former = self.read()
            self._files.mkdir(exist_ok=True)
            self._sound = {entry.sha256: entry.bytes for entry in former.files} if former else {}
            for path in self._files.glob("*.tmp"):
                path.unlink()
            yield former

    def holds(self, sha256: str, *, thorough: bool = False) -> int | None:
        """The size of those bytes, or None: they are not here, or damaged.

        What the manifest lists is believed by its size, or read as well if `thorough`; all else is read.
        """
        path = self.path(sha256)
        if not path.exists():
            return None
        n_bytes = path.stat().st_size
        if self._sound.get(sha256) == n_bytes and not thorough:
            return n_bytes
        return n_bytes if file_digest(path) == sha256 else None

    def put(self, source: BufferedReader) -> Entry:
        """Copy an open file; an entry without a path."""
        temporary = self._files / f"{os.getpid()}.tmp"
        sha256, n_bytes = copied(source, temporary)
        path = self.path(sha256)
        path.parent.mkdir(exist_ok=True)
        temporary.replace(path)  # over what may be damaged
        return Entry("", n_bytes, sha256)

    def publish(self, manifest: Manifest) -> int:
        """Make it the one that counts, durably, and remove what it does not list; how many files that was."""
        sync_filesystem(self.folder)
        backup = asdict(manifest)
        write_atomically(self._manifest, json.dumps({"sha256": _digest(backup), "backup": backup}).encode())
        return self.sweep({entry.sha256 for entry in manifest.files})

    def sweep(self, listed: Collection[str]) -> int:
        """Remove bytes that are not listed."""
        n = 0
        for path in self._files.glob("*/*"):
            if path.name not in listed:
                path.unlink()
                n += 1
        return n


def copied(source: BufferedReader, target: Path) -> tuple[str, int]:
    """Copy an open file from its beginning; SHA-256 and size of the copy."""
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
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), target.stat().st_size


def _check(manifest: Manifest) -> None:
    """Raises:
    ValueError: the manifest tells of something that no backup holds.
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

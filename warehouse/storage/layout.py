"""The paths of all files inside a store. No other module spells them."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from photogenic.warehouse.errors import StoreError

__all__ = [
    "Layout",
    "exchange",
    "refuse_name",
    "remove",
    "replacing",
    "sha256_of",
    "sync_directory",
    "sync_filesystem",
    "write_atomically",
]

_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""


class _Under:
    """Descriptor of a path inside a store."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __get__(self, layout: Layout, _: type[Layout]) -> Path:
        return layout.root.joinpath(*self._names)


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one store. An instance creates no file.

    Raises:
        StoreError: a store cannot have this path.
    """

    root: Path

    warehouse = _Under("warehouse.duckdb")
    """The DuckDB file of the one writer."""

    snapshot = _Under("snapshot.duckdb")
    """The read-only copy that every reader opens."""

    snapshot_manifest = _Under("snapshot.json")

    lock = _Under("lock")

    underway = _Under("underway.json")
    """The running stages of the writer."""

    listeners = _Under("listeners")
    """State and lock of each listener of a stream."""

    last_build = _Under("build.json")
    """How the last build on this machine ended."""

    spill = _Under("tmp")
    """DuckDB's temporary files; emptied when the writer opens."""

    photos = _Under("photos")

    thumbnails = _Under("thumbnails")
    """Cache of small images for the web pages."""

    fetch = _Under("fetch")
    """Journal of a running or interrupted download."""

    crawl = _Under("crawl")
    """Journal of a running or interrupted crawl."""

    faces = _Under("faces")

    hashes = _Under("hashes")
    """Perceptual hashes of the photos."""

    pictures = _Under("pictures")
    """Values of features of a picture: a folder for each feature."""

    models = _Under("models")

    reports = _Under("reports")

    export_locks = _Under("exports")
    """Locks of exports of pictures, one per address."""

    training_sets = _Under("training_sets")
    """Named training sets: a folder for each name, and in it one for each version."""

    erased = _Under("erased")
    """Salted hashes and receipts of erased people, and the state of a running erase."""

    erase_journal = _Under("erased", "journal.json")
    """The people of an unfinished erase; the file exists only until the erase has ended."""

    def __post_init__(self) -> None:
        refuse_name(self.root, "A store")

    def refuse_unusable(self) -> None:
        """Raises:
        StoreError: there is something at the path, or on the way to it, that is not a folder which may be read.
        """
        try:
            why = _obstacle(self.root)
            for path in (self.lock, self.warehouse, self.snapshot):
                if why is None and path.exists() and not path.is_file():
                    why = f"{path.name} in it is not a file"
        except OSError as error:
            why = str(error.strerror)
        if why is not None:
            raise StoreError(
                f"The store {_shown(self.root)} cannot be used: {why}.",
                "a folder that may be read, or a path at which a folder can be made",
                "name another folder with --store or FEATURES_STORE",
            )

    @property
    def restoring(self) -> tuple[Path, Path]:
        """Folders for the copy that a restore makes: beside the store, or inside it if it cannot be renamed."""
        root = self.root.resolve()
        return root.parent / f".{root.name}.restore", root / ".restore"

    def photo(self, sha256: str) -> Path:
        """The bytes of one photo, as received, named by their digest."""
        return self.photos / sha256[:2] / f"{sha256}.jpg"

    def embeddings(self, encoder: str) -> Path:
        return self.root / "embeddings" / _folder(encoder)

    def training_set(self, name: str, version: int) -> Path:
        return self.training_sets / name / f"v{version}"

    def picture_feature(self, name: str) -> Path:
        return self.pictures / name

    def index(self, encoder: str) -> Path:
        return self.root / "indices" / _folder(encoder)


_MOST_NAME = 255
"""Most bytes of the name of a file or folder."""


def refuse_name(folder: Path, what: str) -> None:
    """Refuse a path that DuckDB would not open as this file.

    Args:
        folder: folder for database files.
        what: name of the store or backup, for the message.

    Raises:
        StoreError: a store or backup cannot have this path.
    """
    name = str(folder)
    # DuckDB takes the text after a ? for settings, and a backslash for a slash.
    wrong = next((mark for mark in "\0?\\" if mark in name), None)
    if any(len(os.fsencode(part)) > _MOST_NAME for part in folder.parts):
        raise StoreError(
            f"{what} cannot be at {name[:60]!a}...: a name in its path is too long.",
            f"names of at most {_MOST_NAME} bytes",
            "name another folder",
        )
    if wrong is None and name.encode("utf-8", "replace") == name.encode("utf-8", "surrogateescape"):
        return
    raise StoreError(
        f"{what} cannot be at {name!a}: its path {'is not UTF-8' if wrong is None else f'contains {wrong!a}'}.",
        "a path in UTF-8, without question mark, backslash and NUL",
        "name another folder, or rename this one with mv",
    )


def _obstacle(root: Path) -> str | None:
    """Return why no folder can be at this path; None: no obstacle is visible without a write."""
    if not root.is_absolute():
        try:
            Path.cwd()
        except OSError:
            return "the working folder, from which its path starts, no longer exists"
    try:
        kind = root.stat().st_mode
    except FileNotFoundError:
        if root.is_symlink():
            return f"it is a link to {root.readlink()}, which does not exist"
        return None
    if not stat.S_ISDIR(kind):
        return "it is not a folder"
    return None if os.access(root, os.R_OK | os.X_OK) else "Permission denied"


def _shown(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _folder(encoder: str) -> str:
    """Return the folder name of an encoder: `timm:resnet50.a1` is not a valid folder name on every system."""
    return encoder.replace(":", "__").replace("/", "__")


def sync_directory(path: Path) -> None:
    """Make a rename inside `path` survive a power cut."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_filesystem(path: Path) -> None:
    """Make everything written so far on the file system of `path` durable: one call for a group of files."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if sys.platform != "linux" or ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
            os.sync()
    finally:
        os.close(fd)


def exchange(one: Path, other: Path) -> None:
    """Exchange two names, atomically if the system can; else `one` is renamed first.

    Raises:
        OSError: they are on different file systems, or one of them is a mount point.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        if libc.renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
            sync_directory(one.parent)
            sync_directory(other.parent)
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):  # a file system without this call
            raise OSError(code, os.strerror(code), str(one), None, str(other))
    between = one.with_name(f"{one.name}.between")
    one.replace(between)
    other.replace(one)
    between.replace(other)


def remove(path: Path) -> None:
    """Remove a file, or a folder with its content, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file with a temporary name, fsync and rename, so that readers see the old bytes or the new ones.

    Args:
        path: the file.
        data: its content.
        mode: permissions before the umask.

    Raises:
        StoreError: the disk is full, or the folder may not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            replacing(path) as temporary,
            open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file,
        ):
            file.write(data)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}",
            "a writable folder with free disk; finished work is kept",
            f"df -h {path.parent}, make room, and run the same command again",
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`. It replaces `path` durably at the end, or is removed after an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    finally:
        with contextlib.suppress(OSError):  # a read-only disk has no free blocks
            temporary.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

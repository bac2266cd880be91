"""Where everything lies inside a store: one frozen object, no path is spelled anywhere else."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Layout", "sync_directory", "sync_filesystem", "write_atomically"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one store. Nothing is created by naming it."""

    root: Path

    @property
    def warehouse(self) -> Path:
        """The DuckDB file of the one writer."""
        return self.root / "warehouse.duckdb"

    @property
    def snapshot(self) -> Path:
        """The read-only copy that every reader opens."""
        return self.root / "snapshot.duckdb"

    @property
    def snapshot_manifest(self) -> Path:
        return self.root / "snapshot.json"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def spill(self) -> Path:
        """DuckDB's temporary files; emptied when the writer opens."""
        return self.root / "tmp"

    @property
    def photos(self) -> Path:
        return self.root / "photos"

    @property
    def thumbnails(self) -> Path:
        """Small pictures that pages show; a cache, made again when it is gone."""
        return self.root / "thumbnails"

    @property
    def fetch(self) -> Path:
        """Journal of a download that is under way or was cut off."""
        return self.root / "fetch"

    @property
    def crawl(self) -> Path:
        """Journal of a crawl, likewise."""
        return self.root / "crawl"

    @property
    def faces(self) -> Path:
        return self.root / "faces"

    @property
    def hashes(self) -> Path:
        """Perceptual hashes of the photos."""
        return self.root / "hashes"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    def photo(self, sha256: str) -> Path:
        """The bytes of one photo, as received, named by their digest."""
        return self.photos / sha256[:2] / f"{sha256}.jpg"

    def embeddings(self, encoder: str) -> Path:
        return self.root / "embeddings" / _folder(encoder)

    def index(self, encoder: str) -> Path:
        return self.root / "indices" / _folder(encoder)


def _folder(encoder: str) -> str:
    """`timm:resnet50.a1` is a legal encoder name, not a legal folder everywhere."""
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


def write_atomically(path: Path, data: bytes) -> None:
    """Temporary name, fsync, rename: a reader sees the old bytes or the new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)

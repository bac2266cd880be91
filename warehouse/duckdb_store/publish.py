"""Publish the snapshot, and check whether its bytes are still those that were published.

Beside the snapshot lies snapshot.json, with the state of the warehouse that it copies and the SHA-256 of its bytes.
The new manifest is written before the snapshot is replaced and renamed afterwards, so that a process killed between
the two leaves the digests of both.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photogenic.warehouse.storage.layout import sha256_of, sync_directory
from photogenic.warehouse.storage.manifest import parse_object, read_limited

if TYPE_CHECKING:
    from photogenic.warehouse.storage.layout import Layout

__all__ = ["fingerprint", "is_copy", "is_modified", "publish_copy"]


def publish_copy(layout: Layout, source: Path, target: Path) -> None:
    """Copy one of the two database files over the other, atomically. The caller holds the lock."""
    temporary, manifest = layout.root / f".snapshot.{os.getpid()}.tmp", _new_manifest(layout)
    for stale in layout.root.glob(".snapshot.*.tmp"):
        stale.unlink()
    sha256 = _copy(source, temporary)
    state = fingerprint(temporary if target == layout.warehouse else layout.warehouse)
    with manifest.open("wb") as file:
        file.write(json.dumps({"warehouse": state, "sha256": sha256}).encode())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)
    sync_directory(layout.root)
    manifest.replace(layout.snapshot_manifest)
    sync_directory(layout.root)


def is_copy(layout: Layout) -> bool:
    """Whether the snapshot is a copy of the current warehouse."""
    if not layout.snapshot.exists() or not layout.warehouse.exists():
        return False
    known: bool = _read(layout.snapshot_manifest).get("warehouse") == fingerprint(layout.warehouse)
    return known


def is_modified(layout: Layout) -> bool:
    """Whether the bytes of the snapshot differ from those that were published. Reads all of them.

    Earlier versions wrote no digest: then the snapshot is compared with the warehouse, unless that has changed since.
    """
    known = {_read(path).get("sha256") for path in (layout.snapshot_manifest, _new_manifest(layout))} - {None}
    if not known and is_copy(layout):
        known = {sha256_of(layout.warehouse)}
    return bool(known) and sha256_of(layout.snapshot) not in known


def fingerprint(path: Path) -> list[int]:
    """Return numbers that every write to the file changes."""
    stat = path.stat()
    return [stat.st_ino, stat.st_size, stat.st_mtime_ns]


def _new_manifest(layout: Layout) -> Path:
    return layout.snapshot_manifest.with_name(f".{layout.snapshot_manifest.name}.tmp")


def _copy(source: Path, target: Path) -> str:
    """Copy a file and return its SHA-256, which another thread computes at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool, source.open("rb") as reader, target.open("wb") as writer:
        sha256 = pool.submit(sha256_of, source)
        while os.copy_file_range(reader.fileno(), writer.fileno(), 1 << 30):
            pass
        os.fsync(writer.fileno())
        return sha256.result()


def _read(manifest: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = parse_object(read_limited(manifest))
        if isinstance(found, dict):
            return found
    return {}

"""How the snapshot comes to be, and whether it still is what was published.

Beside the snapshot lies snapshot.json: of which state of the warehouse it is a copy, and the SHA-256 of its bytes. It
is written before the snapshot is put in place and renamed after it: a kill between the two leaves the digests of both.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photogenic.warehouse.storage.layout import sync_directory
from photogenic.warehouse.storage.manifest import contents, parsed

if TYPE_CHECKING:
    from photogenic.warehouse.storage.layout import Layout

__all__ = ["fingerprint", "is_copy", "published", "rewritten"]


def published(layout: Layout, source: Path, target: Path) -> None:
    """Copy one of the two database files over the other, atomically. The caller holds the lock."""
    temporary, manifest = layout.root / f".snapshot.{os.getpid()}.tmp", _coming(layout)
    for stale in layout.root.glob(".snapshot.*.tmp"):
        stale.unlink()
    sha256 = _copied(source, temporary)
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
    """Whether the snapshot was copied from the warehouse as it is."""
    if not layout.snapshot.exists() or not layout.warehouse.exists():
        return False
    known: bool = _read(layout.snapshot_manifest).get("warehouse") == fingerprint(layout.warehouse)
    return known


def rewritten(layout: Layout) -> bool:
    """Whether the bytes of the snapshot are others than were published. Reads all of them.

    A store of a version that wrote no digest is compared with its warehouse, if that has not changed since.
    """
    known = {_read(path).get("sha256") for path in (layout.snapshot_manifest, _coming(layout))} - {None}
    if not known and is_copy(layout):
        known = {_sha256(layout.warehouse)}
    return bool(known) and _sha256(layout.snapshot) not in known


def fingerprint(path: Path) -> list[int]:
    """Another one after every write."""
    stat = path.stat()
    return [stat.st_ino, stat.st_size, stat.st_mtime_ns]


def _coming(layout: Layout) -> Path:
    return layout.snapshot_manifest.with_name(f".{layout.snapshot_manifest.name}.tmp")


def _copied(source: Path, target: Path) -> str:
    """SHA-256 of the bytes. They are read a second time while they are copied, on another core."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool, source.open("rb") as reader, target.open("wb") as writer:
        sha256 = pool.submit(_sha256, source)
        while os.copy_file_range(reader.fileno(), writer.fileno(), 1 << 30):
            pass
        os.fsync(writer.fileno())
        return sha256.result()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(manifest: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = parsed(contents(manifest))
        if isinstance(found, dict):
            return found
    return {}

"""Find local picture files, inspect them, and copy them into the store under their SHA-256.

A bad picture is not an exception: it gets a `photos.status` from the closed list, and a detail. Pictures are processed
in groups: write all bytes to temporary files, sync; rename all, sync; store the group's results in one transaction.
A crash loses at most the work of one group, and never leaves a partial picture.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import os
import shutil
import stat
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from photogenic import sql
from photogenic._lazy import duckdb, pa
from photogenic.ingest.images import image_header
from photogenic.warehouse import Layout, Store
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.storage.layout import sync_filesystem

__all__ = ["MAX_BYTES", "Folder", "import_pictures"]

MAX_BYTES = 50 * 1024 * 1024
"""Largest size of a picture, in bytes; a larger one gets the status too_large and is not copied."""

_GROUP = 1024
_THREADS = 8


class Folder:
    """The folder that paths of pictures are relative to. Paths must not lead out of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._real = os.path.realpath(path)
        self._parents: dict[str, str] = {}

    def locate(self, path: str) -> Path | None:
        """The path of a picture, links resolved; None if it is outside of the folder."""
        parent, name = os.path.split(os.path.join(self._real, path))  # noqa: PTH118
        if parent not in self._parents:
            self._parents[parent] = os.path.realpath(parent)
        real = os.path.join(self._parents[parent], name)  # noqa: PTH118
        if name in {"", "..", "."} or os.path.islink(real):  # noqa: PTH114
            real = os.path.realpath(real)
        inside = real.startswith(self._real.rstrip(os.sep) + os.sep) and "\0" not in real
        return Path(real) if inside else None

    def outside(self, paths: Iterable[str]) -> set[str]:
        """The paths that lead out of the folder."""
        return {path for path in paths if self.locate(path) is None}


@dataclass(frozen=True, slots=True)
class _Wanted:
    photo_id: str
    path: str
    sha256: str | None
    status: str | None
    moved: bool


@dataclass(frozen=True, slots=True)
class _Finding:
    """Result of looking for one picture. `copy` is the path of the bytes until they are renamed."""

    status: str
    detail: str = ""
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    n_bytes: int | None = None
    copy: Path | None = None


def import_pictures(con: duckdb.DuckDBPyConnection, store: Store, folder: Folder, stamp: dt.datetime) -> dict[str, int]:
    """Find the pictures of the photos in the temporary table `listed` (photo_id, user_id, path).

    Pictures that were good before are skipped, unless their bytes are missing from the store. The others are copied
    into the store and written to facts.photo_files, unless the result is the same as last time.

    Returns:
        Number of pictures looked for, by status.
    """
    layout = store.layout
    wanted = [_Wanted(*row) for row in con.execute(_wanted()).fetchall()]
    wanted = [one for one in wanted if one.status != "ok" or one.moved or _is_gone(layout, one)]
    counts: Counter[str] = Counter()
    if not wanted:
        return counts
    tombstones = Tombstones(layout)
    incoming = layout.photos / ".taken"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    try:
        with (
            store.progress.stage("pictures", len(wanted), "photos") as advance,
            ThreadPoolExecutor(_THREADS, "pictures") as pool,
        ):
            for start in range(0, len(wanted), _GROUP):
                group = wanted[start : start + _GROUP]
                copies = (incoming / str(number) for number in range(len(group)))
                found = list(
                    pool.map(lambda one, copy: _find_picture(layout, folder, tombstones, one, copy), group, copies)
                )
                _save(layout, found)
                _record(con, group, found, stamp)
                counts.update(finding.status for finding in found)
                advance(len(group))
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return dict(sorted(counts.items()))


def _wanted() -> str:
    """The query of the pictures to look for, without those of deleted photos."""
    wanted, deleted = sql.read("ingest/pictures_wanted"), sql.read("features/deleted_now")
    return f"select * from ({wanted}) as wanted anti join ({deleted}) as deleted using (photo_id) order by path"


def _is_gone(layout: Layout, wanted: _Wanted) -> bool:
    """Whether the bytes of a good picture are missing from the store. Taking the picture in again repairs that."""
    return wanted.sha256 is not None and not layout.photo(wanted.sha256).exists()


def _find_picture(layout: Layout, folder: Folder, tombstones: Tombstones, wanted: _Wanted, copy: Path) -> _Finding:
    """Find one picture, and copy it if it is good."""
    path = folder.locate(wanted.path)
    if path is None:
        return _Finding("missing", "the path leads out of the images folder")
    try:
        data = _read(path)
    except FileNotFoundError:
        return _Finding("missing")
    except (OSError, ValueError) as error:
        return _Finding("unreadable", str(getattr(error, "strerror", None) or error))
    if isinstance(data, _Finding):
        return data
    sha256 = hashlib.sha256(data).hexdigest()
    if (
        sha256 == wanted.sha256
        and wanted.status is not None
        and not (wanted.status == "ok" and _is_gone(layout, wanted))
    ):
        return _Finding(wanted.status, sha256=sha256)
    if len(tombstones) and tombstones.contains("bytes", sha256):
        return _Finding("erased", "the bytes of an erased photo")
    header = image_header.inspect_file(io.BytesIO(data))
    if header.status == "ok":
        copy.write_bytes(data)
        if not header.ended:
            header = image_header.decode(copy, header)
    if header.status != "ok":
        return _Finding(header.status, header.detail, None, header.width, header.height)
    return _Finding("ok", "", sha256, header.width, header.height, len(data), copy)


def _read(path: Path) -> bytes | _Finding:
    """Read the bytes, unless it is not a file or too large. Does not block on a named pipe."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        there = os.fstat(fd)
        if not stat.S_ISREG(there.st_mode):
            return _Finding("missing", "not a file")
        if there.st_size > MAX_BYTES:
            return _Finding("too_large", f"{there.st_size:,} bytes")
        with open(fd, "rb", buffering=0, closefd=False) as file:
            return file.readall()
    finally:
        os.close(fd)


def _save(layout: Layout, found: list[_Finding]) -> None:
    """Rename the copies to their final names, durably."""
    copies = [(finding.copy, layout.photo(finding.sha256)) for finding in found if finding.copy and finding.sha256]
    if not copies:
        return
    sync_filesystem(layout.photos)
    for folder in {target.parent for _, target in copies}:
        folder.mkdir(exist_ok=True)
    for copy, target in copies:
        copy.replace(target)
    sync_filesystem(layout.photos)


def _record(con: duckdb.DuckDBPyConnection, wanted: list[_Wanted], found: list[_Finding], stamp: dt.datetime) -> None:
    """Store the results that are new. A bad result does not replace a good picture."""
    news = [
        (one.photo_id, finding)
        for one, finding in zip(wanted, found, strict=True)
        if one.status is None
        or (finding.status == "ok" and finding.sha256 != one.sha256)
        or (one.status != "ok" and (finding.status, finding.sha256) != (one.status, one.sha256))
    ]
    if not news:
        return
    rows = pa.table(
        {
            "photo_id": pa.array([photo_id for photo_id, _ in news], pa.string()),
            "sha256": pa.array([finding.sha256 for _, finding in news], pa.string()),
            "width": pa.array([finding.width for _, finding in news], pa.int32()),
            "height": pa.array([finding.height for _, finding in news], pa.int32()),
            "bytes": pa.array([finding.n_bytes for _, finding in news], pa.int64()),
            "status": pa.array([finding.status for _, finding in news], pa.string()),
            "detail": pa.array([finding.detail or None for _, finding in news], pa.string()),
        }
    )
    con.register("found", rows)
    try:
        con.execute("insert into facts.photo_files select *, $1 from found", [stamp])
    finally:
        con.unregister("found")

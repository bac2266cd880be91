"""Take in pictures: inspect them, and copy them into the store under their SHA-256.

They are files of a folder, objects of an object store, or bytes in a column of the rows. A bad picture is not an
exception: it gets a `photos.status` from the closed list, and a detail. Pictures are processed in groups: write all
bytes to temporary files, sync; rename all, sync; store the group's results in one transaction. A crash loses at most
the work of one group, and never leaves a partial picture.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from photogenic import sql
from photogenic._lazy import duckdb, pa
from photogenic.ingest.images import image_header
from photogenic.ingest.images.folders import PictureFolder, Unread
from photogenic.warehouse import Layout, NetworkError, Store
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.storage.layout import sync_filesystem

__all__ = ["import_picture_bytes", "import_pictures"]

_GROUP = 1024
_MOST_HELD = 64 << 20
"""Bytes of a column from which a group is stored, although it has fewer pictures."""

_THREADS = 8
_MOST_LOST = 8
"""Pictures lost in a row from which the server counts as gone."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A picture to look for: at a path, or in a line of a column."""

    photo_id: str
    path: str | None
    sha256: str | None
    status: str | None
    moved: bool
    line: int = 0


@dataclass(frozen=True, slots=True)
class _Finding:
    """Result of looking for one picture.

    Attributes:
        copy: path of the bytes until they are renamed.
        lost: whether the connection broke.
    """

    status: str
    detail: str = ""
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    n_bytes: int | None = None
    copy: Path | None = None
    lost: bool = False


def import_pictures(
    con: duckdb.DuckDBPyConnection, store: Store, folder: PictureFolder, stamp: dt.datetime
) -> dict[str, int]:
    """Find the pictures of the photos in the temporary table `listed` (photo_id, user_id, path).

    Pictures that were good before are skipped, unless their bytes are missing from the store. The others are copied
    into the store and written to facts.photo_files, unless the result is the same as last time.

    Returns:
        Number of pictures looked for, by status.

    Raises:
        NetworkError: the server of the folder is gone. What came before is stored; a rerun continues.
    """
    wanted = [_Wanted(*row) for row in con.execute(_wanted("pictures_wanted", "path")).fetchall()]
    wanted = [one for one in wanted if one.status != "ok" or one.moved or _is_gone(store.layout, one)]
    if not wanted:
        return {}
    losses = _Losses()

    def read(one: _Wanted) -> bytes | Unread:
        if losses.too_many:
            return Unread("unreadable", lost=True)
        return losses.count(folder.read(one.path or ""))

    with _Importer.opened(con, store, stamp, len(wanted), folder.n_threads) as importer:
        for start in range(0, len(wanted), _GROUP):
            group = wanted[start : start + _GROUP]
            found = importer.find(group, read)
            if losses.too_many:
                came = [(one, finding) for one, finding in zip(group, found, strict=True) if not finding.lost]
                importer.keep([one for one, _ in came], [finding for _, finding in came])
                raise NetworkError(
                    f"{losses.last} {sum(importer.counts.values()):,} of {len(wanted):,} pictures came before that.",
                    "a server that answers",
                    "run the same command again, which goes on with the pictures that are missing",
                )
            importer.keep(group, found)
    return importer.result()


def import_picture_bytes(
    con: duckdb.DuckDBPyConnection,
    store: Store,
    contents: Callable[[Sequence[int]], Iterator[tuple[int, bytes | Unread]]],
    stamp: dt.datetime,
    *,
    again: bool,
) -> dict[str, int]:
    """Take in the pictures of the photos in the temporary table `listed_bytes` (line, photo_id, user_id, true_from).

    Args:
        con: writing connection.
        store: the open store.
        contents: function from ascending lines to the line and bytes of each that has a picture.
        stamp: arrival of the findings.
        again: whether the rows were loaded before; then only pictures are taken in that are not good in the store.

    Returns:
        Number of pictures looked at, by status.
    """
    rows = con.execute(_wanted("picture_bytes_wanted", "line")).fetchall()
    wanted = {line: _Wanted(photo_id, None, sha256, status, False, line) for line, photo_id, sha256, status in rows}
    if again:
        wanted = {line: one for line, one in wanted.items() if one.status != "ok" or _is_gone(store.layout, one)}
    if not wanted:
        return {}
    with _Importer.opened(con, store, stamp, len(wanted), _THREADS) as importer:
        held: dict[int, bytes | Unread] = {}
        size = 0
        for line, content in contents(list(wanted)):
            held[line] = content
            size += len(content) if isinstance(content, bytes) else 0
            if len(held) == _GROUP or size >= _MOST_HELD:
                _keep_bytes(importer, wanted, held)
                held, size = {}, 0
        _keep_bytes(importer, wanted, held)
    return importer.result()


def _keep_bytes(importer: _Importer, wanted: Mapping[int, _Wanted], held: Mapping[int, bytes | Unread]) -> None:
    group = [wanted[line] for line in held]
    importer.keep(group, importer.find(group, lambda one: held[one.line]))


class _Losses:
    """Pictures that were lost in a row. It is thread-safe enough: a count that is off by one does no harm."""

    def __init__(self) -> None:
        self._n, self.last = 0, ""

    @property
    def too_many(self) -> bool:
        return self._n >= _MOST_LOST

    def count(self, found: bytes | Unread) -> bytes | Unread:
        if isinstance(found, Unread) and found.lost:
            self._n += 1
            self.last = found.detail
        elif not self.too_many:
            self._n = 0
        return found


class _Importer:
    """Store groups of pictures, and count them.

    Attributes:
        counts: pictures by status.
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, store: Store, stamp: dt.datetime, advance: Callable[[int], None]
    ) -> None:
        self._con, self._layout, self._stamp, self._advance = con, store.layout, stamp, advance
        self._tombstones = Tombstones(store.layout)
        self._incoming = store.layout.photos / ".taken"
        self._pool: ThreadPoolExecutor | None = None
        self.counts: Counter[str] = Counter()

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, con: duckdb.DuckDBPyConnection, store: Store, stamp: dt.datetime, n: int, n_threads: int
    ) -> Iterator[_Importer]:
        """Yield an importer of `n` pictures."""
        with (
            store.progress.stage("pictures", n, "photos") as advance,
            ThreadPoolExecutor(n_threads, "pictures") as pool,
        ):
            one = cls(con, store, stamp, advance)
            one._pool = pool
            shutil.rmtree(one._incoming, ignore_errors=True)
            one._incoming.mkdir(parents=True)
            try:
                yield one
            finally:
                shutil.rmtree(one._incoming, ignore_errors=True)

    def find(self, group: Sequence[_Wanted], read: Callable[[_Wanted], bytes | Unread]) -> list[_Finding]:
        """Read and inspect the pictures of a group, and copy the good ones."""
        assert self._pool is not None
        copies = (self._incoming / str(number) for number in range(len(group)))
        return list(self._pool.map(lambda one, copy: self._find(one, read(one), copy), group, copies))

    def keep(self, group: Sequence[_Wanted], found: list[_Finding]) -> None:
        """Store the pictures and results of a group."""
        _save(self._layout, found)
        _record(self._con, group, found, self._stamp)
        self.counts.update(finding.status for finding in found)
        self._advance(len(group))

    def result(self) -> dict[str, int]:
        """Number of pictures by status."""
        return dict(sorted(self.counts.items()))

    def _find(self, wanted: _Wanted, data: bytes | Unread, copy: Path) -> _Finding:
        """Inspect one picture, and copy it if it is good."""
        if isinstance(data, Unread):
            return _Finding(data.status, data.detail, lost=data.lost)
        sha256 = hashlib.sha256(data).hexdigest()
        if (
            sha256 == wanted.sha256
            and wanted.status is not None
            and not (wanted.status == "ok" and _is_gone(self._layout, wanted))
        ):
            return _Finding(wanted.status, sha256=sha256)
        if len(self._tombstones) and self._tombstones.contains("bytes", sha256):
            return _Finding("erased", "the bytes of an erased photo")
        header = image_header.inspect_file(io.BytesIO(data))
        if header.status == "ok":
            copy.write_bytes(data)
            if not header.ended:
                header = image_header.decode(copy, header)
        if header.status != "ok":
            return _Finding(header.status, header.detail, None, header.width, header.height)
        return _Finding("ok", "", sha256, header.width, header.height, len(data), copy)


def _wanted(name: str, order: str) -> str:
    """A query of the pictures to look for, without those of deleted photos."""
    wanted, deleted = sql.read(f"ingest/{name}"), sql.read("features/deleted_now")
    return f"select * from ({wanted}) as wanted anti join ({deleted}) as deleted using (photo_id) order by {order}"


def _is_gone(layout: Layout, wanted: _Wanted) -> bool:
    """Whether the bytes of a good picture are missing from the store. Taking the picture in again repairs that."""
    return wanted.sha256 is not None and not layout.photo(wanted.sha256).exists()


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


def _record(
    con: duckdb.DuckDBPyConnection, wanted: Sequence[_Wanted], found: Sequence[_Finding], stamp: dt.datetime
) -> None:
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

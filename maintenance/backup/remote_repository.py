"""A backup in an object store: the layout of a backup in a folder, with large files in parts.

    s3://bucket/backup/files/ab/<sha256>         bytes of one file, or of one part of a large file
    s3://bucket/backup/files/ab/<sha256>.parts   a large file: sizes and digests of its parts, in their order
    s3://bucket/backup/manifest.json             written last, when all that it lists is there
    s3://bucket/backup/writing/<id>              while a backup is written; renewed every minute

An object appears when all its bytes have come, so what is there is whole, and a backup that was cut off goes on at the
part where it stopped. A part that is there already is not uploaded again, also if others of its file changed.

Object stores have no locks. Each backup writes an object of its own below `writing`, and then lists them: if there is
another one, it takes its own back and waits. An object that was not renewed for fifteen minutes is that of a backup
that was killed.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime as dt
import hashlib
import json
import os
import random
import re
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from io import BufferedReader
from pathlib import Path

from photogenic.maintenance.backup.repository import Archive, Entry, Manifest, dump_manifest, parse_manifest
from photogenic.warehouse import LockedError, NetworkError, StoreError
from photogenic.warehouse.filesystems import Location, is_remote, open_location
from photogenic.warehouse.storage.manifest import checked_sha256, parse_object

__all__ = ["RemoteArchive", "open_archive"]

_PART = 64 << 20
"""Bytes of a part. Its size is that of what a broken connection costs, and of the memory that an upload takes."""

_AT_ONCE = 8
_HELD_BYTES = 4 * _PART
_MOST_MANIFEST = 4 << 30
_MOST_INDEX = 64 << 20
_RENEWED_S = 60.0
_STALE = dt.timedelta(minutes=15)
_LONG_AGO = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NAME = re.compile(r"[0-9a-f]{64}(\.parts)?")


def open_archive(folder: str | Path) -> Archive:
    """Open the backup in a folder or in an object store. Nothing is read yet.

    Raises:
        InputError: the address is of an unknown kind.
        StoreError: a backup cannot have this path.
    """
    return RemoteArchive(str(folder)) if is_remote(folder) else Archive(Path(folder))


class RemoteArchive(Archive):
    """A backup in an object store.

    Args:
        address: its address; the first backup creates what is below it.
    """

    at_once = _AT_ONCE

    def __init__(self, address: str) -> None:
        self._root = open_location(address)
        self.name = self._root.name
        self._sizes: dict[str, int] = {}
        self._uploads: list[concurrent.futures.Future[None]] = []
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None
        self._room = threading.Condition()
        self._held = 0
        self._mark, self._marked_at = self._root / "writing" / uuid.uuid4().hex, 0.0

    def read(self) -> Manifest | None:
        place = self._root / "manifest.json"
        if place.find() is None:
            return None
        return parse_manifest(place.read_bytes(_MOST_MANIFEST), place.name)

    @contextlib.contextmanager
    def writing(self, timeout_s: float) -> Iterator[Manifest | None]:
        foreign = {entry.path for entry in self._root.entries(recursive=False)} - {"manifest.json"}
        if foreign:
            raise StoreError(
                f"{self.name} holds something that is not a backup: {min(foreign)}.",
                "an empty folder of a bucket, or an earlier backup",
                "features backup s3://BUCKET/ANOTHER",
            )
        self._take_turn(timeout_s)
        try:
            former = self.read()
            self._list()
            with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
                self._pool = pool
                try:
                    yield former
                finally:
                    pool.shutdown(cancel_futures=True)
        finally:
            with contextlib.suppress(NetworkError):
                self._mark.remove()

    def stored_size(self, sha256: str, *, thorough: bool = False) -> int | None:
        if not self._sizes:
            return None
        parts = self._parts(sha256)
        if parts is None:
            return None
        if thorough:
            whole = hashlib.sha256()
            for part, n_bytes in parts:
                data = self._place(part).read_bytes(n_bytes)
                if hashlib.sha256(data).hexdigest() != part:
                    self._sizes.pop(part)
                    return None
                whole.update(data)
            if whole.hexdigest() != sha256:
                self._sizes.pop(f"{sha256}.parts", None)
                return None
        return sum(n_bytes for _, n_bytes in parts)

    def put(self, source: BufferedReader) -> Entry:
        self._renew()
        source.seek(0)
        size = os.fstat(source.fileno()).st_size
        if size <= _PART:
            data = source.read(size)
            sha256 = hashlib.sha256(data).hexdigest()
            self._upload(sha256, data)
            return Entry("", len(data), sha256)
        whole, parts, left = hashlib.sha256(), list[tuple[str, int]](), size
        while left and (data := source.read(min(_PART, left))):
            self._renew()
            whole.update(data)
            parts.append((hashlib.sha256(data).hexdigest(), len(data)))
            left -= len(data)
            if self._sizes.get(parts[-1][0]) != len(data):
                self._upload(parts[-1][0], data)
        self._wait()
        sha256 = whole.hexdigest()
        self._upload(f"{sha256}.parts", json.dumps({"parts": parts}).encode())
        return Entry("", size - left, sha256)

    def publish(self, manifest: Manifest) -> int:
        self._wait()
        marks = {entry.path for entry in (self._root / "writing").entries()}
        if self._mark.path.rpartition("/")[2] not in marks:
            raise StoreError(
                f"Another backup took the turn of this one in {self.name}.",
                "one backup at a time; the earlier backup is kept",
                "run the command again",
            )
        self._list()
        for entry in manifest.files:
            self.check(entry)
        (self._root / "manifest.json").write_bytes(dump_manifest(manifest))
        return self.sweep({entry.sha256 for entry in manifest.files})

    def sweep(self, listed: Collection[str]) -> int:
        self._wait()
        kept = set(listed)
        for sha256 in listed:
            if f"{sha256}.parts" in self._sizes:
                kept |= {f"{sha256}.parts", *(part for part, _ in self._parts(sha256) or ())}
        unneeded = [name for name in self._sizes if name not in kept]
        assert self._pool is not None
        for _ in self._pool.map(lambda name: self._place(name).remove(), unneeded):
            self._renew()
        return len(unneeded)

    def read_bytes(self, entry: Entry) -> bytes:
        self._wait()
        return b"".join(self._place(part).read_bytes(n_bytes) for part, n_bytes in self._parts(entry.sha256) or ())

    def check(self, entry: Entry) -> None:
        if not self._sizes:
            self._list()
        parts = self._parts(entry.sha256)
        if parts is None:
            raise self.damaged(entry, "is not there, or not whole")
        n_bytes = sum(n for _, n in parts)
        if n_bytes != entry.bytes:
            raise self.damaged(entry, f"has {n_bytes:,} bytes, and had {entry.bytes:,}")

    def fetch(self, entry: Entry, target: Path) -> str:
        whole = hashlib.sha256()
        with target.open("wb") as file:
            for part, n_bytes in self._parts(entry.sha256) or ():
                data = self._place(part).read_bytes(n_bytes)
                if len(data) != n_bytes:
                    raise NetworkError(
                        f"{self._place(part).name} has {len(data):,} bytes.", f"{n_bytes:,}", "try again"
                    )
                whole.update(data)
                file.write(data)
        return whole.hexdigest()

    def where(self, entry: Entry) -> str:
        return self._place(entry.sha256).name

    def _place(self, name: str) -> Location:
        return self._root / f"files/{name[:2]}/{name}"

    def _list(self) -> None:
        self._sizes = {
            name: entry.bytes
            for entry in (self._root / "files").entries()
            if _NAME.fullmatch(name := entry.path.rpartition("/")[2]) and entry.path == f"{name[:2]}/{name}"
        }

    def _parts(self, sha256: str) -> list[tuple[str, int]] | None:
        """Digests and sizes of the parts of a file, all of which are there; None: it is missing."""
        n_bytes = self._sizes.get(sha256)
        if n_bytes is not None:
            return [(sha256, n_bytes)]
        index = self._place(f"{sha256}.parts")
        if f"{sha256}.parts" not in self._sizes:
            return None
        try:
            parts = [(checked_sha256(part), int(n)) for part, n in parse_object(index.read_bytes(_MOST_INDEX))["parts"]]
        except (ValueError, KeyError, TypeError):
            return None
        whole = all(self._sizes.get(part) == n for part, n in parts)
        return parts if whole and parts else None

    def _upload(self, name: str, data: bytes) -> None:
        """Upload bytes in the background, as soon as there is room for them in memory."""
        assert self._pool is not None
        with self._room:
            while self._held and self._held + len(data) > _HELD_BYTES:
                self._room.wait()
            self._held += len(data)
        done = [future for future in self._uploads if future.done()]
        self._uploads = [future for future in self._uploads if not future.done()]
        self._uploads.append(self._pool.submit(self._upload_now, name, data))
        self._sizes[name] = len(data)
        for future in done:
            future.result()

    def _upload_now(self, name: str, data: bytes) -> None:
        try:
            self._place(name).write_bytes(data)
        finally:
            with self._room:
                self._held -= len(data)
                self._room.notify()

    def _wait(self) -> None:
        """Wait for all uploads, and raise the first error of one."""
        waiting, self._uploads = self._uploads, []
        for future in waiting:
            future.result()
            self._renew()

    def _take_turn(self, timeout_s: float) -> None:
        """Write the mark of this backup, and wait until no other one has an earlier mark.

        Raises:
            LockedError: another backup is being written here.
        """
        own, until = self._mark.path.rpartition("/")[2], time.monotonic() + timeout_s
        while True:
            self._mark.write_bytes(b"backup")
            self._marked_at = time.monotonic()
            marks = {mark.path: mark.changed_at or _LONG_AGO for mark in (self._root / "writing").entries()}
            stale = {path for path, at in marks.items() if path != own and max(marks.values()) - at > _STALE}
            if not set(marks) - stale - {own}:
                for path in stale:
                    (self._root / "writing" / path).remove()
                return
            self._mark.remove()
            if time.monotonic() > until:
                raise LockedError(
                    f"Another backup is being written to {self.name}.",
                    "one backup at a time",
                    "wait for it; one that was killed counts as ended after 15 minutes",
                )
            time.sleep(random.uniform(0.1, 1.0))

    def _renew(self) -> None:
        """Renew the mark of this backup every minute."""
        if time.monotonic() - self._marked_at > _RENEWED_S:
            self._mark.write_bytes(b"backup")
            self._marked_at = time.monotonic()

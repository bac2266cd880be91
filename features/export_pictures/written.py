"""What lies at the address of an export, and the writers of what is missing: files of many photos, or one per photo."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from photogenic._lazy import pa, pl
from photogenic.features.decoded.formats import SUFFIXES, Form, Photo, Picture, scan, suffix_of, write
from photogenic.features.decoded.manifest import INDEX_SCHEMA, SHARDS
from photogenic.features.decoded.rule import PictureRule
from photogenic.warehouse.errors import PhotogenicError
from photogenic.warehouse.filesystems import Location

__all__ = ["Held", "Pending", "PhotoFiles", "ShardFiles", "Written"]

_MOST_PHOTOS, _MOST_BYTES = 1000, 256 << 20
"""Largest file of pictures: a reader gets one at a time, and a killed export loses at most one."""

_BLOCK = 64
"""Photos that are decoded at a time."""

_OUTGOING = 16
"""Files that are written at a time."""


@dataclass(slots=True)
class Held:
    """What is at the address and valid.

    Attributes:
        rows: photo -> its row of the index.
    """

    rows: dict[Photo, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, index: pl.DataFrame, there: Mapping[str, int]) -> Held:
        """The rows of an index whose files are there."""
        names = ("photo_id", "user_id", "sha256", "width", "height")
        return cls(
            {
                Photo(*(row[name] for name in names)): row
                for row in index.iter_rows(named=True)
                if row["file"] is None or row["file"] in there
            }
        )

    def add(self, photo: Photo, picture: Picture, file: str) -> None:
        """Add a photo with its picture."""
        place = {"file": file, "place": picture.place, "n_bytes": picture.n_bytes, "crc32": picture.crc32}
        self.rows[photo] = {**asdict(photo), "status": "ok", **place}

    def leave_out(self, photo: Photo, status: str) -> None:
        """Add a photo that cannot be decoded."""
        self.rows[photo] = {
            **asdict(photo),
            "status": status,
            **dict.fromkeys(("file", "place", "n_bytes", "crc32")),
        }

    def by_file(self) -> dict[str, list[Photo]]:
        """The photos of each file."""
        found = defaultdict[str, list[Photo]](list)
        for photo, row in self.rows.items():
            if row["file"] is not None:
                found[row["file"]].append(photo)
        return found


@dataclass(frozen=True, slots=True)
class Pending:
    """Photos to write, in groups that become one file each."""

    groups: Sequence[Sequence[Photo]]

    @property
    def n(self) -> int:
        """Number of photos."""
        return sum(map(len, self.groups))


@dataclass(frozen=True, slots=True)
class Written:
    """The valid state of an address: the index, and the size of each file of pictures by its name."""

    index: pl.DataFrame
    files: dict[str, int]


class PhotoFiles:
    """One file per picture, as received: photos/ab/abcd....jpg. Photos with the same bytes share it."""

    def __init__(self, place: Location, load: Callable[[str], bytes], there: Mapping[str, int], n_threads: int) -> None:
        self._place, self._load, self._there = place, load, dict(there)
        self._n_threads = max(n_threads, _OUTGOING)

    def pending(self, photos: Sequence[Photo], held: Held) -> Pending:
        """List the photos that are not there."""
        return Pending([[photo for photo in photos if photo not in held.rows]])

    def write(self, pending: Pending, held: Held, advance: Callable[[int], None]) -> int:
        """Write them, and return the number of photos with a new file."""
        of_bytes = defaultdict[str, list[Photo]](list)
        for photo in (photo for group in pending.groups for photo in group):
            of_bytes[photo.sha256].append(photo)
        known = {row["sha256"]: row for row in held.rows.values()}
        n_written = 0
        digests = list(of_bytes)
        with ThreadPoolExecutor(self._n_threads, "pictures") as pool:
            for start in range(0, len(digests), _BLOCK):
                block = digests[start : start + _BLOCK]
                for sha256, (name, picture, is_new) in zip(
                    block, pool.map(lambda one: self._write_one(one, known.get(one)), block), strict=True
                ):
                    for photo in of_bytes[sha256]:
                        held.add(photo, picture, name)
                    n_written += is_new * len(of_bytes[sha256])
                    advance(len(of_bytes[sha256]))
        return n_written

    def valid(self, photos: Sequence[Photo], held: Held) -> Written:
        """The state for these photos."""
        return _state(photos, held, self._there)

    def _write_one(self, sha256: str, row: Mapping[str, Any] | None) -> tuple[str, Picture, bool]:
        if row is not None:
            return row["file"], Picture("", sha256, row["place"], row["n_bytes"], row["crc32"]), False
        data = self._load(sha256)
        name = f"photos/{sha256[:2]}/{sha256}{suffix_of(data)}"
        picture = Picture("", sha256, 0, len(data), zlib.crc32(data))
        if self._there.get(name) == len(data):
            return name, picture, False
        (self._place / name).write_bytes(data)
        self._there[name] = len(data)
        return name, picture, True


class ShardFiles:
    """Files of some hundred pictures each. A file with a photo that is no longer wanted is written again without it."""

    def __init__(
        self,
        place: Location,
        load: Callable[[str], bytes],
        there: Mapping[str, int],
        *,
        n_threads: int,
        form: Form,
        rule: PictureRule | None,
    ) -> None:
        self._place, self._load, self._there = place, load, dict(there)
        self._n_threads, self._form, self._rule = n_threads, form, rule
        self._size = None if rule is None else rule.size
        self._most = min(_MOST_PHOTOS, max(_MOST_BYTES // (rule.n_bytes if rule is not None else 512 << 10), 1))

    def pending(self, photos: Sequence[Photo], held: Held) -> Pending:
        """Group the photos to write: new ones, and those of files that hold others too or are not half full."""
        wanted, of_file = set(photos), held.by_file()
        sound = {file: rows for file, rows in of_file.items() if wanted.issuperset(rows)}
        fixed = {photo for rows in sound.values() for photo in rows}
        fixed |= {photo for photo, row in held.rows.items() if row["file"] is None}
        if wanted - fixed:  # small files are merged with what comes
            small = {photo for rows in sound.values() if 2 * len(rows) < self._most for photo in rows}
            fixed -= small
        left = [photo for photo in photos if photo not in fixed]
        return Pending([left[at : at + self._most] for at in range(0, len(left), self._most)])

    def write(self, pending: Pending, held: Held, advance: Callable[[int], None]) -> int:
        """Write a file for each group, and return the number of photos that were not there before."""
        n_written, before = 0, set(held.rows)
        with ThreadPoolExecutor(self._n_threads, "pictures") as pool:
            for group in pending.groups:
                name = f"{SHARDS}/pictures-{self._digest(group)}{SUFFIXES[self._form]}"
                if not self._take_found(name, group, held):
                    self._write_shard(name, group, held, pool)
                n_written += len(set(group) - before)
                advance(len(group))
        return n_written

    def valid(self, photos: Sequence[Photo], held: Held) -> Written:
        """The state for these photos."""
        return _state(photos, held, self._there)

    def _digest(self, group: Sequence[Photo]) -> str:
        facts = [self._form, None if self._rule is None else self._rule.facts(), *map(asdict, group)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def _take_found(self, name: str, group: Sequence[Photo], held: Held) -> bool:
        """Take a file that a killed export has written. False: it is not there, or is not whole."""
        if name not in self._there:
            return False
        try:
            with (self._place / name).read() as file:
                found = {picture.photo_id: picture for picture in scan(file, self._form)}
        except (OSError, ValueError, KeyError, pa.ArrowException, PhotogenicError):
            return False  # it is written again
        if any(photo.photo_id not in found or found[photo.photo_id].sha256 != photo.sha256 for photo in group):
            return False
        for photo in group:
            held.add(photo, found[photo.photo_id], name)
        return True

    def _write_shard(self, name: str, group: Sequence[Photo], held: Held, pool: ThreadPoolExecutor) -> None:
        statuses: dict[Photo, str] = {}
        contents = self._contents(group, pool, statuses)
        with tempfile.TemporaryFile() as copy:  # HDF5 goes back and forth in it
            pictures = write(copy, self._form, contents, self._size)
            size = copy.seek(0, os.SEEK_END)
            copy.seek(0)
            if pictures:
                with (self._place / name).write() as file:
                    shutil.copyfileobj(copy, file, 1 << 20)
                self._there[name] = size
        of_id = {picture.photo_id: picture for picture in pictures}
        for photo in group:
            if photo in statuses:
                held.leave_out(photo, statuses[photo])
            else:
                held.add(photo, of_id[photo.photo_id], name)

    def _contents(
        self, group: Sequence[Photo], pool: ThreadPoolExecutor, statuses: dict[Photo, str]
    ) -> Iterator[tuple[Photo, bytes]]:
        """Yield the pixels or bytes of each photo, a bounded number at a time; fill in the statuses of the others."""
        for at in range(0, len(group), _BLOCK):
            block = group[at : at + _BLOCK]
            for photo, (status, content) in zip(block, pool.map(self._content, block), strict=True):
                if content is None:
                    statuses[photo] = status
                else:
                    yield photo, content

    def _content(self, photo: Photo) -> tuple[str, bytes | None]:
        data = self._load(photo.sha256)
        if self._rule is None:
            return "ok", data
        decoded, pixels = self._rule.apply(data)
        return decoded.status, None if pixels is None else pixels.tobytes()


def _state(photos: Sequence[Photo], held: Held, sizes: Mapping[str, int]) -> Written:
    rows = [held.rows[photo] for photo in photos]
    index = pl.DataFrame(rows, schema=dict(INDEX_SCHEMA), orient="row").sort("photo_id")
    files = sorted({row["file"] for row in rows if row["file"] is not None})
    return Written(index, {name: sizes[name] for name in files})

"""A store with drawn photos, built without ingest."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from photogenic.features.compute.pipeline import ComputeReport
from photogenic.synthetic.portraits.portrait import Person, Traits, draw_portrait, encode_jpeg
from photogenic.warehouse import Database, Layout, Settings, Store


@functools.cache
def portrait(seed: int, people: int = 1, size: int = 256) -> bytes:
    """A JPEG with this number of people."""
    looks = tuple(Person(skin=(seed * 0.37 + i * 0.2) % 1, hair=(seed * 0.61) % 1) for i in range(people))
    traits = Traits(people=looks, smile=(seed * 0.29) % 1, hue=(seed * 0.17) % 1)
    return encode_jpeg(draw_portrait(traits, seed, size))


class Gallery:
    """A store with photos; `put` replaces their bytes, as a later ingest does."""

    report: ComputeReport
    """Report of the build that a fixture ran."""

    def __init__(self, root: Path, photos: Mapping[str, bytes] | None = None, threads: int = 2) -> None:
        self.layout = Layout(root)
        self.db = Database(self.layout, Settings(memory_limit="500MB", threads=threads))
        self.store = Store(self.db)
        self._now = dt.datetime(2024, 1, 1)
        self.put(photos or {})

    def put(self, photos: Mapping[str, bytes]) -> None:
        self._now += dt.timedelta(days=1)
        rows = []
        for photo_id, data in photos.items():
            digest = hashlib.sha256(data).hexdigest()
            path = self.layout.photo(digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            rows.append((photo_id, f"user of {photo_id}", digest, len(data)))
        new = pl.DataFrame(rows, ["photo_id", "user_id", "sha256", "bytes"], orient="row")
        with self.db.write("test") as con:
            if rows:
                con.register("new", new.to_arrow())
                con.begin()
                con.execute(
                    "insert into facts.photos (photo_id, user_id, ingested_at) select photo_id, user_id, $1 from new",
                    [self._now],
                )
                con.execute(
                    "insert into facts.photo_files select photo_id, sha256, 256, 256, bytes, 'ok', null, $1 from new",
                    [self._now],
                )
                con.commit()

    def drop(self, photo_id: str) -> None:
        with self.db.write("test") as con:
            con.execute("delete from facts.photos where photo_id = $1", [photo_id])
            con.execute("delete from facts.photo_files where photo_id = $1", [photo_id])

    def sql(self, query: str) -> list[tuple[object, ...]]:
        with self.db.read() as con:
            return con.execute(query).fetchall()

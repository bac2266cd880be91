"""The newest snapshot, held open, with a table of its photos in memory; followed when a newer one is published.

A request takes the snapshot that is there when it begins and keeps it to its end, so what one answer says is true
at one instant. The next request may see a newer one.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Callable, Hashable
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import duckdb, pl
from photogenic.warehouse import Database, PhotogenicError

__all__ = ["Follower", "Snapshot"]

_log = logging.getLogger(__name__)
_EVERY_S = 1.0
_KEPT = 16
"""Orders of photos, and predictions of runs, that a snapshot keeps."""


class Snapshot:
    """One snapshot. May be shared between threads.

    Attributes:
        relations: those that exist, computed or not.
        photos: every photo with its label (queries/photos.sql), sorted by photo_id.
        runs: rows of `runs`, newest first.
        published_at: naive, UTC.
    """

    def __init__(self, db: Database) -> None:
        self.key = _key(db)
        self._con = db.open_snapshot()
        self._kept: dict[Hashable, pl.DataFrame] = {}
        self.published_at = dt.datetime.fromtimestamp(self.key[1] / 1e9, dt.UTC).replace(tzinfo=None)
        there = self.ask("select table_name from information_schema.tables where table_schema = 'main'")
        self.relations: frozenset[str] = frozenset(there["table_name"])
        name = "photos" if {"photo_labels", "photo_setups"} <= self.relations else "unlabelled"
        self.photos = self.asked(name)
        self._places = {photo_id: row for row, photo_id in enumerate(self.photos["photo_id"])}
        names = ("source", "like_ratio", "weight", "popular", "percentile")
        self._labels = [
            self.photos[name].to_numpy() for name in names
        ]  # a hundred rows: a tenth of the time of a frame
        self.runs: list[dict[str, Any]] = self.ask("from runs order by created_at desc, run_id").to_dicts()

    def ask(self, query: str, values: dict[str, Any] | None = None) -> pl.DataFrame:
        """The answer to a query of ours."""
        cursor = self._con.cursor()
        cursor.execute("use store")
        frame: pl.DataFrame = cursor.sql(query, params=values or None).pl()
        return frame

    def asked(self, name: str, values: dict[str, Any] | None = None) -> pl.DataFrame:
        """The answer to `queries/NAME.sql`."""
        return self.ask(files(__package__).joinpath(f"queries/{name}.sql").read_text(encoding="utf-8"), values)

    def rows(self, photo_ids: list[str]) -> NDArray[np.int64]:
        """Of each photo its row in `photos`; -1 where there is none. int64 (len(photo_ids),)."""
        place = self._places.get
        return np.fromiter((place(photo_id, -1) for photo_id in photo_ids), np.int64, len(photo_ids))

    def photo(self, photo_id: str) -> dict[str, Any] | None:
        """What `photos` says of one; None where nobody knows it."""
        (row,) = self.rows([photo_id])
        return None if row < 0 else self.photos.row(int(row), named=True)

    def labels(self, rows: NDArray[np.int64]) -> list[dict[str, Any] | None]:
        """Of photos by their rows: source, value, weight, popular, percentile; None for one without a label."""
        columns = (column[rows].tolist() for column in self._labels)
        return [
            None
            if source is None
            else {
                "source": source,
                "value": value,
                "weight": weight,
                "popular": bool(popular),
                "percentile": percentile,
            }
            for source, value, weight, popular, percentile in zip(*columns, strict=True)
        ]

    def label(self, photo_id: str) -> dict[str, Any] | None:
        """The label of one photo; None where it has none, or nobody knows it."""
        row = self.rows([photo_id])
        return None if row[0] < 0 else self.labels(row)[0]

    def predictions(self, run_id: str) -> pl.DataFrame:
        """photo_id and prediction of a run."""
        query = "select photo_id, prediction from predictions where run_id = $run"
        return self.kept(("predictions", run_id), lambda: self.ask(query, {"run": run_id}))

    def kept(self, key: Hashable, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """What was made for this key before, while it is among the last that were asked for."""
        frame = self._kept.pop(key, None)
        self._kept[key] = made = make() if frame is None else frame
        while len(self._kept) > _KEPT:
            self._kept.pop(next(iter(self._kept)), None)
        return made

    def close(self) -> None:
        self._con.close()


class Follower:
    """Keeps `current` the newest snapshot."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.current = Snapshot(db)

    async def watch(self) -> AsyncIterator[Snapshot]:
        """Look every second, for ever. A newer snapshot becomes the current one when it is ready."""
        while True:
            await asyncio.sleep(_EVERY_S)
            if _key(self._db) == self.current.key:
                continue
            try:
                self.current = await asyncio.to_thread(Snapshot, self._db)
            except (PhotogenicError, duckdb.Error, OSError) as error:  # the one that is there stays
                _log.warning("The new snapshot cannot be read: %s", error)
            else:
                yield self.current


def _key(db: Database) -> tuple[int, int]:
    try:
        stat = db.layout.snapshot.stat()
    except FileNotFoundError:
        return 0, 0
    return stat.st_ino, stat.st_mtime_ns

"""The newest snapshot of a store, with a table of its photos in memory, and its replacement by a newer one.

A request uses the snapshot that is current when the request begins, so that an answer is consistent. The next request
may use a newer snapshot.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import duckdb, pl
from photogenic.app.serve.http.errors import ApiError, to_api_error
from photogenic.app.serve.http.limits import Limits
from photogenic.warehouse import Database, PhotogenicError
from photogenic.warehouse.catalog import catalog_of
from photogenic.warehouse.duckdb_store.outdated import require_current
from photogenic.warehouse.labels.past import PLAIN, open_moments
from photogenic.warehouse.moment import Moment, Moments

__all__ = ["Follower", "Snapshot"]

_log = logging.getLogger(__name__)
_EVERY_S = 1.0
_PAST = 2
"""Largest number of moments that stay open."""

_KEPT = 16
"""Largest number of sorted photo tables and predictions in the cache of a snapshot."""


class Snapshot:
    """One snapshot. Safe to share between threads.

    Attributes:
        relations: Names of the relations in the snapshot.
        catalog: The relations of the store, with those of the user's own.
        photos: All photos with their labels (queries/photos.sql), sorted by photo_id.
        runs: Rows of `runs`, newest first.
        published_at: Time of publication, naive, in UTC.
        clock: as_of and known_at of the relations; 9999-12-31: everything.
        moment: Moment of the relations, in words; empty: everything.
        moments: The moment that a request asked for; empty: none, so that relations are the published ones.
        notes: Why relations of the moment are empty.
    """

    def __init__(self, db: Database, moments: Moments | None = None, limits: Limits | None = None) -> None:
        self.key, self.moments, self.notes = _key(db), moments or Moments(), list[str]()
        if self.moments:
            memory, seconds = (limits.sql_memory, limits.sql_s) if limits is not None else (None, None)
            self._con, reasons = open_moments(db, self.moments, None, memory_limit=memory, limit_s=seconds)
            self.notes = list(reasons.values())[:1]
        else:
            self._con = db.open_snapshot()
        self._base = PLAIN if self.moments else "store"
        self._kept: dict[Hashable, pl.DataFrame] = {}
        self.published_at = dt.datetime.fromtimestamp(self.key[1] / 1e9, dt.UTC).replace(tzinfo=None)
        tables = self.query(
            "select table_name from information_schema.tables where table_schema = 'main'"
            " and table_catalog = current_database()"
        )
        self.relations: frozenset[str] = frozenset(tables["table_name"])
        with self._con.cursor() as cursor:
            cursor.execute(f"use {self._base}")
            self.catalog = db.with_added(catalog_of(cursor))
        name = "photos" if {"photo_labels", "photo_setups"} <= self.relations else "unlabelled"
        self.photos = self.query_file(name)
        self._places = {photo_id: row for row, photo_id in enumerate(self.photos["photo_id"])}
        names = ("source", "like_ratio", "weight", "popular", "percentile")
        self._labels = [
            self.photos[name].to_numpy() for name in names
        ]  # for a hundred rows ten times faster than a frame
        ((as_of, known_at),) = self.query("select as_of, known_at from clock").rows()
        self.clock: tuple[dt.datetime, dt.datetime] = as_of, known_at
        moment = Moment(as_of, known_at)
        self.moment = str(moment) if moment.is_limited or self.moments else ""
        self.runs: list[dict[str, Any]] = self.query("from runs order by created_at desc, run_id").to_dicts()

    @property
    def said(self) -> dict[str, Any]:
        """What an answer says about the moment that was asked for."""
        return {"moment": self.moment, "notes": self.notes} if self.moments else {}

    @property
    def has_labels(self) -> bool:
        """Whether there are labels. A past moment may have none although the store was built."""
        return bool(self.moments) or self.photos["source"].null_count() < len(self.photos)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Open a cursor on its relations, for trusted queries."""
        cursor = self._con.cursor()
        cursor.execute(f"use {self._base}")
        return cursor

    def query(self, query: str, values: dict[str, Any] | None = None) -> pl.DataFrame:
        """Run a trusted query.

        Raises:
            StoreError: an older version computed the relations, and they lack what the query reads.
        """
        cursor = self.cursor()
        try:
            frame: pl.DataFrame = cursor.sql(query, params=values or None).pl()
        except (duckdb.CatalogException, duckdb.BinderException):
            require_current(cursor)
            raise
        return frame

    def query_file(self, name: str, values: dict[str, Any] | None = None) -> pl.DataFrame:
        """Run `queries/NAME.sql`."""
        return self.query(files(__package__).joinpath(f"queries/{name}.sql").read_text(encoding="utf-8"), values)

    def rows(self, photo_ids: list[str]) -> NDArray[np.int64]:
        """Return the row of each photo in `photos`, or -1 for unknown photos: int64 (len(photo_ids),)."""
        place = self._places.get
        return np.fromiter((place(photo_id, -1) for photo_id in photo_ids), np.int64, len(photo_ids))

    def photo(self, photo_id: str) -> dict[str, Any] | None:
        """Return the row of one photo, or None if the photo is unknown."""
        (row,) = self.rows([photo_id])
        return None if row < 0 else self.photos.row(int(row), named=True)

    def deleted_at(self, photo_id: str) -> dt.datetime | None:
        """Return when a photo was deleted; None: it was not, or is unknown."""
        found = self.query("select deleted_at from deleted_photos where photo_id = $id", {"id": photo_id})
        return found.item() if len(found) else None

    def labels(self, rows: NDArray[np.int64]) -> list[dict[str, Any] | None]:
        """Return source, value, weight, popular and percentile of photos by row; None for a photo without a label."""
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
        """Return the label of one photo, or None if it has no label or is unknown."""
        row = self.rows([photo_id])
        return None if row[0] < 0 else self.labels(row)[0]

    def predictions(self, run_id: str) -> pl.DataFrame:
        """Return photo_id and prediction of a run."""
        query = "select photo_id, prediction from predictions where run_id = $run"
        return self.cached(("predictions", run_id), lambda: self.query(query, {"run": run_id}))

    def cached(self, key: Hashable, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """Return the cached frame of a key, or make it. The least recently used frames are dropped."""
        frame = self._kept.pop(key, None)
        self._kept[key] = made = make() if frame is None else frame
        while len(self._kept) > _KEPT:
            self._kept.pop(next(iter(self._kept)), None)
        return made

    def close(self) -> None:
        self._con.close()


class Follower:
    """Keep the newest snapshot of a store as `current`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.current = Snapshot(db)
        self._past: OrderedDict[tuple[tuple[int, int], Moments], Snapshot] = OrderedDict()
        self._turn = asyncio.Lock()
        self._n_waiting = 0

    async def at(self, moments: Moments, limits: Limits) -> Snapshot:
        """Return the snapshot as of a moment. The last few are kept; others are computed one after the other.

        Raises:
            ApiError: Too many wait, or the computation exceeds a limit.
        """
        if not moments:
            return self.current
        if (held := self._past.get((self.current.key, moments))) is not None:
            self._past.move_to_end((self.current.key, moments))
            return held
        if self._n_waiting >= limits.sql_waiting:
            raise ApiError("busy", "Too many requests are waiting.", "try again in a moment", {"Retry-After": "2"})
        self._n_waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._n_waiting -= 1
        # The turn ends with the computation, not with the request: a client that has gone does not stop a thread.
        opening = asyncio.ensure_future(self._open(moments, limits))
        opening.add_done_callback(self._end_turn)
        return await asyncio.shield(opening)

    async def _open(self, moments: Moments, limits: Limits) -> Snapshot:
        key = (self.current.key, moments)
        found = self._past.pop(key, None)
        if found is None:
            found = await asyncio.to_thread(_opened, self._db, moments, limits)
        self._past[key] = found
        for old in [old for old in self._past if old[0] != key[0]]:
            self._past.pop(old)
        while len(self._past) > _PAST:
            self._past.popitem(last=False)
        return found

    def _end_turn(self, opening: asyncio.Future[Snapshot]) -> None:
        self._turn.release()
        if not opening.cancelled():
            opening.exception()  # nobody may be left who awaits it

    async def watch(self) -> AsyncIterator[Snapshot]:
        """Check every second for a newer snapshot, and make it current once it is loaded."""
        while True:
            await asyncio.sleep(_EVERY_S)
            if _key(self._db) == self.current.key:
                continue
            try:
                self.current = await asyncio.to_thread(Snapshot, self._db)
            except (PhotogenicError, duckdb.Error, OSError) as error:  # the current snapshot is kept
                _log.warning("The new snapshot cannot be read: %s", error)
            else:
                self._past.clear()
                yield self.current


def _opened(db: Database, moments: Moments, limits: Limits) -> Snapshot:
    try:
        return Snapshot(db, moments, limits)
    except duckdb.InterruptException as error:
        raise ApiError(
            "time_limit",
            f"The relations {moments} were not computed within {limits.sql_s:g} s.",
            "features sql --as-of, which has no limit",
        ) from error
    except PhotogenicError as error:
        raise to_api_error(error) from error


def _key(db: Database) -> tuple[int, int]:
    try:
        stat = db.layout.snapshot.stat()
    except FileNotFoundError:
        return 0, 0
    return stat.st_ino, stat.st_mtime_ns

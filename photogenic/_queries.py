"""The methods of `FeatureStore` that answer SQL, also of other moments and with tables of the user's own."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photogenic._lazy import pl
from photogenic.warehouse import Database, Store
from photogenic.warehouse.moment import EmptyMomentWarning

if TYPE_CHECKING:
    from photogenic.notebook.shown_frame import ShownFrame
    from photogenic.notebook.widget import PhotoBrowser
    from photogenic.warehouse.duckdb_store.parameters import Parameters
    from photogenic.warehouse.duckdb_store.query import Cursor
    from photogenic.warehouse.labels.past import Past
    from photogenic.warehouse.moment import Instants

    Attach = Mapping[str, str | Path] | Sequence[str | Path] | str | Path

__all__ = ["Queries"]


class Queries:
    """Base class of `FeatureStore`, which opens the store.

    Attributes:
        store: open store.
    """

    store: Store
    _past: Past | None
    _is_silent: bool

    def sql(
        self,
        query: str,
        params: Parameters | None = None,
        *,
        limit: int | None = None,
        as_of: Instants | None = None,
        known_at: Instants | None = None,
        frames: Mapping[str, Any] | None = None,
        attach: Attach | None = None,
    ) -> pl.DataFrame:
        """Return the result of one SELECT on the published snapshot, or as of other moments.

        Args:
            query: one statement that reads.
            params: values of its parameters: a dictionary for `$name`, a list for `?`.
            limit: largest number of rows to return.
            as_of: only what had happened before this instant; a dictionary gives instants by name, so that
                `{"jan": "2024-01-31"}` is for `from jan.photo_labels`. None: the published relations.
            known_at: only what had arrived before this instant, or instants by name. None: everything.
            frames: tables of your own by name, for `from photo_labels join meta using (photo_id)`: frames of polars,
                pandas and Arrow, lists of dictionaries, and paths of files. They are read where they lie.
            attach: DuckDB files, read-only: `"other.duckdb"` for `from other.TABLE`, or files by name.

        Raises:
            InputError: an instant, a name, a frame or a file cannot be used.
            LockedError: a program writes to an attached file.
            QueryError: DuckDB refuses the query, or a parameter does not fit.
            StoreError: there is no store.
        """
        from photogenic.warehouse.duckdb_store.query import sql

        with self.joined(frames, attach, as_of=as_of, known_at=known_at) as db:
            return sql(db, query, params, limit=limit)

    @contextlib.contextmanager
    def stream(
        self,
        query: str,
        params: Parameters | None = None,
        *,
        limit: int | None = None,
        as_of: Instants | None = None,
        known_at: Instants | None = None,
        frames: Mapping[str, Any] | None = None,
        attach: Attach | None = None,
    ) -> Iterator[Cursor]:
        """Return the result of one SELECT row by row, for results larger than memory; the rest is as in `sql`."""
        from photogenic.warehouse.duckdb_store.query import stream

        with (
            self.joined(frames, attach, as_of=as_of, known_at=known_at) as db,
            stream(db, query, params, limit=limit) as cursor,
        ):
            yield cursor

    @contextlib.contextmanager
    def joined(
        self,
        frames: Mapping[str, Any] | None = None,
        attach: Attach | None = None,
        *,
        as_of: Instants | None = None,
        known_at: Instants | None = None,
    ) -> Iterator[Database]:
        """Open the database, with tables of your own beside it, for several queries; arguments as in `sql`."""
        database = self.at(as_of, known_at).database
        if not frames and not attach:
            yield database
            return
        from photogenic.ingest.given_tables.opening import opened_tables
        from photogenic.warehouse.given_tables.attached import attached_files
        from photogenic.warehouse.given_tables.joined import joined

        with (
            opened_tables(frames, database.settings) as tables,
            joined(database, tables, attached_files(attach)) as opened,
        ):
            yield opened

    def show(self, frame: Any, *, rows: int = 20) -> ShownFrame:
        """Return a frame that a notebook shows with thumbnails. See `notebook.shown_frame.show`."""
        from photogenic.notebook.shown_frame import show

        return show(self, frame, rows=rows)

    def browse(self, frame: Any, *, captions: str | Sequence[str] | None = None) -> PhotoBrowser:
        """Return a widget that scrolls through the photos of a frame and selects some. See `notebook.widget.browse`."""
        from photogenic.notebook.widget import browse

        return browse(self, frame, captions=captions)

    @property
    def snapshot_path(self) -> Path:
        """The DuckDB file that any program may open read-only: `duckdb.connect(store.snapshot_path, read_only=True)`.

        Raises:
            StoreError: there is no store.
        """
        self.store.database.require()
        return self.store.layout.snapshot.absolute()

    def at(self, as_of: Instants | None = None, known_at: Instants | None = None) -> Store:
        """Return the open store as of other moments, for functions that read; without one, the store of now."""
        if as_of is None and known_at is None:
            return self.store
        from photogenic.warehouse.labels.past import Past
        from photogenic.warehouse.moment import Moments

        if self._past is None:
            self._past = Past(self.store.database, self._say)
        return replace(self.store, database=self._past.database(Moments.of(as_of, known_at)))

    def _say(self, note: str) -> None:
        """Give a note about an answer to the progress callback; without one, warn."""
        if self._is_silent:
            warnings.warn(note, EmptyMomentWarning, stacklevel=4)
        self.store.progress.note(note)

"""Read a query of a database above a watermark, in pieces: each is loaded in a transaction with its position.

One query reads all pieces, so that they are of one state of the database. A piece lies in the store's temporary folder
until it is loaded; the next one is read meanwhile, so that there are at most two.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime as dt
import difflib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from photogenic._lazy import pa, pc
from photogenic.ingest.databases import database
from photogenic.ingest.readers.input_files import InputFile, Spool
from photogenic.ingest.sync import watermark as marks
from photogenic.ingest.sync.progress import Progress
from photogenic.ingest.sync.source import SyncSource
from photogenic.ingest.sync.watermark import Watermark
from photogenic.warehouse import InputError

__all__ = ["PIECE_BYTES", "PIECE_ROWS", "QueryReader"]

PIECE_ROWS = 2_000_000
PIECE_BYTES = 512 << 20
"""Size of a piece: a killed command loses at most what it had of one, and no more lies on the disk."""


class QueryReader:
    """The rows of one source above its position.

    Args:
        source: the source; it has a query.
        progress: its position.
        now: the current time, naive UTC.
        may_go_back: whether the position follows a newest watermark that went back.

    Attributes:
        name: the database, without secrets.
        notes: what the account says besides the counts; filled while rows are read.
        progress: position after the pieces that were handed out.
    """

    def __init__(self, source: SyncSource, progress: Progress, now: dt.datetime, *, may_go_back: bool = False) -> None:
        [address] = source.addresses
        self._may_go_back = may_go_back
        self._source, self._address, self._now = source, address, now
        self.progress, self.notes = progress, list[str]()
        self.name = database.printable(address)
        self._query = database.select_of(source.query, self.name)

    def pieces(self, spill: Path) -> Iterator[InputFile]:
        """Yield the pieces in order. Each exists until the next one is asked for, which is read meanwhile.

        Args:
            spill: folder for temporary files.

        Raises:
            InputError: the database cannot be read, or the watermark cannot be used.
        """
        pieces = self._read(spill)
        with concurrent.futures.ThreadPoolExecutor(1, "photogenic-sync") as pool:
            coming = pool.submit(next, pieces, None)
            try:
                while (piece := coming.result()) is not None:
                    file, spool = piece
                    coming = pool.submit(next, pieces, None)
                    with spool:
                        yield file
            finally:
                if not coming.cancel() and coming.exception() is None and (left := coming.result()) is not None:
                    left[1].close()
                pool.submit(pieces.close).result()

    def _read(self, spill: Path) -> Generator[tuple[InputFile, Spool]]:
        """Read the pieces, each with the spool that holds it, which the receiver closes."""
        source, column = self._source, self._source.watermark
        before = self.progress.watermark
        query = self._query if column is None else marks.rows_since(self._query, column, self._bound())
        n_rows = n_late = 0
        with database.open_batches(self._address, query) as reading:
            if column is not None:
                _check_column(reading.schema, column)
            batches = filter(len, reading.batches)
            head = next(batches, None)
            while head is not None:
                with contextlib.ExitStack() as held:
                    spool = held.enter_context(Spool(spill))
                    part = _Part(head, batches)
                    path = spool.table(pa.RecordBatchReader.from_batches(reading.schema, part), self.name)
                    n_rows += part.n_rows
                    head = part.following
                    if column is not None:
                        self._advance(part.last.column(column)[-1], column)
                        n_late += self._count_late(part, column)
                    positions = (self.progress.whole(),) if column is not None else ()
                    file = InputFile(
                        path, f"{source.name}: {self.name}", reading.folder, is_stream=True, positions=positions
                    )
                    held.pop_all()
                yield file, spool
            self.notes += reading.notes
        if n_late:
            self.notes.append(f"{n_late:,} rows have a watermark later than now: they are read again until then")
        if column is not None:
            self._look_around(column, before if not n_rows else None)

    def count(self) -> int:
        """Number of rows that `pieces` would read."""
        column = self._source.watermark
        if column is None:
            query = f"select count(*) as n from (\n{self._query}\n) as source"
        else:
            query = marks.count_since(self._query, column, self._bound())
        n_rows = int(self._value(query))
        if column is not None:
            self._look_around(column, self.progress.watermark if not n_rows else None)
        return n_rows

    def _bound(self) -> Watermark | None:
        held = self.progress.watermark
        return held.since(self._source.lookback) if held is not None else None

    def _advance(self, last: Any, column: str) -> None:
        """Move the position to the last row of a piece."""
        found, held = Watermark.of(last, column, self._now), self.progress.watermark
        found.since(self._source.lookback)  # a lookback of another type is refused before rows are loaded
        if held is not None and held.type != found.type:
            raise InputError(
                f"The watermark {column!r} of {self._source.name} is a {found.type}, and its position a {held.type}.",
                "the type of then, or all rows again",
                f"features sync {self._source.name} --from-start {self._source.name}",
            )
        self.progress = self.progress.at(_later(held, found))

    def _count_late(self, part: _Part, column: str) -> int:
        """Number of rows of the last batch of a piece whose watermark is later than now."""
        values = part.last.column(column)
        if not pa.types.is_timestamp(values.type):
            return 0
        limit = pa.scalar(self._now.replace(tzinfo=dt.UTC) if values.type.tz else self._now).cast(values.type)
        return pc.sum(pc.greater(values, limit)).as_py() or 0

    def _look_around(self, column: str, before: Watermark | None) -> None:
        """Count rows without a watermark, and refuse a source whose newest one is older than the position.

        Args:
            column: the watermark.
            before: the position, if no row was found from there on.

        Raises:
            InputError: the newest watermark went back.
        """
        n_missing = int(self._value(marks.count_missing(self._query, column)))
        if n_missing:
            self.notes.append(f"{n_missing:,} rows without a {column} were not read: coalesce it in the query")
        if before is None:
            return
        name = self._source.name
        with database.open_batches(self._address, marks.newest(self._query, column)) as reading:
            found = [batch.column(0)[0] for batch in reading.batches if len(batch)]
        if not found:
            self.notes.append("the query has no rows")
            return
        newest = Watermark.of(found[0], column, self._now)
        if self._may_go_back:
            self.progress = self.progress.at(newest)
            return
        raise InputError(
            f"The newest {column} of {name} is {newest.value}, far below its position, {before.value}.",
            "a watermark that grows; after a restore of the database, new rows below the position would be missed",
            f"features sync {name} --from-start {name}; or --keep-position {name}, if only rows were deleted",
        )

    def _value(self, query: str) -> Any:
        with database.open_batches(self._address, query) as reading:
            [value] = [batch.column(0)[0].as_py() for batch in reading.batches if len(batch)]
        return value


class _Part:
    """The batches of one piece, to be read once.

    Attributes:
        n_rows: number of rows handed out.
        last: last batch of the piece.
        following: first batch after the piece; None: the result has ended.
    """

    def __init__(self, head: pa.RecordBatch, batches: Iterator[pa.RecordBatch]) -> None:
        self.n_rows, self.last = 0, head
        self.following: pa.RecordBatch | None = head
        self._batches, self._n_bytes = batches, 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while self.following is not None and self.n_rows < PIECE_ROWS and self._n_bytes < PIECE_BYTES:
            self.last = self.following
            self.n_rows += len(self.last)
            self._n_bytes += self.last.nbytes
            yield self.last
            self.following = next(self._batches, None)


def _later(held: Watermark | None, found: Watermark) -> Watermark:
    """The later one of two watermarks; texts are in the order of the database, so that the found one counts."""
    if held is None or found.type == "text":
        return found
    if found.type == "number":
        return max(held, found, key=lambda mark: int(mark.value))
    return max(held, found, key=lambda mark: mark.instant or dt.datetime.min)


def _check_column(schema: pa.Schema, column: str) -> None:
    """Refuse a watermark that is no column of the result: SQLite takes an unknown name for a text.

    Raises:
        InputError: there is none of this name, or several.
    """
    n = schema.names.count(column)
    if n != 1:
        near = difflib.get_close_matches(column, schema.names, 1) or schema.names[:1]
        raise InputError(
            f"The query has {'no column' if not n else f'{n} columns'} {column!r}, which is its watermark.",
            f"one of {', '.join(schema.names[:20])}",
            f'watermark = "{near[0]}"',
        )

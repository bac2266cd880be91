"""When rows arrived: the option of an ingest, and the time of arrival of each file."""

from __future__ import annotations

import datetime as dt

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.ingest.readers.input_files import shell_quoted
from photogenic.ingest.tabular.mapping_file import FileMapping
from photogenic.warehouse import InputError
from photogenic.warehouse.moment import Instant, Moment

__all__ = ["Arrivals", "arrival_of", "utc"]

_FIRST = dt.datetime(1900, 1, 1)
"""No earlier time is accepted."""


class Arrivals:
    """`ingested_at` of each file: now, but later than everything stored, so that there is one newest version.

    Attributes:
        now: time of the ingest.
        last: the newest time of arrival so far. The base tables are asked for it once.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, now: dt.datetime) -> None:
        self.con, self.now = con, now
        self._last: dt.datetime | None = None

    @property
    def last(self) -> dt.datetime:
        return self._last or self.now

    def next(self) -> dt.datetime:
        """Return the time of arrival of the next file."""
        if self._last is None:
            [(last,)] = self.con.execute(sql.read("ingest/last_stamp")).fetchall()
        else:
            last = self._last
        self._last = self.now if last is None else max(self.now, last + dt.timedelta(microseconds=1))
        return self._last


def arrival_of(
    mapping: FileMapping, arrived_at: Instant | None, now: dt.datetime
) -> tuple[FileMapping, dt.datetime | None]:
    """The mapping, and the arrival of all rows: `arrived_at` is an instant, or the name of a column.

    Raises:
        InputError: the instant is later than now or before 1900, or the column is mapped as well.
    """
    if arrived_at is None:
        return mapping, None
    column = mapping.columns.get("ingested_at")
    if column is not None and column != arrived_at:
        raise InputError(
            f"The arrival is said twice: by --arrived-at {arrived_at} and by --map ingested_at={column}.",
            "one of them",
            f"--arrived-at {shell_quoted(column)}",
        )
    try:
        instant = Moment.of(known_at=arrived_at).known_at
    except InputError:
        if not isinstance(arrived_at, str) or not arrived_at.strip():
            raise InputError(
                f"The arrival is {arrived_at!r}.",
                "an instant that has passed, or the name of a column",
                f"--arrived-at {now:%Y-%m-%dT%H:%M:%SZ}",
            ) from None
        return mapping | FileMapping({"ingested_at": arrived_at}), None
    if instant < _FIRST:
        raise InputError(
            f"The arrival {instant}Z is before {_FIRST:%Y}.",
            "an instant that has passed, as in the column ingested_at",
            f"--arrived-at {now:%Y-%m-%dT%H:%M:%SZ}",
        )
    if instant > now:
        raise InputError(
            f"The arrival {instant}Z is later than now, {now:%Y-%m-%d %H:%M:%S}Z.",
            "an instant that has passed; naive times are UTC",
            f"--arrived-at {now:%Y-%m-%dT%H:%M:%SZ}",
        )
    return mapping, instant


def utc(now: dt.datetime | None) -> dt.datetime:
    """Naive, UTC."""
    if now is None or now.tzinfo is not None:
        now = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
    return now.replace(tzinfo=None)

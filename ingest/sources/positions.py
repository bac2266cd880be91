"""How far a source has been read. A position is written in the transaction of the rows that it counts."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from photogenic._lazy import duckdb
from photogenic.warehouse.errors import StoreError

__all__ = ["Position", "check_positions", "read_positions", "write_positions"]


@dataclass(frozen=True, slots=True)
class Position:
    """A position in one part of a source.

    Attributes:
        source: name of the source in `photogenic.toml`, or address of a stream, without secrets.
        part: object of a listing, partition of a stream; empty: the source is one.
        value: JSON value: newest value of the watermark, state of an object, next offset.
        former: JSON value that it replaces; None: any.
    """

    source: str
    part: str
    value: Any
    former: Any = None


def read_positions(con: duckdb.DuckDBPyConnection, source: str) -> dict[str, Any]:
    """Return the value of each part of a source, by part."""
    rows = con.execute("select part, position from facts.source_positions where source = $1", [source]).fetchall()
    return {part: json.loads(value) for part, value in rows}


def check_positions(con: duckdb.DuckDBPyConnection, positions: Iterable[Position]) -> None:
    """Check that the store stands where the rows of these positions begin.

    Args:
        con: connection.
        positions: the new positions.

    Raises:
        StoreError: another position is there than the one to replace: the rows would leave a gap, or come twice.
    """
    for at in positions:
        if at.former is not None and (held := read_positions(con, at.source).get(at.part)) != at.former:
            raise StoreError(
                f"{at.source}, part {at.part!r}: the store stands at {json.dumps(held)}, and these rows follow "
                f"{json.dumps(at.former)}. The store was restored, or another process reads the same source.",
                "rows that continue where the store stands; none of these were taken in",
                "the same command again: it continues where the store stands now",
            )


def write_positions(con: duckdb.DuckDBPyConnection, positions: Sequence[Position], stamp: dt.datetime) -> None:
    """Replace positions, in the open transaction.

    Args:
        con: connection with an open transaction.
        positions: the new positions.
        stamp: arrival of the rows that they count.

    Raises:
        StoreError: another position is there than the one to replace.
    """
    check_positions(con, positions)
    for at in positions:
        con.execute("delete from facts.source_positions where source = $1 and part = $2", [at.source, at.part])
        con.execute(
            "insert into facts.source_positions values ($1, $2, $3, $4)",
            [at.source, at.part, json.dumps(at.value), stamp],
        )

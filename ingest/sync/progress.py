"""The position of a source in the store: how far it was read, by which definition, and when it was read last.

The part "" of a source has the whole of it, the other parts its files or objects:

    {"definition": {...}, "watermark": {"type": "instant", "value": 1714557600000000}, "synced_at": 1714557660}
    {"size": 1200, "changed_ns": 1714557600000000000, "ingests": ["..."]}

Times are numbers since 1970: microseconds of a watermark, days of a date, seconds of `synced_at`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from photogenic._lazy import duckdb
from photogenic.ingest.sources.positions import Position, read_positions, write_positions
from photogenic.ingest.sync.source import SyncSource
from photogenic.ingest.sync.watermark import Watermark

__all__ = ["Progress", "SourceState", "forget", "positions_in_words", "write_whole"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Position of one source.

    Attributes:
        source: the source.
        definition: definition with which it was written; None: the source was never read.
        watermark: newest watermark that was read; None: none was.
        synced_at: when a sync read the source to its end last, in seconds since 1970; None: never.
        objects: state of each file, object or table that was read.
    """

    source: SyncSource
    definition: Mapping[str, str] | None = None
    watermark: Watermark | None = None
    synced_at: int | None = None
    objects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, con: duckdb.DuckDBPyConnection, source: SyncSource) -> Progress:
        """Read the position of a source from the store."""
        parts = read_positions(con, source.name)
        whole = parts.pop("", {})
        return cls(
            source,
            whole.get("definition"),
            Watermark.from_json(whole.get("watermark")),
            whole.get("synced_at"),
            parts,
        )

    def at(self, watermark: Watermark | None) -> Progress:
        """The position after rows up to a watermark."""
        return replace(self, watermark=watermark or self.watermark)

    def whole(self, synced_at: dt.datetime | None = None) -> Position:
        """The position of the source as a whole, to be written.

        Args:
            synced_at: the time, if the source was read to its end.
        """
        value: dict[str, Any] = {"definition": self.source.definition()}
        if self.watermark is not None:
            value["watermark"] = self.watermark.to_json()
        at = self.synced_at if synced_at is None else int(synced_at.replace(tzinfo=dt.UTC).timestamp())
        if at is not None:
            value["synced_at"] = at
        return Position(self.source.name, "", value)

    def in_words(self, n_new: int = 0) -> str | None:
        """The position for people: the watermark, or the number of objects."""
        if self.watermark is not None:
            return self.watermark.value
        n_objects = len(self.objects) + n_new
        if n_objects or self.definition is not None:
            return f"{n_objects:,} {'object' if n_objects == 1 else 'objects'}" if self.source.query is None else None
        return None


@dataclass(frozen=True, slots=True)
class SourceState:
    """How far a source was read, for people and for metrics.

    Attributes:
        name: name of the source, or address of a stream.
        position: newest watermark, or the number of its parts: files, objects, partitions.
        watermark_at: newest watermark as a time; None: it is no time.
        synced_at: when it was read to its end last; None: never, or it is a stream.
        written_at: when its position was written last.
    """

    name: str
    position: str | None
    watermark_at: dt.datetime | None
    synced_at: dt.datetime | None
    written_at: dt.datetime


def write_whole(con: duckdb.DuckDBPyConnection, progress: Progress, now: dt.datetime) -> None:
    """Write that a source was read to its end."""
    con.begin()
    write_positions(con, [progress.whole(now)], now)
    con.commit()


def forget(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Remove the position of a source, so that all of it is read again."""
    con.begin()
    con.execute("delete from facts.source_positions where source = $1", [name])
    con.commit()


def positions_in_words(con: duckdb.DuckDBPyConnection) -> list[SourceState]:
    """The position of every source of the store, of syncs and of streams, sorted by name.

    Args:
        con: connection to the warehouse or the snapshot.
    """
    rows = con.execute(
        "select source, part, position, ingested_at from facts.source_positions order by source, part"
    ).fetchall()
    found: dict[str, list[tuple[str, Any, dt.datetime]]] = {}
    for source, part, position, written_at in rows:
        found.setdefault(source, []).append((part, json.loads(position), written_at))
    return [_state(source, parts) for source, parts in found.items()]


def _state(source: str, parts: list[tuple[str, Any, dt.datetime]]) -> SourceState:
    whole = next((value for part, value, _ in parts if part == "" and isinstance(value, dict)), {})
    n_parts = sum(part != "" for part, _, _ in parts)
    mark, at = Watermark.from_json(whole.get("watermark")), whole.get("synced_at")
    synced_at = dt.datetime.fromtimestamp(at, dt.UTC).replace(tzinfo=None) if isinstance(at, int) else None
    return SourceState(
        source,
        mark.value if mark is not None else f"{n_parts:,} {'part' if n_parts == 1 else 'parts'}" if n_parts else None,
        mark.instant if mark is not None else None,
        synced_at,
        max(written_at for *_, written_at in parts),
    )

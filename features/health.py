"""Measure how fresh and how whole a store is: the facts of `features status --check` and of the server's metrics."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from photogenic import sql
from photogenic._lazy import duckdb, pl
from photogenic.features.build import held_encoders
from photogenic.features.build_outcome import BuildOutcome, last_outcome
from photogenic.features.compute.pipeline import photo_bytes
from photogenic.features.search import index_files
from photogenic.features.status import freshness
from photogenic.features.vectors import reader
from photogenic.features.vectors.coverage import count_missing
from photogenic.ingest.sync.progress import SourceState, positions_in_words
from photogenic.ingest.thresholds import EXPECTED
from photogenic.warehouse import Database, Layout, Store, StoreError
from photogenic.warehouse.labels.fingerprints import Mark, read_states
from photogenic.warehouse.moment import Moment

__all__ = ["Health", "Refusals", "VectorHealth", "measure", "state_of"]


@dataclass(frozen=True, slots=True)
class VectorHealth:
    """The vectors and the index of one encoder.

    Attributes:
        n_missing: photos whose vectors a build would compute.
        changed_at: when the vectors changed last, UTC; None: they cannot be read.
        index: `current`, `stale` (of former vectors) or `none`.
    """

    n_missing: int
    changed_at: dt.datetime | None
    index: str


@dataclass(frozen=True, slots=True)
class Refusals:
    """The last files of one kind: those of the 24 hours up to the newest one.

    Attributes:
        n_read: number of their rows.
        reasons: number of refused rows by reason, without those that are refused as they should be.
    """

    n_read: int
    reasons: Counter[str]


@dataclass(frozen=True, slots=True)
class Health:
    """State of a store.

    Attributes:
        built_at: when a label changed last, UTC; None: labels were never built.
        newest_at: when the newest data arrived that the labels were computed from, UTC; None: there is none.
        changed: sources that changed since labels were computed.
        moment: moment whose labels are published.
        vectors: by encoder.
        last_build: how the last build ended; None: there was none.
        refusals: last files by kind.
        outcomes: rows of all files by kind and outcome.
        refused: refused rows by kind and reason.
        sources: how far each source was read.
        own: by relation of the user's own, and `audit NAME`: None, or why it failed or is not computed.
    """

    built_at: dt.datetime | None
    newest_at: dt.datetime | None
    changed: tuple[str, ...]
    moment: Moment
    vectors: dict[str, VectorHealth]
    last_build: BuildOutcome | None
    refusals: dict[str, Refusals]
    outcomes: dict[tuple[str, str], int]
    refused: dict[tuple[str, str], int]
    own: dict[str, str | None] = field(default_factory=dict)
    sources: tuple[SourceState, ...] = ()

    @property
    def labels_stale(self) -> bool:
        """Whether a build would change a label, or there are none."""
        return self.built_at is None or bool(self.changed)


def measure(store: Store) -> Health:
    """Measure the published state of a store.

    Raises:
        StoreError: there is no store.
    """
    db, layout = store.database, store.layout
    labels = freshness(db)
    with db.read() as con:
        [clocks] = con.execute("select as_of, known_at from facts.clock").fetchall()
        newest_at = _newest(con)
        recent = con.execute(sql.read("status/recent_ingests")).fetchall()
        totals = con.execute(sql.read("status/ingest_totals")).fetchall()
        refused = con.execute(sql.read("status/rejects")).fetchall()
        sources = tuple(positions_in_words(con))
        n_faces: pl.DataFrame = con.sql("select photo_id, count(*) as n from facts.faces group by photo_id").pl()
    photos = photo_bytes(db)
    return Health(
        built_at=_time(labels["built_at"]),
        newest_at=newest_at,
        changed=tuple(labels["changed"]),
        moment=Moment(*clocks),
        vectors={name: _vectors(layout, name, photos, n_faces) for name in held_encoders(layout)},
        last_build=last_outcome(db),
        refusals=_refusals(recent),
        outcomes={
            (kind, outcome): n
            for kind, *numbers in totals
            for outcome, n in zip(("new", "corrected", "retracted", "known", "refused"), numbers, strict=True)
        },
        refused={(kind, reason): n for kind, reason, n in refused},
        own=_own(db),
        sources=sources,
    )


def _own(db: Database) -> dict[str, str | None]:
    names = db.rows("select relation, status, error from facts.own_relations order by relation")
    names += db.rows("select 'audit ' || audit, status, error from facts.own_audits order by audit")
    return {name: None if how == "ok" else (error or how).splitlines()[0] for name, how, error in names}


def state_of(layout: Layout) -> tuple[tuple[str, int, int], ...]:
    """Return what changes whenever `measure` would: the state of the files that it reads."""
    paths = [layout.snapshot, layout.last_build]
    for folder in (layout.embeddings("any").parent, layout.index("any").parent):
        paths += sorted(folder.glob("*/manifest.json"))
    return tuple(_state(path) for path in paths)


def _state(path: Path) -> tuple[str, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), stat.st_ino, stat.st_mtime_ns


def _newest(con: duckdb.DuckDBPyConnection) -> dt.datetime | None:
    """When the newest data arrived of which the labels know. History that was loaded later counts as of its loading."""
    loaded_at = dict(con.execute(sql.read("status/load_times")).fetchall())
    times = [
        instant
        for mark in _marks(con)
        for instant in (mark.until, loaded_at.get(mark.batch))
        if instant is not None and instant > dt.datetime(1970, 1, 1)
    ]
    return max(times, default=None)


def _marks(con: duckdb.DuckDBPyConnection) -> Iterator[Mark]:
    """The marks of the base tables from which labels were computed."""
    texts = {
        text for state in read_states(con).values() for digest in state.inputs.values() for text in digest.split("; ")
    }
    for text in texts:
        mark = Mark.from_text(text)
        if mark is not None:
            yield mark


def _vectors(layout: Layout, name: str, photos: pl.DataFrame, n_faces: pl.DataFrame) -> VectorHealth:
    for _ in range(2):  # a build may replace the parts between the two reads
        try:
            made = reader.manifest(layout, name)
            n_missing = count_missing(layout, made, photos, n_faces)
        except (StoreError, OSError, pl.exceptions.PolarsError):
            continue
        index = index_files.read_manifest(layout, name)
        current = "none" if index is None else "current" if index.vectors_content == made.content else "stale"
        return VectorHealth(n_missing, _time(made.created_at), current)
    return VectorHealth(len(photos), None, "none")


def _refusals(recent: list[tuple[str, int, str]]) -> dict[str, Refusals]:
    found: dict[str, Refusals] = {}
    for kind, n_read, refused in sorted(recent):
        former = found.get(kind, Refusals(0, Counter()))
        wrong = Counter({reason: n for reason, n in json.loads(refused).items() if reason not in EXPECTED})
        found[kind] = Refusals(former.n_read + n_read, former.reasons + wrong)
    return found


def _time(text: str | None) -> dt.datetime | None:
    """Read ISO 8601 as naive UTC."""
    if text is None:
        return None
    instant = dt.datetime.fromisoformat(text)
    return instant.astimezone(dt.UTC).replace(tzinfo=None) if instant.tzinfo else instant

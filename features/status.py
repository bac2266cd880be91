"""Report the contents of a store: counts, rejects, freshness, and the process that writes to it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.features.build import held_encoders
from photogenic.features.compute.pipeline import photo_bytes
from photogenic.features.pictures.registry import chosen_features, without_code
from photogenic.features.pictures.shipped import SHIPPED
from photogenic.features.pictures.values import held_features
from photogenic.features.search import index_files
from photogenic.features.vectors import reader
from photogenic.ingest.streams.listeners import read_listeners
from photogenic.ingest.sync.progress import positions_in_words
from photogenic.warehouse import Database, InputError, Layout, Store
from photogenic.warehouse.catalog import catalog_of
from photogenic.warehouse.duckdb_store.live_status import read_live_status
from photogenic.warehouse.labels.build import stale_own
from photogenic.warehouse.labels.compute import Computation
from photogenic.warehouse.labels.last_build import last_build
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.moment import EVERYTHING, Moment
from photogenic.warehouse.storage.lock import holder

__all__ = ["freshness", "moment_in_words", "own_audits", "own_relations", "status"]

_SAME_ROWS = {"photo_swipes": "swipes"}
"""View -> relation with as many rows, which are counted without the joins of the view."""


def status(store: Store) -> dict[str, Any]:
    """Report the state of a store as one object that JSON can hold.

    Returns:
        store: folder of the store.
        snapshot_at: time at which the current snapshot was published; UTC, ISO 8601.
        relations: rows by relation; None for a relation that was never computed.
        rejects: refused rows by kind of file and reason.
        photos: photos by status; `not looked at` where no bytes were fetched or ingested yet.
        labels: ingested_at (newest arrival), built_at (last change of a label relation), as_of and known_at (moment
            of the published labels; None: everything), stale (whether a build
            would change a label relation), changed (sources that changed since the labels were computed).
        own_relations: by relation of the user's own: kind (sql, picture), status (ok, failed, pending), error, stale
            (whether the next build would compute it), tried_at.
        own_audits: by audit of the user's own: status, error.
        embeddings: by encoder: n_photos, n_pictures (photos with readable bytes, the upper bound of n_photos),
            index (kind, recall_at_10, p50_ms; None without an index), index_stale.
        training_sets: by name, the newest version: version, n_rows, status.
        picture_features: by feature: n_photos (pictures that were computed), n_errors, statuses (pictures by status),
            n_pictures (the upper bound of n_photos), code: here, or missing with the setting that brings it.
        sources: by source of `features sync` or `features listen`: position, watermark_at (the position, if it is a
            time), synced_at (when it was read to its end last), written_at (when its position was written last).
        writer: process that holds the lock now, or None.
        underway: current stages of the writer, see `warehouse.duckdb_store.live_status.read_live_status`.
        listeners: state and lag of each listener of a stream, see `ingest.streams.listeners.read_listeners`.

    Raises:
        StoreError: the store does not exist.
    """
    layout = store.layout
    with store.database.read() as con:
        existing = {name for (name,) in con.execute("select table_name from information_schema.tables").fetchall()}
        relations = {
            name: con.execute(f"select count(*) from {_SAME_ROWS.get(name, name)}").fetchall()[0][0]
            if name in existing
            else None
            for name in sorted(catalog_of(con).names)
            if name != "clock"
        }
        rejects: dict[str, dict[str, int]] = {}
        for kind, reason, n in con.execute(sql.read("status/rejects")).fetchall():
            rejects.setdefault(kind, {})[reason] = n
        photos = dict(con.execute(sql.read("status/photos")).fetchall())
        sets = con.execute(sql.read("status/training_sets")).fetchall()
        sources = positions_in_words(con)
    return {
        "store": str(layout.root.absolute()),
        "snapshot_at": _iso(dt.datetime.fromtimestamp(layout.snapshot.stat().st_mtime, dt.UTC)),
        "relations": relations,
        "rejects": rejects,
        "photos": photos,
        "labels": freshness(store.database),
        "own_relations": own_relations(store),
        "own_audits": own_audits(store.database),
        "embeddings": {name: _vectors(layout, name, photos.get("ok", 0)) for name in held_encoders(layout)},
        "training_sets": {name: {"version": version, "n_rows": n, "status": state} for name, version, n, state in sets},
        "picture_features": picture_features(store),
        "sources": {
            one.name: {
                "position": one.position,
                "watermark_at": _iso(one.watermark_at),
                "synced_at": _iso(one.synced_at),
                "written_at": _iso(one.written_at),
            }
            for one in sources
        },
        "writer": None if (writer := holder(layout.lock)) is None else str(writer),
        "underway": read_live_status(layout),
        "listeners": read_listeners(layout),
    }


def picture_features(store: Store) -> dict[str, Any]:
    """The `picture_features` entry of `status`."""
    held = held_features(store.layout)
    try:
        missing = chosen_features(None, list(held))[1]
        unknown = ""
    except InputError as error:  # a module of the user cannot be imported
        missing, unknown = [name for name in held if name not in SHIPPED], error.what
    photos = photo_bytes(store.database).filter(status="ok")["sha256"].n_unique() if held else 0
    return {
        name: {
            "n_photos": made.n_photos,
            "n_pictures": photos,
            "n_errors": made.n_errors,
            "statuses": made.statuses,
            "version": made.version,
            "code": "missing" if name in missing else "here",
            "remedy": (unknown or without_code(name)) if name in missing else "",
        }
        for name, made in held.items()
    }


def freshness(db: Database) -> dict[str, Any]:
    """The `labels` entry of `status`."""
    with db.read() as con:
        changed = _changed(con)
        ((ingested_at, built_at),) = con.execute(sql.read("status/times")).fetchall()
        ((as_of, known_at),) = con.execute("select as_of, known_at from clock").fetchall()
    return {
        "ingested_at": _iso(ingested_at),
        "built_at": _iso(built_at),
        "as_of": _iso(as_of) if as_of < EVERYTHING else None,
        "known_at": _iso(known_at) if known_at < EVERYTHING else None,
        "stale": bool(changed) or built_at is None,
        "changed": changed,
    }


def own_relations(store: Store) -> dict[str, dict[str, Any]]:
    """The `own_relations` entry of `status`. In a project, a changed file makes its relation stale."""
    query = "select relation, kind, status, error, tried_at from facts.own_relations order by relation"
    rows = store.database.rows(query)
    stale = stale_own(store) if rows or store.project is not None else ()
    return {
        name: {
            "kind": kind,
            "status": how,
            "error": error,
            "stale": name in stale,
            "tried_at": _iso(tried_at),
        }
        for name, kind, how, error, tried_at in rows
    }


def own_audits(db: Database) -> dict[str, dict[str, Any]]:
    """The `own_audits` entry of `status`."""
    rows = db.rows("select audit, status, error from facts.own_audits order by audit")
    return {name: {"status": how, "error": error} for name, how, error in rows}


def moment_in_words(labels: dict[str, Any]) -> str:
    """Return the moment of the published labels, from the `labels` entry of `status`; empty: everything."""
    clocks = (("as of", labels["as_of"]), ("known at", labels["known_at"]))
    return ", ".join(f"{words} {instant}" for words, instant in clocks if instant)


def _changed(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The sources whose rows changed since the labels were computed."""
    (clocks,) = con.execute("select as_of, known_at from clock").fetchall()
    changed = Computation(con, Moment(*clocks), LabelOptions(), rehearsal=True).changed_sources()
    # Swipes of a Spark build are outside the store, so only the next Spark build can detect a change.
    last = last_build(con)
    on_spark = last is not None and last.cluster is not None
    return [source for source in changed if source != "swipes" or not on_spark]


def _vectors(layout: Layout, name: str, n_pictures: int) -> dict[str, Any]:
    made, index = reader.manifest(layout, name), index_files.read_manifest(layout, name)
    return {
        "n_photos": made.n_photos,
        "n_pictures": n_pictures,
        "dim": made.dim,
        "input": made.input,
        "index": None
        if index is None
        else {"kind": index.kind, "recall_at_10": index.recall_at_10, "p50_ms": round(index.p50_ms, 3)},
        "index_stale": index is None or index.vectors_content != made.content,
    }


def _iso(instant: dt.datetime | None) -> str | None:
    """UTC to the second, with a Z; naive times are UTC."""
    return None if instant is None else instant.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"

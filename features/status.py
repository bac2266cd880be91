"""What a store holds, and whether it is up to date: counts, rejects, freshness, who writes."""

from __future__ import annotations

import datetime as dt
from typing import Any

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.features.build import held_encoders
from photogenic.features.search import index_files
from photogenic.features.vectors import reader
from photogenic.warehouse import Database, Layout, Store
from photogenic.warehouse.duckdb_store.live_status import read_live_status
from photogenic.warehouse.labels.build import last_cluster
from photogenic.warehouse.labels.compute import Computation
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.storage.lock import holder

__all__ = ["freshness", "status"]


def status(store: Store) -> dict[str, Any]:
    """One object, fit for JSON.

    Returns:
        store: its folder.
        snapshot_at: when the snapshot that everybody reads was published; UTC, ISO 8601.
        relations: rows by relation; None for one that was never computed.
        rejects: refused rows by kind of file and reason.
        photos: by status; `not looked at` where no bytes were sought yet.
        labels: ingested_at (newest arrival), built_at (when a label relation last changed), stale (whether a build
            would change any), changed (the sources that differ from what labels were made of).
        embeddings: by encoder: n_photos, n_pictures (photos that could have a vector, faces permitting),
            index (kind, recall_at_10, p50_ms; None: there is none), index_stale.
        writer: who holds the lock now, or None.
        underway: the stages that the writer is at, see `warehouse.duckdb_store.live_status.read_live_status`.

    Raises:
        StoreError: there is no store.
    """
    layout = store.layout
    with store.database.read() as con:
        there = {name for (name,) in con.execute("select table_name from information_schema.tables").fetchall()}
        relations = {
            name: con.execute(f"select count(*) from {name}").fetchall()[0][0] if name in there else None
            for name in sorted((*sql.VIEWS, *sql.RELATIONS))
            if name != "clock"
        }
        rejects: dict[str, dict[str, int]] = {}
        for kind, reason, n in con.execute(sql.read("status/rejects")).fetchall():
            rejects.setdefault(kind, {})[reason] = n
        photos = dict(con.execute(sql.read("status/photos")).fetchall())
    return {
        "store": str(layout.root.absolute()),
        "snapshot_at": _iso(dt.datetime.fromtimestamp(layout.snapshot.stat().st_mtime, dt.UTC)),
        "relations": relations,
        "rejects": rejects,
        "photos": photos,
        "labels": freshness(store.database),
        "embeddings": {name: _vectors(layout, name, photos.get("ok", 0)) for name in held_encoders(layout)},
        "writer": None if (writer := holder(layout.lock)) is None else str(writer),
        "underway": read_live_status(layout),
    }


def freshness(db: Database) -> dict[str, Any]:
    """The part `labels` of `status`."""
    with db.read() as con:
        changed = _changed(con)
        ((ingested_at, built_at),) = con.execute(sql.read("status/times")).fetchall()
    return {
        "ingested_at": _iso(ingested_at),
        "built_at": _iso(built_at),
        "stale": bool(changed) or built_at is None,
        "changed": changed,
    }


def _changed(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The sources whose rows are no longer those that labels were computed from."""
    ((as_of,),) = con.execute("select as_of from clock").fetchall()
    changed = Computation(con, as_of, LabelOptions(), rehearsal=True).changed_sources()
    # Spark's swipes lie elsewhere: whether there are more by now is known when it looks at them.
    return [source for source in changed if source != "swipes" or last_cluster(con) is None]


def _vectors(layout: Layout, name: str, n_pictures: int) -> dict[str, Any]:
    made, held = reader.manifest(layout, name), index_files.read_manifest(layout, name)
    return {
        "n_photos": made.n_photos,
        "n_pictures": n_pictures,
        "dim": made.dim,
        "input": made.input,
        "index": None
        if held is None
        else {"kind": held.kind, "recall_at_10": held.recall_at_10, "p50_ms": round(held.p50_ms, 3)},
        "index_stale": held is None or held.vectors_content != made.content,
    }


def _iso(instant: dt.datetime | None) -> str | None:
    """UTC to the second, with a Z; naive times are UTC."""
    return None if instant is None else instant.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"

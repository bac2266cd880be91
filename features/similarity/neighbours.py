"""Compute the relation `neighbours`: the nearest photos of every photo, for queries in SQL.

It is computed from the index of an encoder, by exact search or by the IVF index, as the planner chooses. It is
computed again only when the vectors change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pl
from photogenic.features.search import index as indices
from photogenic.features.search.filters import PhotoFilter
from photogenic.features.search.index_files import Index
from photogenic.features.search.searcher import answer
from photogenic.warehouse import Database, Store

__all__ = ["Graph", "fill_gaps", "graph", "publish", "stale", "update"]

_QUERIES = 4096
_INSERT = 50_000


@dataclass(frozen=True, slots=True)
class Graph:
    """The k nearest photos of every photo by one encoder, without the photo itself.

    Attributes:
        index: index that `rows` refers to.
        rows: int32 (n, k'), nearest first, padded with -1.
        distances: float32 (n, k'), padded with infinity.
        recall: 1 when exact, else the recall@10 of the index.
    """

    index: Index
    k: int
    rows: NDArray[np.int32]
    distances: NDArray[np.float32]
    recall: float


def graph(store: Store, encoder: str, k: int) -> Graph:
    """Search with every photo of an index.

    Args:
        store: the open store.
        encoder: name of an encoder with an index.
        k: number of neighbors of each photo.

    Raises:
        StoreError: the encoder has no index.
    """
    index = indices.load(store.layout, encoder)
    n, width = len(index), max(min(k, len(index) - 1), 0)
    every = PhotoFilter(index, index.ids.to_frame())
    rows, distances = np.full((n, width), -1, np.int32), np.full((n, width), np.inf, np.float32)
    recall = 1.0
    with store.progress.stage(f"neighbours {encoder}", n, "photos") as advance:
        for start in range(0, n if width else 0, _QUERIES):
            own = np.arange(start, min(start + _QUERIES, n))
            Q = np.ascontiguousarray(index.vectors[own])
            plan, near, found = answer(Q, every, width, exclude=own)
            rows[own], distances[own] = found, near
            recall = 1.0 if plan.way == "exact" else index.manifest.recall_at_10
            advance(len(own))
    return Graph(index, k, rows, distances, recall)


def update(store: Store, encoders: Sequence[str], k: int | None = None) -> dict[str, Graph]:
    """Bring `neighbours` up to date for the encoders whose vectors or number of neighbors changed.

    Args:
        store: the open store.
        encoders: encoders with an index.
        k: number of neighbors of each photo; None keeps the number, and skips encoders without neighbors.

    Returns:
        The new graphs, by encoder.
    """
    made = {}
    for encoder, wanted in stale(store, encoders, k).items():
        made[encoder] = graph(store, encoder, wanted)
        publish(store.database, made[encoder])
    return made


def stale(store: Store, encoders: Sequence[str], k: int | None = None) -> dict[str, int]:
    """The encoders that `update` would compute, with the number of neighbors."""
    rows = store.database.rows("select encoder, k, vectors_content from facts.neighbour_sets")
    held = {encoder: (size, content) for encoder, size, content in rows}
    wanted = {encoder: k or held.get(encoder, (0, ""))[0] for encoder in encoders}
    return {
        encoder: size
        for encoder, size in wanted.items()
        if size and held.get(encoder) != (size, indices.vectors_content(store.layout, encoder))
    }


def fill_gaps(store: Store, encoders: Sequence[str]) -> None:
    """Search the photos again that lost a neighbor since `neighbours` was made, and mark these encoders as current.

    Args:
        store: the open store.
        encoders: encoders whose vectors lost photos, and did not change otherwise.
    """
    sizes = dict(store.database.rows("select encoder, k from facts.neighbour_sets"))
    for encoder in encoders:
        if encoder not in sizes:
            continue
        index = indices.load(store.layout, encoder)
        width = max(min(sizes[encoder], len(index) - 1), 0)
        short = store.database.rows(
            "select photo_id from facts.neighbours where encoder = $1 group by photo_id having count(*) < $2"
            " order by photo_id",
            [encoder, width],
        )
        ids = [photo_id for (photo_id,) in short]
        known = {
            photo_id
            for (photo_id,) in store.database.rows(
                "select distinct photo_id from facts.neighbours where encoder = $1", [encoder]
            )
        }
        ids += [photo_id for photo_id in index.ids.to_list() if photo_id not in known]
        every, own = PhotoFilter(index, index.ids.to_frame()), index.rows(ids)
        with store.database.write("features build --neighbours") as con:
            con.begin()
            con.execute(
                "delete from facts.neighbours where encoder = $1 and photo_id in (select unnest($2::varchar[]))",
                [encoder, ids],
            )
            for start in range(0, len(own) if width else 0, _QUERIES):
                part = own[start : start + _QUERIES]
                _, near, found = answer(np.ascontiguousarray(index.vectors[part]), every, width, exclude=part)
                at, place = np.nonzero(found >= 0)
                batch = pl.DataFrame(
                    {
                        "photo_id": index.ids.gather(part[at]),
                        "rank": (place + 1).astype(np.int32),
                        "neighbour_id": index.ids.gather(found[at, place]),
                        "distance": near[at, place].astype(np.float32).astype(np.float64),
                    }
                )
                con.register("batch", batch.to_arrow())
                con.execute("insert into facts.neighbours select $1, * from batch", [encoder])
                con.unregister("batch")
            con.execute(
                "update facts.neighbour_sets set vectors_content = $1 where encoder = $2",
                [index.manifest.vectors_content, encoder],
            )
            con.commit()


def publish(db: Database, made: Graph) -> None:
    """Write the graph to `neighbours`, in place of the former rows of its encoder."""
    ids, known = made.index.ids, made.index.manifest
    n, width = made.rows.shape
    with db.write("features build --neighbours") as con:
        con.begin()
        con.execute("delete from facts.neighbours where encoder = $1", [known.encoder])
        con.execute("delete from facts.neighbour_sets where encoder = $1", [known.encoder])
        for start in range(0, n if width else 0, _INSERT):
            rows = made.rows[start : start + _INSERT]
            near = rows >= 0
            own, place = np.nonzero(near)
            batch = pl.DataFrame(
                {
                    "photo_id": ids.gather(own + start),
                    "rank": (place + 1).astype(np.int32),
                    "neighbour_id": ids.gather(rows[near]),
                    "distance": made.distances[start : start + _INSERT][near].astype(np.float64),
                }
            )
            con.register("batch", batch.to_arrow())
            con.execute("insert into facts.neighbours select $1, * from batch", [known.encoder])
            con.unregister("batch")
        con.execute(
            "insert into facts.neighbour_sets values ($1, $2, $3, $4)",
            [known.encoder, made.k, known.vectors_content, made.recall],
        )
        con.commit()

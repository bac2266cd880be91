"""Find photos that show the same picture: equal bytes, similar perceptual hashes, or similar embeddings.

A link joins two photos. Photos that links connect form one cluster, named by its smallest photo id. Clusters keep
copies of one picture in one split.

1. Bytes: photos with the same SHA-256.
2. Hash: perceptual hashes of the picture or of its mirror image that differ in at most `bits` (perceptual_hash.py).
   The search is exact without comparing all pairs: two hashes of 256 bits that differ in at most 15 are equal in at
   least one of 16 groups of 16 bits.
3. Embedding: neighbors by an encoder of whole photos within `distance`; finds crops and overlays that hashes miss.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import faiss, pl, scipy
from photogenic.features.compute.pipeline import photo_bytes
from photogenic.features.encoders.registry import DEFAULT
from photogenic.features.search import index as indices
from photogenic.features.similarity.neighbours import Graph, graph
from photogenic.features.similarity.perceptual_hash import BITS, photo_hashes
from photogenic.warehouse import Database, InputError, Layout, Store

__all__ = ["DuplicateSettings", "find", "mark_current", "stale", "update"]

_GROUPS = 16
_QUERIES = 8192
_NEAR = 10
"""Number of neighbors of a photo that are tested by embedding."""


@dataclass(frozen=True, slots=True)
class DuplicateSettings:
    """Thresholds for near-duplicates.

    Attributes:
        bits: largest number of differing bits of two hashes, 0 to 15 of 256.
        distance: largest cosine distance of two embeddings of whole photos; None ignores embeddings.
    """

    bits: int = 15
    distance: float | None = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.bits < _GROUPS:
            raise InputError(f"bits is {self.bits}.", f"0 to {_GROUPS - 1}", "leave it out")


def find(store: Store, near: Graph | None = None, *, settings: DuplicateSettings | None = None) -> pl.DataFrame:
    """Find links between photos that show the same picture.

    Args:
        store: the open store.
        near: neighbors by an encoder of whole photos; None ignores embeddings.
        settings: thresholds.

    Returns:
        photo_id < other_id, cluster_id, reason (bytes, hash, mirror, embedding: the first that applies), bits
        (differing bits; NULL for embedding), distance (between embeddings; NULL for others). Photos with equal
        bytes are linked to the first of them.
    """
    chosen = settings or DuplicateSettings()
    photos = _pictures(store.database)
    firsts = photos.group_by("sha256").agg(first=pl.col("photo_id").min())
    same = photos.join(firsts, on="sha256").filter(pl.col("photo_id") != pl.col("first"))
    links = [_links(same["first"], same["photo_id"], "bytes", bits=np.zeros(len(same), np.int32))]
    hashes = photo_hashes(store).drop_nulls().join(firsts, on="sha256").sort("first")
    names = hashes["first"]
    stored = _matrix(hashes["hash"])
    for reason, queries in (("hash", stored), ("mirror", _matrix(hashes["mirror"]))):
        for left, right, bits in _close_hashes(stored, queries, chosen.bits):
            links.append(_links(names.gather(left), names.gather(right), reason, bits=bits))
    if near is not None and chosen.distance is not None:
        own, place = np.nonzero((near.rows >= 0) & (near.distances <= chosen.distance))
        ids, other = near.index.ids, near.rows[own, place]
        distances = near.distances[own, place].astype(np.float64)
        links.append(_links(ids.gather(own), ids.gather(other), "embedding", distance=distances))
    found = pl.concat(links).unique(["photo_id", "other_id"], keep="first", maintain_order=True)
    found = found.join(photos.select("photo_id"), on="photo_id", how="semi").join(
        photos.select(other_id="photo_id"), on="other_id", how="semi"
    )
    clusters = _clusters(found["photo_id"], found["other_id"])
    columns = ("photo_id", "other_id", "cluster_id", "reason", "bits", "distance")
    return found.join(clusters, on="photo_id").select(columns).sort("photo_id", "other_id")


def update(
    store: Store, settings: DuplicateSettings | None = None, *, graphs: Mapping[str, Graph] | None = None
) -> int | None:
    """Bring `near_duplicates` up to date if photos or vectors have changed.

    Args:
        store: the open store.
        settings: thresholds; None takes those of the last time, and does nothing if there were none.
        graphs: new neighbors, by encoder.

    Returns:
        Number of links; None when nothing was done.
    """
    state = stale(store, settings)
    if state is None:
        return None
    near, encoder = None, state["encoder"]
    if encoder is not None:
        near = (graphs or {}).get(encoder) or graph(store, encoder, _NEAR)
    links = find(store, near, settings=DuplicateSettings(**state["settings"]))
    with store.database.write("features build --near-duplicates") as con:
        con.begin()
        con.execute("delete from facts.near_duplicates")
        con.register("found", links.to_arrow())
        con.execute("insert into facts.near_duplicates select * from found")
        con.execute(f"comment on table facts.near_duplicates is '{json.dumps(state)}'")
        con.commit()
    return len(links)


def stale(store: Store, settings: DuplicateSettings | None = None) -> dict[str, Any] | None:
    """The inputs from which `update` would compute the links; None when it would do nothing."""
    ((recorded,),) = store.database.rows(
        "select comment from system.main.duckdb_tables() where schema_name = 'facts' and table_name = 'near_duplicates'"
    )
    last = json.loads(recorded) if recorded else None
    if settings is None:
        if last is None:
            return None
        settings = DuplicateSettings(**last["settings"])
    encoder = _photo_encoder(store.layout) if settings.distance is not None else None
    state = {
        "settings": asdict(settings),
        "encoder": encoder,
        "vectors": indices.vectors_content(store.layout, encoder) if encoder else None,
        "pictures": hashlib.sha256(_pictures(store.database).write_csv().encode()).hexdigest()[:16],
    }
    return None if state == last else state


def mark_current(store: Store) -> None:
    """Mark the links as those of the present pictures: photos without a link were removed, and nothing else changed."""
    state = stale(store)
    if state is not None:
        with store.database.write("features build --near-duplicates") as con:
            con.execute(f"comment on table facts.near_duplicates is '{json.dumps(state)}'")


def _pictures(db: Database) -> pl.DataFrame:
    """photo_id, sha256 of the readable photos, by id; the relation leaves out deleted ones when it is read."""
    return photo_bytes(db, deleted=True).filter(status="ok").select("photo_id", "sha256").sort("photo_id")


def _photo_encoder(layout: Layout) -> str | None:
    """The encoder of whole photos whose embeddings are compared: a default one if it has an index, else the first."""
    made = [m.encoder for m in indices.manifests(layout) if m.input == "photo" and m.metric == "cosine"]
    return next((name for name in (*DEFAULT, *made) if name in made), None)


def _links(
    left: pl.Series,
    right: pl.Series,
    reason: str,
    *,
    bits: NDArray[np.int32] | None = None,
    distance: NDArray[np.float64] | None = None,
) -> pl.DataFrame:

    frame = pl.DataFrame({"a": left, "b": right}, schema={"a": pl.String, "b": pl.String})
    return frame.select(
        photo_id=pl.min_horizontal("a", "b"),
        other_id=pl.max_horizontal("a", "b"),
        reason=pl.lit(reason),
        bits=pl.lit(None, pl.Int32) if bits is None else pl.Series(bits, dtype=pl.Int32),
        distance=pl.lit(None, pl.Float64) if distance is None else pl.Series(distance, dtype=pl.Float64),
    )


def _matrix(hashes: pl.Series) -> NDArray[np.uint8]:
    """uint8 (n, 32), with bits permuted so that each group of 16 has bits of all frequencies."""
    packed = np.frombuffer(b"".join(hashes.to_list()), np.uint8).reshape(len(hashes), BITS // 8)
    bits = np.unpackbits(packed, axis=1).reshape(-1, BITS // _GROUPS, _GROUPS).transpose(0, 2, 1)
    return np.packbits(bits.reshape(-1, BITS), axis=1)


def _close_hashes(
    stored: NDArray[np.uint8], queries: NDArray[np.uint8], most: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]]:
    """Yield rows left < right whose hashes differ in at most `most` bits, and the number of those bits."""
    index = faiss.IndexBinaryMultiHash(BITS, _GROUPS, BITS // _GROUPS)
    index.add(stored)
    for start in range(0, len(queries), _QUERIES):
        part = queries[start : start + _QUERIES]
        limits, bits, right = index.range_search(part, most + 1)
        left = np.repeat(np.arange(start, start + len(part)), np.diff(limits.astype(np.int64)))
        keep = left < right
        yield left[keep], right[keep], bits[keep].astype(np.int32)


def _clusters(left: pl.Series, right: pl.Series) -> pl.DataFrame:
    """photo_id, and cluster_id: the smallest id among the connected photos."""
    ids = pl.concat([left.rename("photo_id"), right.rename("photo_id")]).unique().sort()
    ends = ids.search_sorted(left).to_numpy(), ids.search_sorted(right).to_numpy()
    graph = scipy.sparse.coo_array((np.ones(len(left), np.int8), ends), shape=(len(ids), len(ids)))
    _, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return (
        ids.to_frame()
        .with_columns(label=pl.Series(labels))
        .select("photo_id", cluster_id=pl.col("photo_id").min().over("label"))
    )

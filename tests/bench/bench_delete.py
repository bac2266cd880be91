"""Delete photos from a large store: the deletion, the update after it, and a purge, beside a new index.

    python -m tests.bench.bench_delete [--photos 200000] [--dim 512] [--deleted 1000]

`new_index_s` is the time of an index made from scratch, which neither the update nor the purge may need: `index_kept`
says whether the update left the index as it was, `cells_kept` whether the purge left the cells of the inverted file as
they were. `x_new_index` is the time of the update as a share of `new_index_s`. All seconds are CPU time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import polars as pl

from photogenic.features.search import index
from photogenic.features.search.searcher import Searcher
from photogenic.features.similarity.relations import update_similarity
from photogenic.ingest.tabular.load import ingest
from photogenic.maintenance.erase.purge import purge
from photogenic.warehouse import Settings, Store
from photogenic.warehouse.labels.build import build_labels
from tests.features.toy import clustered, database, put_photos, put_vectors


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--deleted", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in bench(Path(folder), given.photos, given.dim, given.deleted):
            print(json.dumps({"bench": "delete", **line}), flush=True)


def bench(folder: Path, n: int, dim: int, n_deleted: int) -> Iterator[dict[str, Any]]:
    """Make a store, delete photos, bring it up to date, and purge them."""
    rng = np.random.default_rng(0)
    db = database(folder)
    db.settings = Settings("4GB", 2)
    store = Store(db)
    ids = [f"p{row:07}" for row in range(n)]
    put_photos(db, pl.DataFrame({"photo_id": ids, "gender": "female", "n_likes": 1, "n_swipes": 3}))
    put_vectors(db.layout, "bench", ids, clustered(rng, n, dim, max(n // 100, 1)))
    start = _now()
    made = index.build(store, "bench")
    new_index = _now() - start
    gone = [ids[row] for row in sorted(rng.permutation(n)[:n_deleted].tolist())]
    cells = _cells(store)
    path = folder / "deleted.csv"
    path.write_text("photo_id\n" + "".join(f"{name}\n" for name in gone))
    start = _now()
    [report] = ingest(store, "photos", [path], retract=True)
    deletion = _now() - start
    with Searcher(store) as searcher:
        near = searcher.similar(next(name for name in ids if name not in {*gone}), k=n - 1, exact=True)
    start = _now()
    build_labels(store)
    after = index.build(store, "bench")
    update_similarity(store, ["bench"])
    update = _now() - start
    yield {
        "what": "delete",
        "photos": n,
        "dim": dim,
        "deleted": report.n_retracted,
        "kind": made.kind,
        "new_index_s": round(new_index, 2),
        "deletion_s": round(deletion, 2),
        "update_s": round(update, 2),
        "x_new_index": round(update / new_index, 3),
        "index_kept": after == made,
        "found_by_search": len({*gone} & {*near["photo_id"].to_list()}),
    }
    start = _now()
    [receipt] = purge(store, gone)
    seconds = _now() - start
    left = index.load(db.layout, "bench")
    yield {
        "what": "purge",
        "purge_s": round(seconds, 2),
        "vectors_removed": receipt.counts["embeddings/bench"],
        "cells_kept": cells is not None and np.array_equal(cells, _cells(store)),
        "left_in_index": len({*gone} & {*left.ids.to_list()}),
        "recall": round(left.manifest.recall_at_10, 4),
    }


def _cells(store: Store) -> np.ndarray | None:
    """The centers of the cells of the inverted file; None: search is exact at this size."""
    ivf = index.load(store.layout, "bench").ivf
    if ivf is None:
        return None
    cells: np.ndarray = faiss.vector_to_array(faiss.downcast_index(ivf.index.quantizer).codes).copy()
    return cells


def _now() -> float:
    """CPU seconds of this process, which do not depend on what else the machine does."""
    return time.process_time()


if __name__ == "__main__":
    main()

"""Compare a search with many queries with bare FAISS on the same vectors, and measure its memory.

    python -m tests.bench.bench_similar_many [--photos 200000] [--queries 200000] [--dim 128] [--single 200]

`bare` is faiss.knn over the same matrix in blocks of 4,096 queries, whose results are thrown away. Ours is
`similar_stream` with every column of the answer, exact, in batches that are thrown away too. CPU seconds are of all
threads. `peak_mb` is what the resident memory grows by during the search, with the vectors, which are mapped.
`single` is the median time of one query before and after the labels are joined: `answer` on arrays, and `similar`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from photogenic.features.search import index
from photogenic.features.search.options import SearchOptions
from photogenic.features.search.ranking import answer
from photogenic.features.search.searcher import Searcher
from photogenic.features.similar_many.queries import blocks_of
from photogenic.features.similar_many.search import many_of
from photogenic.warehouse import Store
from tests.bench.bench_search import store_of
from tests.features.toy import clustered

K = 10
_BLOCK = 4096


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--single", type=int, default=200)
    given = parser.parse_args()
    X = clustered(np.random.default_rng(0), given.photos, given.dim, max(given.photos // 100, 1))
    with tempfile.TemporaryDirectory() as folder:
        for line in bench(Path(folder), X, given.queries, given.single):
            print(json.dumps({"bench": "similar_many", **line}), flush=True)


def bench(folder: Path, X: np.ndarray, n_queries: int, n_single: int) -> Iterator[dict[str, Any]]:
    """Make a store with these vectors; search with many of its photos, and with single ones."""
    db, ids = store_of(folder, X)
    index.build(Store(db), "bench")
    asked = np.resize(np.random.default_rng(1).permutation(len(X)), n_queries)
    with Searcher(Store(db)) as searcher:
        held = searcher.cache.index("bench")
        Q = held.vectors

        def bare() -> None:
            for at in range(0, n_queries, _BLOCK):
                faiss.knn(np.ascontiguousarray(Q[asked[at : at + _BLOCK]]), Q, K + 1, metric=faiss.METRIC_INNER_PRODUCT)

        def ours() -> None:
            many = many_of(searcher, SearchOptions(k=K, encoder="bench", exact=True))
            queries = (ids[at] for at in asked)
            assert sum(batch.num_rows for batch in many.batches(blocks_of(queries, many.block))) == n_queries * K

        ours_first = ours if n_queries <= _BLOCK else (lambda: None)
        ours_first()
        one, two = measured(bare), measured(ours)
        yield {"what": "many", "photos": len(X), "queries": n_queries, "dim": X.shape[1], "bare": one, "ours": two}
        yield {"what": "ratio", "cpu": two["cpu_s"] / one["cpu_s"], "wall": two["wall_s"] / one["wall_s"]}
        candidates = searcher.cache.photo_filter("bench")
        few = asked[:n_single]
        arrays = [timed(lambda at=at: answer(Q[at : at + 1], candidates, K, exact=True)) for at in few]
        tables = [timed(lambda at=at: searcher.find([ids[at]], k=K, encoder="bench", exact=True)) for at in few]
        yield {
            "what": "single",
            "arrays_ms": 1e3 * statistics.median(arrays),
            "similar_ms": 1e3 * statistics.median(tables),
        }


def timed(call: Callable[[], object]) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measured(call: Callable[[], object]) -> dict[str, float]:
    """Seconds of the processors and of the clock of a call, and the growth of resident memory during it."""
    ended, peak = threading.Event(), [_resident()]
    before = peak[0]

    def watch() -> None:
        while not ended.wait(0.05):
            peak[0] = max(peak[0], _resident())

    watching = threading.Thread(target=watch)
    watching.start()
    cpu, start = time.process_time(), time.perf_counter()
    try:
        call()
    finally:
        spent, wall = time.process_time() - cpu, time.perf_counter() - start
        ended.set()
        watching.join()
    return {"cpu_s": spent, "wall_s": wall, "peak_mb": (peak[0] - before) / 1e6}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main()

"""Compare neighbors in SQL with bare FAISS, with DuckDB's own NEAREST, with the HTTP API, with LanceDB and with vss.

    python -m tests.bench.nearest.bench_nearest [--store DEMO] [--photos 200000] [--dim 512] [--queries 200]
        [--rounds 5] [--peers FOLDER]

1. The query of nearest.sql on the demo store (`make demo` makes one; without --store a small one is made): for each of
   1,000 photos its 5 nearest popular photos of other owners of the opposite gender, joined to like ratios. `of_bare` is
   the time of the whole query as a multiple of FAISS's flat search of the same vectors, one search for each gender;
   `of_by_hand` is a multiple of that search and of the SQL that reads the photos, the labels and the like ratios;
   `of_duckdb` is the time of DuckDB's own NEAREST over a table of the vectors, divided by that of the query. Rows are
   compared.
2. On clustered unit vectors with filters of 10 % and 1 %: the median time of `from similar(...)`, of the same search by
   the HTTP API, and of other tools. Recall is recall@10 against a float64 scan of the matching photos.

LanceDB and DuckDB's extension vss are measured where they are installed; --peers names a folder of packages that are
not in this environment. vss is made for one version of DuckDB, so it runs in a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import faiss
import numpy as np
import polars as pl

from photogenic import FeatureStore
from photogenic.app.demo.demo import run_demo
from photogenic.features.search import index
from photogenic.warehouse import Store
from tests.bench.bench_search import _exact, _overlap, store_of
from tests.bench.bench_serve import _post, _server
from tests.features.toy import SETTINGS, clustered

K = 10
QUERY = Path(__file__).with_name("nearest.sql")
PEER = Path(__file__).with_name("vss_peer.py")
READS = (
    "select photo_id, user_id, gender from photos join users using (user_id) order by photo_id limit 1000",
    "select photo_id, user_id, gender from photo_labels where popular and source = 'swipes'",
    "select photo_id, like_ratio, n_swipes from like_ratios where time_window = 'every'",
)
"""What a person would read to write the same query by hand, with FAISS."""

BLOCK = 20
"""Queries to one side before the other side."""


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", type=Path)
    parser.add_argument("--photos", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--clusters", type=int, default=2000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path, action="append", default=[])
    given = parser.parse_args()
    sys.path += [str(folder) for folder in given.peers]
    with tempfile.TemporaryDirectory() as folder:
        if given.store is None:
            given.store = Path(folder, "demo")
            with contextlib.redirect_stdout(sys.stderr):
                run_demo(given.store, users=600)
        _print(joined(given.store, given.rounds))
        X = clustered(np.random.default_rng(0), given.photos, given.dim, given.clusters)
        for line in filtered(Path(folder), X, given.queries, given.peers):
            _print(line)


def joined(demo: Path, rounds: int) -> dict[str, Any]:
    """Measure the join of nearest.sql three ways, in alternation."""
    text = QUERY.read_text()
    with FeatureStore(demo) as store:
        asked, searches = _bare_searches(store)
        own = duckdb.connect(config={"threads": store.database.settings.threads})
        own.execute(f"attach '{store.layout.snapshot}' as store (read_only)")
        ids, X = store.embeddings("efficientnet_lite0")
        vectors = pl.DataFrame({"photo_id": ids, "embedding": pl.Series(X, dtype=pl.Array(pl.Float32, X.shape[1]))})
        own.register("given", vectors)
        own.execute("create table vectors_efficientnet_lite0 as select photo_id, embedding from given")
        own.execute("set search_path = 'memory,store'")
        times: dict[str, list[float]] = {"ours": [], "bare": [], "by_hand": [], "duckdb": []}
        for _ in range(rounds):
            times["ours"].append(_time(store.sql, text))
            times["bare"].append(_time(lambda: [search() for search in searches]))
            times["by_hand"].append(_time(lambda: [*map(store.sql, READS), *(search() for search in searches)]))
            times["duckdb"].append(_time(lambda: own.sql(text).pl()))
        ours, theirs = store.sql(text), own.sql(text).pl()
        plan = [line for key, line in store.sql(f"explain {text}").rows() if key == "nearest"]
        own.close()
    best = {name: min(seconds) for name, seconds in times.items()}
    return {
        "what": "join",
        "photos": asked,
        "rows": len(ours),
        "rows_equal_to_duckdb": _same(ours, theirs),
        "ms": round(1e3 * best["ours"], 1),
        "of_bare": round(best["ours"] / best["bare"], 2),
        "of_by_hand": round(best["ours"] / best["by_hand"], 2),
        "of_duckdb": round(best["duckdb"] / best["ours"], 1),
        "plan": plan,
        "peak_MB": _peak_mb(),
    }


def _bare_searches(store: FeatureStore) -> tuple[int, list[Callable[[], object]]]:
    """FAISS's flat search of the photos of each gender among the popular ones of the other."""
    photos = store.sql(
        "select photo_id, gender, coalesce(popular and source = 'swipes', false) as popular"
        " from photos join users using (user_id) left join photo_labels using (photo_id, user_id, gender)"
        " where gender in ('female', 'male') order by photo_id"
    )
    ids, X = store.embeddings("efficientnet_lite0")
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    held = photos.join(pl.DataFrame({"photo_id": ids, "row": np.arange(len(ids))}), on="photo_id")
    asked = held.unique("photo_id").sort("photo_id").head(1000)
    searches = []
    for gender in ("female", "male"):
        flat = faiss.IndexFlatIP(unit.shape[1])
        flat.add(unit[held.filter(pl.col("popular"), pl.col("gender") != gender)["row"].to_numpy()])
        Q = np.ascontiguousarray(unit[asked.filter(gender=gender)["row"].to_numpy()])
        searches.append(lambda flat=flat, Q=Q: flat.search(Q, 5))
    return len(asked), searches


def _same(ours: pl.DataFrame, theirs: pl.DataFrame) -> bool:
    """Whether two answers have the same rows; among equal distances DuckDB takes any photo."""
    by = ["photo_id", "distance", "neighbour_id"]
    left, right = ours.sort(by), theirs.sort(by)
    if left.columns != right.columns or left.dtypes != right.dtypes or len(left) != len(right):
        return False
    differ = left["neighbour_id"] != right["neighbour_id"]
    near = np.allclose(left["distance"], right["distance"], atol=1e-6)
    tied = np.isclose(left.filter(differ)["distance"], right.filter(differ)["distance"], atol=1e-6).all()
    return bool((left["photo_id"] == right["photo_id"]).all() and near and tied)


def filtered(folder: Path, X: np.ndarray, n_queries: int, peers: list[Path]) -> Iterator[dict[str, Any]]:
    """Measure single searches within a filter in SQL, by the API, and in other tools."""
    db, ids = store_of(folder, X)
    made = index.build(Store(db), "bench")
    yield {"what": "build", "photos": len(X), "kind": made.kind, "recall_at_10": round(made.recall_at_10, 4)}
    asked = np.random.default_rng(1).permutation(len(X))[:n_queries]
    with FeatureStore(db.layout.root, settings=SETTINGS) as store, _server(db.layout.root) as (_, port):
        for share in (0.1, 0.01):
            yield _sql_and_api(store, port, X, ids, asked, share)
    yield from lancedb(folder, X, asked)
    yield from vss(folder, X, asked, peers)


def _sql_and_api(
    store: FeatureStore, port: int, X: np.ndarray, ids: list[str], asked: np.ndarray, share: float
) -> dict[str, Any]:
    n = int(len(X) * share)
    where = f"photo_id < '{ids[n]}'"
    query = f"from similar($photo, k := {K}, encoder := 'bench', filter := $where)"
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times: dict[str, list[float]] = {"sql": [], "api": []}
    found: dict[str, list[list[int]]] = {"sql": [], "api": []}

    def by_sql(photo: str) -> list[str]:
        return store.sql(query, {"photo": photo, "where": where})["photo_id"].to_list()

    def by_api(photo: str) -> list[str]:
        told = _post(connection, "/api/v1/similar", {"photo_id": photo, "k": K, "encoder": "bench", "where": where})
        return [one["photo_id"] for one in told["photos"]]

    for ask in (by_sql, by_api):  # the first search evaluates the filter
        ask(ids[0])
    for at in range(0, len(asked), BLOCK):
        for name, ask in (("sql", by_sql), ("api", by_api)):
            for row in asked[at : at + BLOCK]:
                start = time.perf_counter()
                rows = ask(ids[row])
                times[name].append(time.perf_counter() - start)
                found[name].append([int(one[1:]) for one in rows])
    truth = _exact(X, asked, np.arange(n))
    p50 = {name: statistics.median(seconds) for name, seconds in times.items()}
    return {
        "what": "filtered",
        "share": share,
        "p50_ms": round(1e3 * p50["sql"], 2),
        "api_p50_ms": round(1e3 * p50["api"], 2),
        "of_api": round(p50["sql"] / p50["api"], 2),
        "recall": round(_overlap(np.array(found["sql"]), truth), 4),
        "api_recall": round(_overlap(np.array(found["api"]), truth), 4),
        "peak_MB": _peak_mb(),
    }


def lancedb(folder: Path, X: np.ndarray, asked: np.ndarray) -> Iterator[dict[str, Any]]:
    """Measure LanceDB on the same work: its flat search, and its inverted file with product quantization."""
    if importlib.util.find_spec("lancedb") is None:
        yield {"what": "lancedb", "why": "not installed"}
        return
    import lancedb
    import pyarrow as pa

    vectors = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1])
    table = lancedb.connect(folder / "lance").create_table(
        "photos", pa.table({"row": pa.array(np.arange(len(X))), "vector": vectors})
    )
    for kind in ("flat", "IVF_PQ"):
        start = time.perf_counter()
        if kind != "flat":
            table.create_index(metric="cosine", vector_column_name="vector")
        build_s = time.perf_counter() - start
        for share in (0.1, 0.01):
            n = int(len(X) * share)

            def ask(row: int, n: int = n, kind: str = kind) -> list[int]:
                search = table.search(X[row]).distance_type("cosine").where(f"row < {n}", prefilter=True)
                search = search.bypass_vector_index() if kind == "flat" else search.nprobes(20).refine_factor(10)
                rows = search.select(["row", "_distance"]).limit(K + 1).to_arrow()["row"].to_pylist()
                return [one for one in rows if one != row][:K]

            yield {"what": f"lancedb {kind}", "build_s": round(build_s, 1)} | _measured(ask, X, asked, n, share)


def vss(folder: Path, X: np.ndarray, asked: np.ndarray, peers: list[Path]) -> Iterator[dict[str, Any]]:
    """Measure DuckDB's extension vss on the same work, in a process with the version of DuckDB that it is made for."""
    np.save(folder / "vectors.npy", X)
    np.save(folder / "asked.npy", asked)
    done = subprocess.run(
        [sys.executable, str(PEER), str(folder), *(str(peer.absolute()) for peer in peers)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        yield {"what": "vss", "why": (done.stderr.strip().splitlines() or ["it ended"])[-1]}
        return
    for line in done.stdout.splitlines():
        told = json.loads(line)
        rows = np.array([(one + [-1] * K)[:K] for one in told.pop("rows")])
        yield told | {"recall": round(_overlap(rows, _exact(X, asked, np.arange(told["n"]))), 4)}


def _measured(
    ask: Callable[[int], list[int]], X: np.ndarray, asked: np.ndarray, n: int, share: float
) -> dict[str, Any]:
    ask(int(asked[0]))
    times, found = [], []
    for row in asked:
        start = time.perf_counter()
        rows = ask(int(row))
        times.append(time.perf_counter() - start)
        found.append((rows + [-1] * K)[:K])
    return {
        "share": share,
        "p50_ms": round(1e3 * statistics.median(times), 2),
        "recall": round(_overlap(np.array(found), _exact(X, asked, np.arange(n))), 4),
    }


def _time(call: Callable[..., object], *given: object) -> float:
    start = time.perf_counter()
    call(*given)
    return time.perf_counter() - start


def _peak_mb() -> int:
    """Largest memory of this process until now."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def _print(line: dict[str, Any]) -> None:
    print(json.dumps({"bench": "nearest", **line}), flush=True)


if __name__ == "__main__":
    main()

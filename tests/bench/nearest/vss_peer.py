"""Search with DuckDB's extension vss, in a process of its own: bench_nearest starts it.

python vss_peer.py FOLDER [PACKAGES ...]

FOLDER has vectors.npy and asked.npy. PACKAGES are folders with duckdb and duckdb_extension_vss; without them the
extension is installed from DuckDB's server, where that can be reached.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

K = 10


def main() -> None:
    folder = Path(sys.argv[1])
    sys.path[:0] = sys.argv[2:]
    import duckdb
    import numpy as np
    import pyarrow as pa

    X, asked = np.load(folder / "vectors.npy"), np.load(folder / "asked.npy")
    con = duckdb.connect()
    try:
        import duckdb_extension_vss
    except ImportError:
        con.execute("install vss")
        con.execute("load vss")
    else:
        (found,) = Path(next(iter(duckdb_extension_vss.__path__))).rglob("vss.duckdb_extension")
        con.execute(f"load '{found}'")
    dim = X.shape[1]
    given = pa.table({"row": np.arange(len(X)), "v": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), dim)})
    con.register("given", given)
    con.execute(f"create table photos as select row, cast(v as float[{dim}]) as v from given")
    start = time.perf_counter()
    con.execute("create index near on photos using hnsw (v) with (metric = 'cosine')")
    build_s = round(time.perf_counter() - start, 1)
    for share in (0.1, 0.01):
        n = int(len(X) * share)
        query = (
            f"select row from photos where row < {n} and row <> $2"
            f" order by array_cosine_distance(v, $1::float[{dim}]) limit {K}"
        )
        plan = con.execute(f"explain {query}", [X[0].tolist(), 0]).fetchall()[0][1]
        rows, times = [], []
        for row in asked:
            values = [X[row].tolist(), int(row)]
            start = time.perf_counter()
            rows.append([one for (one,) in con.execute(query, values).fetchall()])
            times.append(time.perf_counter() - start)
        told = {
            "what": f"vss of DuckDB {duckdb.__version__}",
            "build_s": build_s,
            "uses_index": "HNSW" in plan,
            "share": share,
            "n": n,
            "p50_ms": round(1e3 * statistics.median(times), 2),
            "rows": rows,
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()

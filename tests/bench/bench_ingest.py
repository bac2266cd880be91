"""Compare the ingest of swipes, with all checks and the snapshot, with DuckDB's `create table as` of the same file.

    python -m tests.bench.bench_ingest [--swipes 40000000] [--rounds 3]

Each measurement is a process of its own with a new folder, ours and DuckDB's in turn, with the same memory
limit and threads. Times are medians; peak memory is that of the process. The second file has 1 % of invalid rows and
0.1 % of duplicates: it is read twice more, for the lines of the rejects. The third file is the delivery of a day:
1 % more swipes with new times, into a store with the first file; its ratio is to DuckDB's load of the first file.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from photogenic.warehouse import Database, Layout, Settings, Store

MEMORY, THREADS, USERS = "3GB", 2, 85_000
SWIPES = """
    select
        'u' || hash(i) % {users} as sender_id,
        'u' || hash(i, 1) % {users} as recipient_id,
        hash(i, 2) % 100 < 37 as liked,
        timestamp '2022-01-01'
        + to_microseconds(cast(({first} + i) * {step} + hash(i, 3) % {step} as bigint)) as swiped_at
    from range({n}) as t(i)
"""
DIRTY = """
    select
        case when hash(i, 4) % 200 > 0 then 'u' || hash(i) % {users} end as sender_id,
        'u' || hash(i, 1) % {users} as recipient_id,
        hash(i, 2) % 100 < 37 as liked,
        case when hash(i, 5) % 200 > 0
            then timestamp '2022-01-01' + to_microseconds(cast(i * {step} + hash(i, 3) % {step} as bigint))
            else timestamp '2222-01-01'
        end as swiped_at
    from (select case when hash(i) % 1000 > 0 then i else greatest(i - 1000, 0) end as i from range({n}) as t(i))
"""


def main() -> None:
    """Print one line per comparison."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--swipes", type=int, default=40_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=3, metavar=("WHO", "FILE", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.child:
        who, file, folder = arguments.child
        print(json.dumps({"load": _load, "ingest": _ingest}[who](Path(file), Path(folder))))
        return
    with tempfile.TemporaryDirectory() as folder:
        for ratio in run(arguments.swipes, Path(folder), rounds=arguments.rounds):
            print(
                f"ingest {ratio['what']}: {ratio['ratio']:.2f} x create table as"
                f" ({ratio['ours_s']:.1f} s / {ratio['theirs_s']:.1f} s), peak {ratio['peak_gb']:.1f} GB",
                flush=True,
            )


def run(n_swipes: int, folder: Path, *, rounds: int = 3) -> list[dict[str, Any]]:
    """Run the comparisons at one size.

    Args:
        n_swipes: number of swipes in the file.
        folder: folder for files and stores; about 60 bytes per swipe.
        rounds: number of measurements of each side.

    Returns:
        Per comparison: what, ratio, ours_s, theirs_s (medians, seconds), peak_gb (ours, largest).
    """
    clean, dirty, more = (folder / f"{name}.parquet" for name in ("clean", "dirty", "more"))
    step = 2 * 365 * 86_400_000_000 // n_swipes
    _write(SWIPES.format(users=USERS, step=step, first=0, n=n_swipes), clean)
    _write(DIRTY.format(users=USERS, step=step, n=n_swipes), dirty)
    _write(SWIPES.format(users=USERS, step=step, first=n_swipes, n=n_swipes // 100), more)
    size = f"{n_swipes / 1e6:g}M swipes"
    found = [
        _compare(size, clean, folder, rounds),
        _compare(f"{size}, 1 % refused", dirty, folder, rounds),
    ]
    store = folder / "held"
    _child("ingest", clean, store)
    ours = [_child("ingest", more, shutil.copytree(store, folder / "store")) for _ in range(1)]
    shutil.rmtree(folder / "store")
    found.append(_ratio(f"1 % more into {size}", ours, [{"s": found[0]["theirs_s"]}]))
    return found


def _compare(what: str, file: Path, folder: Path, rounds: int) -> dict[str, Any]:
    ours, theirs = [], []
    for _ in range(rounds):
        for who, sides in (("load", theirs), ("ingest", ours)):
            sides.append(_child(who, file, folder / who))
            shutil.rmtree(folder / who)
    return _ratio(what, ours, theirs)


def _ratio(what: str, ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> dict[str, Any]:
    ours_s, theirs_s = (statistics.median(side["s"] for side in sides) for sides in (ours, theirs))
    peak = max(side["peak_gb"] for side in ours)
    return {"what": what, "ratio": ours_s / theirs_s, "ours_s": ours_s, "theirs_s": theirs_s, "peak_gb": peak}


def _child(who: str, file: Path, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.bench_ingest", "--child", who, str(file), str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    return dict(json.loads(done.stdout))


def _load(file: Path, folder: Path) -> dict[str, float]:
    import duckdb

    folder.mkdir()
    began = time.perf_counter()
    with duckdb.connect(
        folder / "plain.duckdb",
        config={"memory_limit": MEMORY, "threads": THREADS, "temp_directory": str(folder / "tmp")},
    ) as con:
        con.execute("set preserve_insertion_order = false")
        con.execute("create table swipes as select * from read_parquet($1)", [str(file)])
    return _measured(began)


def _ingest(file: Path, folder: Path) -> dict[str, float]:
    from photogenic.ingest.tabular.load import ingest

    db = Database(Layout(folder), Settings(MEMORY, THREADS))
    began = time.perf_counter()
    [account] = ingest(Store(db), "swipes", [file])
    if account.n_new < 0.98 * account.n_read or account.repeated:
        raise AssertionError(str(account))
    return _measured(began)


def _measured(began: float) -> dict[str, float]:
    elapsed = time.perf_counter() - began
    return {"s": elapsed, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}


def _write(query: str, file: Path) -> None:
    import duckdb

    with duckdb.connect(config={"memory_limit": MEMORY, "threads": THREADS}) as con:
        con.execute("set preserve_insertion_order = true")
        con.execute(f"copy ({query}) to '{file}' (format parquet, compression zstd)")


if __name__ == "__main__":
    main()

"""Compare a named training set with a bare interval join in DuckDB, and with Feast on the same data.

    python -m tests.bench.bench_sets [--rows 5000000] [--intervals 190000] [--rounds 3] [--memory 3GB]
    python -m tests.bench.bench_sets --feast VENV/bin/python    and Feast's DuckDB offline store (feast[duckdb])

Rows are swipes on 85,000 users over two years; the intervals are an own relation over the changes of main photos, with
two features. Every step is measured in turn, so that other load affects all of them, in processes of their own, for
their memory:

    join      the join of the set and the bare join, both counted and not written
    written   both, written as Parquet with zstd; the set's with its counts, split and hashes
    create    `features training-set create`: checks, split, join, file, counts, audit at 5 instants, publication
    feast     `get_historical_features` of the same two features, written as Parquet

`create` publishes the warehouse at its end, which copies its file; that copy is measured too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from photogenic.models.training_sets.create import create
from photogenic.models.training_sets.join import Join
from photogenic.models.training_sets.options import TrainingSetOptions
from photogenic.models.training_sets.sources import sources_of
from photogenic.models.training_sets.splits import make_splits
from photogenic.models.training_sets.versions import remove
from photogenic.models.training_sets.writing import write_rows
from photogenic.warehouse import Database, Layout, Settings, Store
from photogenic.warehouse.definitions.project import ProjectDefinitions
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.moment import Moment

USERS = 85_000

STANDING = """-- standing: how many main photos a user had so far, and how long the former one lasted.
--
-- grain:  user_id, valid_from
-- reads:  main_photos
-- time:   [valid_from, valid_to), one interval of a user beginning where the former ends
-- source: benchmark
with events as (
    select
        user_id,
        set_at,
        lag(set_at) over (partition by user_id order by set_at) as former_at,
        lead(set_at) over (partition by user_id order by set_at) as next_at,
        row_number() over (partition by user_id order by set_at) as n_photos
    from (select distinct user_id, set_at from main_photos) as distinct_events
)
select
    cast(user_id as varchar) as user_id, -- the user
    cast(set_at as timestamp) as valid_from, -- inclusive
    cast(next_at as timestamp) as valid_to, -- exclusive; NULL: still holds
    cast(n_photos as bigint) as n_photos, -- main photos so far
    cast(epoch(set_at) - epoch(former_at) as double) as former_s -- seconds that the former one lasted
from events
"""

OPTIONS = TrainingSetOptions(
    target="swipes.liked", features=("standing.n_photos", "standing.former_s"), entity="swipes", at="swiped_at"
)

BARE = """
select
    swipes.sender_id, swipes.recipient_id, swipes.swiped_at as instant, swipes.liked as target,
    standing.n_photos, standing.former_s
from swipes
left join standing
    on swipes.recipient_id = standing.user_id
    and standing.valid_from <= swipes.swiped_at
    and (standing.valid_to is null or swipes.swiped_at < standing.valid_to)
"""

FEAST = """
import json, resource, sys, time
from datetime import timedelta
from pathlib import Path
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64, Int64
from feast.value_type import ValueType
folder = Path(sys.argv[1])
store = FeatureStore(config=RepoConfig(project="bench", provider="local", registry=str(folder / "registry.db"),
    offline_store={"type": "duckdb"}, online_store=None, entity_key_serialization_version=3))
user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
source = FileSource(name="standing", path=str(folder / "standing.parquet"), timestamp_field="event_timestamp")
view = FeatureView(name="standing", entities=[user], ttl=timedelta(0), source=source,
    schema=[Field(name="n_photos", dtype=Int64), Field(name="former_s", dtype=Float64)])
store.apply([user, view])
entities = pd.read_parquet(folder / "entities.parquet")
started, cpu = time.perf_counter(), time.process_time()
job = store.get_historical_features(entity_df=entities, features=["standing:n_photos", "standing:former_s"])
found = job.to_arrow()
import pyarrow.parquet as pq
pq.write_table(found, folder / "feast.parquet", compression="zstd")
print(json.dumps({"s": time.perf_counter() - started, "cpu_s": time.process_time() - cpu, "n": found.num_rows,
    "n_matched": found.num_rows - found["n_photos"].null_count,
    "gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
"""


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--intervals", type=int, default=190_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="3GB")
    parser.add_argument("--feast", help="a Python that has feast[duckdb]")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        apart(generate, folder, given.rows, given.intervals, given.memory)
        steps = {
            "bare_join": bare_join,
            "our_join": our_join,
            "bare_written": bare_written,
            "our_written": our_written,
            "create": created,
        }
        measured: dict[str, list[dict[str, float]]] = {}
        for _ in range(given.rounds):
            for step, run in steps.items():
                measured.setdefault(step, []).append(apart(run, folder, given.memory))
            if given.feast:
                measured.setdefault("feast", []).append(by_feast(folder, given.feast))
    print(json.dumps({"bench": "sets", "rows": given.rows, "intervals": given.intervals, **figures(measured)}))


def figures(measured: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Return medians of each step, and the ratios that are promised."""
    found: dict[str, Any] = {}
    for step, rounds in measured.items():
        for what in ("s", "cpu_s", "gb"):
            found[f"{step}_{what}"] = round(statistics.median(one[what] for one in rounds), 2)
        found[f"{step}_matched"] = int(rounds[-1]["n_matched"])
    for what in ("s", "cpu_s"):
        found[f"join_over_bare_{what}"] = round(found[f"our_join_{what}"] / found[f"bare_join_{what}"], 2)
        found[f"written_over_bare_{what}"] = round(found[f"our_written_{what}"] / found[f"bare_written_{what}"], 2)
        found[f"create_over_bare_{what}"] = round(found[f"create_{what}"] / found[f"bare_written_{what}"], 2)
    return found


def apart(run: Any, *given: Any) -> Any:
    """Run in a process of its own, since peak memory is per process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(run, given)


def store_of(folder: Path, memory: str) -> Store:
    project = ProjectDefinitions("bench", "bench", folder, relations={"standing": STANDING})
    return Store(Database(Layout(folder / "store"), Settings(memory, 2)), project=project)


def generate(folder: Path, n_rows: int, n_intervals: int, memory: str) -> None:
    """Make the store, and the same data as files for Feast."""
    store = store_of(folder, memory)
    with store.database.write("bench") as con:
        con.execute("select setseed(0.5)")
        con.execute(
            f"""
            insert into facts.users (user_id, gender, ingested_at)
            select 'u' || lpad(cast(range as varchar), 8, '0'), 'female', timestamp '2025-01-02' from range({USERS});
            insert into facts.main_photos (user_id, photo_id, set_at, ingested_at, batch)
            select 'u' || lpad(cast(range % {USERS} as varchar), 8, '0'), 'p' || lpad(cast(range as varchar), 8, '0'),
                timestamp '2023-01-01' + to_microseconds(cast(random() * 6.3e13 as bigint)), timestamp '2025-01-02', 1
            from range({n_intervals});
            insert into facts.swipes (sender_id, recipient_id, liked, swiped_at, ingested_at, batch)
            select 'u' || lpad(cast(cast(floor(random() * {USERS}) as bigint) as varchar), 8, '0'),
                'u' || lpad(cast(cast(floor(random() * {USERS}) as bigint) as varchar), 8, '0'), random() < 0.4,
                timestamp '2023-01-01' + to_microseconds(cast(range * (6.3e13 / {n_rows}) as bigint)),
                timestamp '2025-01-02', 1
            from range({n_rows});
            """
        )
    build_labels(store)
    with bare(folder, memory) as con:
        con.execute(
            f"""
            copy (select recipient_id as user_id, swiped_at at time zone 'UTC' as event_timestamp, liked from swipes)
            to '{folder / "entities.parquet"}';
            copy (select user_id, valid_from at time zone 'UTC' as event_timestamp, n_photos, former_s from standing)
            to '{folder / "standing.parquet"}';
            """
        )


def bare(folder: Path, memory: str) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(folder / "store" / "snapshot.duckdb", read_only=True, config={"threads": 2})
    con.execute(f"set memory_limit = '{memory}'")
    con.execute("set enable_progress_bar = false")
    con.execute("set timezone = 'UTC'")
    return con


def timed(run: Any) -> dict[str, float]:
    started, cpu = time.perf_counter(), time.process_time()
    n_matched = run()
    return {
        "s": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu,
        "gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "n_matched": n_matched,
    }


def counted(con: duckdb.DuckDBPyConnection, query: str, column: str) -> int:
    """Run a join without writing it: every column is read."""
    sums = "count(n_photos), sum(n_photos), sum(former_s), max(instant), count(target)".replace(
        "n_photos", column + "n_photos"
    )
    sums = sums.replace("former_s", column + "former_s")
    found: int = con.execute(f"select {sums} from ({query})").fetchall()[0][0]
    return found


def bare_join(folder: Path, memory: str) -> dict[str, float]:
    with bare(folder, memory) as con:
        return timed(lambda: counted(con, BARE, ""))


def our_join(folder: Path, memory: str) -> dict[str, float]:
    """Measure the join of the set alone: what it does besides checks, split, file and audit."""
    store = store_of(folder, memory)
    with store.database.read(labelling=True) as con:
        join = Join(con, sources_of(con, OPTIONS, store.layout), OPTIONS, Moment())
        join.check()
        join.counts()
        make_splits(join, OPTIONS, 0)
        return timed(lambda: counted(con, join.query(), "standing__"))


def our_written(folder: Path, memory: str) -> dict[str, float]:
    """Measure the join of the set with its file and its counts."""
    store = store_of(folder, memory)
    with store.database.read(labelling=True) as con:
        join = Join(con, sources_of(con, OPTIONS, store.layout), OPTIONS, Moment())
        join.check()
        n_rows = join.counts()["entity_rows"]
        make_splits(join, OPTIONS, 0)
        return timed(lambda: write_rows(join, folder / "ours.parquet", n_rows).matched["standing"])


def bare_written(folder: Path, memory: str) -> dict[str, float]:
    path = folder / "bare.parquet"
    with bare(folder, memory) as con:

        def run() -> int:
            con.execute(f"copy ({BARE}) to '{path}' (format parquet, compression zstd)")
            found: int = con.execute(f"select count(n_photos) from read_parquet('{path}')").fetchall()[0][0]
            return found

        return timed(run)


def created(folder: Path, memory: str) -> dict[str, float]:
    store = store_of(folder, memory)

    def run() -> int:
        found = create(store, "bench", OPTIONS)
        assert found.is_new
        assert found.manifest.audit["instants"] == 5
        return int(found.manifest.counts["relations"]["standing"]["matched"])

    measured = timed(run)
    remove(store, "bench")
    return measured


def by_feast(folder: Path, python: str) -> dict[str, float]:
    done = subprocess.run([python, "-c", FEAST, str(folder)], check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2_000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()

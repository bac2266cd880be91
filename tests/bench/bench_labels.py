"""Compare the label build with one hand-written interval join over the same swipes.

    python -m tests.bench.bench_labels [--swipes 10000000 40000000 160000000] [--rounds 3] [--memory 3GB]

85,000 users (37:63), 190,000 main-photo events, string ids, two years of swipes in order of time: the size of
the published experiment. `hand` is the query of an analyst for one window: `lead()` intervals, one range
join, likes per photo. `full` computes and audits every relation for both windows; `update` does so
after 1 % more swipes. Publishing always copies the whole warehouse file, and is measured separately.

Ratios are given for elapsed time and for CPU time. On a busy machine CPU time is more reliable, but it does not
show waiting cores. Growth compares seconds per swipe at each size with those at the smallest.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from photogenic.warehouse import Database, Layout, Settings, Store
from photogenic.warehouse.labels.build import build_labels

USERS, EVENTS = 85_000, 190_000

HAND = """
create or replace temp table likes as
with periods as (
    select user_id, photo_id, set_at as valid_from,
        lead(set_at) over (partition by user_id order by set_at, photo_id) as valid_to
    from facts.main_photos
)
select photo_id, count(*) as n_swipes, count(*) filter (where liked) as n_likes
from facts.swipes
inner join periods
    on recipient_id = user_id and swiped_at >= valid_from and (swiped_at < valid_to or valid_to is null)
group by photo_id
"""


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--swipes", type=int, nargs="+", default=[10_000_000, 40_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="3GB")
    given = parser.parse_args()
    told: dict[int, dict[str, Any]] = {}
    for n_swipes in given.swipes:
        told[n_swipes] = in_fresh_process(n_swipes, given.rounds, given.memory)
        print(json.dumps({"bench": "labels", **told[n_swipes]}), flush=True)
    least = min(told)
    for n_swipes in told:
        if n_swipes > least:
            growth = {
                f"growth_of_{what}": round(told[n_swipes][what] / told[least][what] / (n_swipes / least), 3)
                for what in ("hand_s", "full_s", "hand_cpu_s", "full_cpu_s")
            }
            print(json.dumps({"bench": "labels", "swipes": n_swipes, **growth}), flush=True)


def in_fresh_process(*given: Any) -> dict[str, Any]:
    """Run each size in a process of its own, since peak memory is per process."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(measured, given)


def measured(n_swipes: int, rounds: int, memory: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        db = Database(Layout(Path(folder)), Settings(memory, 2))
        generate(db, n_swipes)
        return bench(db, n_swipes, rounds)


def bench(db: Database, n_swipes: int, rounds: int) -> dict[str, Any]:
    """Run the hand-written join, the full build and the update in turn, so that other load affects all three."""
    hand, full, update, publish, corrected, full_again = [], [], [], [], [], []
    for round_no in range(rounds):
        hand.append(by_hand(db))
        full.append(by_build(db, anew=True))
        append(db, n_swipes // 100, round_no)
        started = time.perf_counter()
        update.append(by_build(db))
        publish.append(time.perf_counter() - started - update[-1][0])
        correct(db, n_swipes // 100, n_swipes // 1000)
        corrected.append(by_build(db))
        counts = states(db)
        full_again.append(by_build(db, anew=True))
        if states(db) != counts:
            raise AssertionError("the update differs from a full build")
    of = {"hand": hand, "full": full, "update": update, "corrected": corrected, "full_again": full_again}
    return {
        "swipes": n_swipes,
        **{f"{what}_s": round(statistics.median(s for s, _ in times), 2) for what, times in of.items()},
        **{f"{what}_cpu_s": round(statistics.median(cpu for _, cpu in times), 2) for what, times in of.items()},
        "publish_s": round(statistics.median(publish), 2),
        "full_over_hand": _ratio(full, hand, 0),
        "full_over_hand_cpu": _ratio(full, hand, 1),
        "update_over_full": _ratio(update, full, 0),
        "update_over_full_cpu": _ratio(update, full, 1),
        "corrected_over_full": _ratio(corrected, full_again, 0),
        "corrected_over_full_cpu": _ratio(corrected, full_again, 1),
        "full_of_corrected_over_full": _ratio(full_again, full, 0),
        "peak_memory_GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
        "load": round(os.getloadavg()[1], 1),
    }


def by_build(db: Database, *, anew: bool = False) -> tuple[float, float]:
    """Return elapsed seconds of a label build without its publication, and CPU seconds including it."""
    began = time.process_time()
    report = build_labels(Store(db), anew=anew)
    return report.seconds, time.process_time() - began


def by_hand(db: Database) -> tuple[float, float]:
    """Return elapsed seconds and CPU seconds of the hand-written join."""
    settings = {"memory_limit": db.settings.memory_limit, "threads": 2, "temp_directory": str(db.layout.spill)}
    with duckdb.connect(db.layout.warehouse, read_only=True, config=settings) as con:
        con.execute("set enable_progress_bar = false")
        started, began = time.perf_counter(), time.process_time()
        con.execute(HAND)
        return time.perf_counter() - started, time.process_time() - began


def generate(db: Database, n_swipes: int, *, users: int = USERS, events: int = EVENTS) -> None:
    """Make facts by plain SQL. Nine of ten users have photos; like rates are those of the published table."""
    step = 63_072_000_000_000 // n_swipes  # microseconds: two years
    with db.write("bench") as con:
        con.execute(f"""
            insert into facts.users (user_id, gender, followers, created_at, ingested_at)
            select 'u' || i, case when hash(i) % 100 < 37 then 'female' else 'male' end, null, null,
                timestamp '2026-01-01'
            from range({users}) as t(i);

            insert into facts.photos (photo_id, user_id, ingested_at)
            select 'p' || i, 'u' || case when i < {users} * 9 // 10 then i else hash(i, 1) % ({users} * 9 // 10) end,
                timestamp '2026-01-01'
            from range({events}) as t(i);

            insert into facts.main_photos (user_id, photo_id, set_at, ingested_at)
            select user_id, photo_id,
                timestamp '2024-01-01' + to_microseconds(cast(hash(photo_id) % 63072000000000 as bigint)),
                timestamp '2026-01-01'
            from facts.photos;
        """)
        con.execute(f"""
            insert into facts.swipes (sender_id, recipient_id, liked, swiped_at, ingested_at, batch)
            select 'u' || sender, 'u' || recipient,
                hash(i, 4) % 100 < case
                    when hash(sender) % 100 < 37 then case when hash(recipient) % 100 < 37 then 33 else 24 end
                    else case when hash(recipient) % 100 < 37 then 75 else 31 end
                end,
                timestamp '2024-01-01' + to_microseconds({step} * i), timestamp '2026-01-01', 1
            from (
                select i, hash(i, 2) % {users} as sender, hash(i, 3) % {users} as recipient
                from range({n_swipes}) as t(i)
            )
        """)


def append(db: Database, n_swipes: int, round_no: int) -> None:
    """Add the new swipes of a day, which arrive after all others."""
    with db.write("bench") as con:
        con.execute(f"""
            insert into facts.swipes (sender_id, recipient_id, liked, swiped_at, ingested_at, batch)
            select 'u' || hash(i, {round_no}, 2) % {USERS}, 'u' || hash(i, {round_no}, 3) % {USERS},
                hash(i, 4) % 100 < 40,
                timestamp '2026-01-02' + to_microseconds(i), timestamp '2026-01-02' + to_days({round_no}),
                (select max(batch) + 1 from facts.swipes)
            from range({n_swipes}) as t(i)
        """)


def correct(db: Database, n_corrected: int, n_retracted: int) -> None:
    """Replace the values of swipes all over the log by others, and take others back, as the ingest of a file does."""
    with db.write("bench") as con:
        ((n, *batches),) = con.execute(
            """
            select
                (select count(*) from facts.swipes),
                (select 1 + max(batch) from facts.swipes),
                (select 1 + coalesce(max(replaced_batch), 0) from facts.replaced_swipes)
            """
        ).fetchall()
        batch = max(batches)
        con.execute(f"""
            create or replace temp table former as
            select *, hash(rowid, {batch}, 1) % {n_corrected + n_retracted} < {n_retracted} as is_retracted
            from facts.swipes
            where hash(rowid, {batch}) % {n} < {n_corrected + n_retracted};
            delete from facts.swipes where hash(rowid, {batch}) % {n} < {n_corrected + n_retracted};
            insert into facts.replaced_swipes
            select * exclude (is_retracted), ingested_at + interval 1 hour, {batch} from former;
            insert into facts.swipes
            select * exclude (is_retracted)
                replace (not liked as liked, ingested_at + interval 1 hour as ingested_at, {batch} as batch)
            from former
            where not is_retracted;
        """)


def states(db: Database) -> list[tuple[Any, ...]]:
    """Return the number of rows and the checksum of each relation."""
    return db.rows("select relation, n_rows, checksum from checksums order by all")


def _ratio(ours: list[tuple[float, float]], theirs: list[tuple[float, float]], of: int) -> float:
    """Return the median over rounds of elapsed time (0) or CPU time (1)."""
    return round(statistics.median(one[of] / other[of] for one, other in zip(ours, theirs, strict=True)), 3)


if __name__ == "__main__":
    main()

"""Compare the update of additive relations with their full computation, after 1 % new and after 1 % corrected swipes.

    python -m tests.bench.bench_own [--swipes 10000000] [--rounds 3] [--memory 3GB]

The facts are those of bench_labels. Three own relations count swipes by recipient, by day and gender of the recipient,
and by the photo that they are credited to with reason and genders. The time of a relation is that of its computation,
its contract and its checksum; the labels before it are not counted. Every update is compared with the full computation.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from photogenic.warehouse import Database, Layout, Settings, Store
from photogenic.warehouse.definitions.build import OwnComputation
from photogenic.warehouse.definitions.project import ProjectDefinitions
from photogenic.warehouse.labels.build import build_labels
from tests.bench.bench_labels import append, correct, generate, states

HEADER = (
    "-- {name}: a count\n--\n-- grain: {grain}\n-- reads: {reads}\n-- time: all\n-- source: bench\n-- additive: {log}\n"
)
RELATIONS = {
    "received": HEADER.format(name="received", grain="user_id", reads="swipes", log="swipes")
    + """select
    cast(recipient_id as varchar) as user_id, -- who
    cast(count(*) as bigint) as n, -- swipes
    cast(count(*) filter (where liked) as bigint) as n_likes -- likes
from swipes
group by all
""",
    "daily": HEADER.format(name="daily", grain="day, gender", reads="swipes, users", log="swipes")
    + """select
    cast(swiped_at as date) as day, -- when
    cast(users.gender as varchar) as gender, -- of the recipient
    cast(count(*) as bigint) as n -- swipes
from swipes
left join users on swipes.recipient_id = users.user_id
group by all
""",
    "credited": HEADER.format(
        name="credited",
        grain="photo_id, reason, sender_gender, recipient_gender",
        reads="photo_swipes",
        log="photo_swipes",
    )
    + """select
    cast(photo_id as varchar) as photo_id, -- photo
    cast(reason as varchar) as reason, -- reason
    cast(sender_gender as varchar) as sender_gender, -- from
    cast(recipient_gender as varchar) as recipient_gender, -- to
    cast(count(*) as bigint) as n, -- swipes
    cast(coalesce(sum(photo_age_s), 0) as bigint) as age_s -- ages
from photo_swipes
group by all
""",
}


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--swipes", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="3GB")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = Database(Layout(Path(folder) / "store"), Settings(given.memory, 2))
        generate(db, given.swipes)
        store = Store(db, project=ProjectDefinitions("bench-own", "bench", Path(folder), relations=RELATIONS))
        for line in bench(store, given.swipes, given.rounds):
            print(json.dumps(line), flush=True)


def bench(store: Store, n_swipes: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield the ratios of each relation: CPU seconds of an update over those of a full computation after it."""
    build_labels(store)
    times: dict[str, dict[str, list[float]]] = {name: {} for name in RELATIONS}
    for round_no in range(rounds):
        for what in ("new", "corrected"):
            if what == "new":
                append(store.database, n_swipes // 100, round_no)
            else:
                correct(store.database, n_swipes // 100, n_swipes // 1000)
            for how, action in ((what, "updated"), (f"full_{what}", "computed")):
                with _timed() as spent:
                    report = build_labels(store, anew=action == "computed")
                actions = {one.name: one.action for one in report.own.relations}
                if actions != dict.fromkeys(RELATIONS, action):
                    raise AssertionError(f"not all relations were {action}: {report.own.relations}")
                for name, seconds in spent.items():
                    times[name].setdefault(how, []).append(seconds)
                if action == "updated":
                    counts = states(store.database)
            if states(store.database) != counts:
                raise AssertionError("the update differs from a full computation")
    for name, of in times.items():
        yield {
            "bench": "own",
            "relation": name,
            "swipes": n_swipes,
            **{f"{how}_cpu_s": round(statistics.median(seconds), 3) for how, seconds in of.items()},
            **{
                f"{what}_over_full_cpu": round(statistics.median(of[what]) / statistics.median(of[f"full_{what}"]), 3)
                for what in ("new", "corrected")
            },
            "load": round(os.getloadavg()[0], 1),
        }


@contextmanager
def _timed() -> Iterator[dict[str, float]]:
    """Measure the CPU seconds of the computation of each own relation."""
    spent: dict[str, float] = {}
    compute = OwnComputation._compute

    def timed(own: OwnComputation, definition: Any, *given: Any) -> None:
        began = time.process_time()
        compute(own, definition, *given)
        spent[definition.name] = time.process_time() - began

    with mock.patch.object(OwnComputation, "_compute", timed):
        yield spent


if __name__ == "__main__":
    main()

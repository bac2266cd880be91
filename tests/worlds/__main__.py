"""Compare many random worlds with an independent count: python -m tests.worlds --worlds 500 --spark 0.1.

With --own 100, a hundred random relations of the user's own are compared, ten in each world.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import MASTER, spark_session
from tests.worlds.compare import Found, compared
from tests.worlds.compare_own import EACH, FoundOwn, own_compared


def main() -> int:
    """Return 0 if every account and every relation equals the independent count."""
    parser = argparse.ArgumentParser(prog="python -m tests.worlds", description=__doc__)
    parser.add_argument("--worlds", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument(
        "--spark", type=float, default=0, metavar="SHARE", help="share of the worlds built on Spark too"
    )
    parser.add_argument("--own", type=int, default=0, metavar="N", help="compare N own relations instead")
    asked = parser.parse_args()
    if asked.own:
        return _own(asked.own, asked.first)
    found, started = Found(), time.process_time()
    with contextlib.ExitStack() as stack:
        if asked.spark:
            stack.enter_context(spark_session())
        for seed in range(asked.first, asked.first + asked.worlds):
            on_spark = random.Random(f"spark-{seed}").random() < asked.spark
            with tempfile.TemporaryDirectory(prefix="world-") as folder:
                one = compared(seed, Path(folder), MASTER if on_spark else None)
            found.add(one)
            for wrong in one.wrong:
                print(wrong, flush=True)
    each = (time.process_time() - started) / max(asked.worlds, 1)
    print(
        f"{asked.worlds} worlds ({found.n_spark} on Spark too), {found.n_compared:,} comparisons,"
        f" {len(found.wrong)} differences, {each:.1f} s of processor time a world"
    )
    return 1 if found.wrong else 0


def _own(n: int, first: int) -> int:
    """Return 0 if n own relations say in every build what the same SQL says by hand."""
    found, started = FoundOwn(), time.process_time()
    for seed in range(first, first + (n + EACH - 1) // EACH):
        with tempfile.TemporaryDirectory(prefix="world-") as folder:
            one = own_compared(seed, Path(folder))
        found.add(one)
        for wrong in one.wrong:
            print(wrong, flush=True)
    actions = ", ".join(f"{n:,} {action}" for action, n in sorted(found.actions.items()))
    print(
        f"{found.n_own} own relations ({actions}), {found.n_compared:,} comparisons, {len(found.wrong)} differences,"
        f" {time.process_time() - started:.0f} s of processor time"
    )
    return 1 if found.wrong else 0


sys.exit(main())

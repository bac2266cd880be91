"""Compare many random worlds with an independent count: python -m tests.worlds --worlds 500 --spark 0.1."""

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


def main() -> int:
    """Return 0 if every account and every relation equals the independent count."""
    parser = argparse.ArgumentParser(prog="python -m tests.worlds", description=__doc__)
    parser.add_argument("--worlds", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument(
        "--spark", type=float, default=0, metavar="SHARE", help="share of the worlds built on Spark too"
    )
    asked = parser.parse_args()
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


sys.exit(main())

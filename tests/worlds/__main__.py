"""Compare many random worlds with an independent count: python -m tests.worlds --worlds 300."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.worlds.compare import compared


def main() -> int:
    """Return 0 if every relation equals the independent count."""
    parser = argparse.ArgumentParser(prog="python -m tests.worlds", description=__doc__)
    parser.add_argument("--worlds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    asked = parser.parse_args()
    n_compared, wrong = 0, list[str]()
    for seed in range(asked.first, asked.first + asked.worlds):
        with tempfile.TemporaryDirectory(prefix="world-") as folder:
            n, differences = compared(seed, Path(folder))
        n_compared += n
        wrong += differences
        for difference in differences:
            print(difference, flush=True)
    print(f"{asked.worlds} worlds, {n_compared:,} comparisons, {len(wrong)} differences")
    return 1 if wrong else 0


sys.exit(main())

"""Time a table of the terminal as a multiple of the time in which its values become text.

python -m tests.bench.bench_table [--rows 10000]
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
import json
import time

from photogenic.app.terminal.output import Table, print_table

ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    n_rows = parser.parse_args().rows
    noon = dt.datetime(2024, 2, 1, 12)
    rows = [(f"photo-{n}", n, n / 7, noon, None, "text of some length", n % 2 == 0, n * 3) for n in range(n_rows)]
    table = Table(tuple("abcdefgh"), rows)
    bare, shown = [], []
    for _ in range(ROUNDS):
        started = time.process_time()
        text = [[str(value) for value in row] for row in rows]
        bare.append(time.process_time() - started)
        assert len(text) == n_rows
        started = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            print_table(table)
        shown.append(time.process_time() - started)
    figures = {"rows": n_rows, "cpu_s": round(min(shown), 3), "table_over_text": round(min(shown) / min(bare), 1)}
    print(json.dumps({"bench": "table", **figures}))


if __name__ == "__main__":
    main()

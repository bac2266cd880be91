"""Compare the start of the program with an interpreter that loads the libraries that it needs, and nothing else.

    python -m tests.bench.bench_start [--rounds 8]

`features --help` and completion of a name need typer; `features sql` needs typer and DuckDB. The smallest CPU time of
several runs in turn is taken, because other processes only add to it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from photogenic import FeatureStore

FEATURES = str(Path(sys.executable).with_name("features"))
TYPER = "import typer.main"
DUCKDB = "import typer.main, typer._adapters, duckdb; duckdb.connect().execute('select 1').fetchall()"
NAMES = {"_FEATURES_COMPLETE": "complete_bash", "COMP_WORDS": "features bu", "COMP_CWORD": "1"}


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=8)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        users = Path(folder) / "users.csv"
        users.write_text("user_id,gender\nu1,female\n")
        with FeatureStore(Path(folder) / "store") as store:
            store.ingest_users(users)
        cases = [
            ("--help", [FEATURES, "--help"], {}, TYPER),
            ("--version", [FEATURES, "--version"], {}, TYPER),
            ("completion of a name", [FEATURES], NAMES, TYPER),
            ("sql 'select 1'", [FEATURES, "sql", "select 1", "--store", f"{folder}/store"], {}, DUCKDB),
        ]
        for what, command, environment, bare in cases:
            ours, libraries = [], []
            for _ in range(rounds):
                ours.append(_cpu_s(command, environment))
                libraries.append(_cpu_s([sys.executable, "-c", bare], {}))
            found = {"cpu_s": round(min(ours), 3), "libraries_s": round(min(libraries), 3)}
            print(json.dumps({"what": what, **found, "ratio": round(min(ours) / min(libraries), 2)}), flush=True)


def _cpu_s(command: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

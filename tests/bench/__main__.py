"""Run every benchmark in turn, each in a process of its own: `make bench`.

    python -m tests.bench                 all of them, at the sizes in docs/results/benchmarks.md
    python -m tests.bench ingest labels   some of them

Every figure is a ratio of two measurements of the same run. Seconds depend on the machine and its load, so the
machine is printed first.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    files = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.rglob("bench_*.py"))}
    known = sorted(files)
    wanted = sys.argv[1:] or known
    if unknown := [name for name in wanted if name not in known]:
        print(f"There is no benchmark {', '.join(unknown)}. There are: {', '.join(known)}.", file=sys.stderr)
        return 2
    print(f"# {_machine()}, {dt.datetime.now(dt.UTC):%Y-%m-%d}", flush=True)
    failed = []
    for name in wanted:
        print(f"\n## {name}", flush=True)
        module = ".".join(files[name].relative_to(HERE.parents[1]).with_suffix("").parts)
        done = subprocess.run([sys.executable, "-m", module], check=False, cwd=HERE.parents[1])
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"\nFailed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = next(
        (line.split(":")[1].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")),
        platform.processor(),
    )
    return f"{len(os.sched_getaffinity(0))} cores ({model}), {memory:.0f} GB, Python {platform.python_version()}"


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    raise SystemExit(main())

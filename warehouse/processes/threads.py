"""How many threads a process of ours may use, told to every library that starts some.

One setting, `FEATURES_THREADS`, and where it is not set as many as the machine gives this process: the cores it may run
on, and no more than the quota of its container. `share_out` writes the number, and how to wait for work, into the
environment: OpenMP (torch, FAISS, scikit-learn), OpenBLAS and polars read it when they are loaded, and child processes
inherit it. What the user has set stands. DuckDB and our own pools take `Settings.threads`.

The program does this before anything is loaded. So does a `FeatureStore`, for what its process has not loaded yet: it
changes no library that runs already, and nothing that the environment sets.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

__all__ = ["available", "share_out"]

_COUNTS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    *("POLARS_MAX_THREADS", "OPENCV_FOR_THREADS_NUM"),
)
_WAITING = {
    # A thread of OpenMP that waits for the others spins for a while, some milliseconds at each of a million small
    # products. Where cores are shared, it takes them from those it waits for.
    "OMP_WAIT_POLICY": "passive",
    "KMP_BLOCKTIME": "0",
}


def share_out(n: int) -> None:
    """Let libraries that are loaded from here on, and child processes, start `n` threads, and wait without spinning."""
    for name, value in {**dict.fromkeys(_COUNTS, str(n)), **_WAITING}.items():
        os.environ.setdefault(name, value)


def available(root: Path = Path("/")) -> int:
    """Cores that this process may use: those of its affinity, and at most its cgroups' quota, rounded up.

    Args:
        root: of the file system, for tests.
    """
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), _quota(root))))


def _quota(root: Path) -> float:
    """Cores of the tightest quota of the groups that this process is in, and of those around them; infinity: none."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return math.inf
    found = [math.inf]
    for line in groups:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        for top, place in _mounted(mounts, "" if not controllers else "cpu"):
            below = path.removeprefix(top) if top != "/" and path.startswith(top) else path
            folder = root / place.lstrip("/")
            # In a container the path is often one of the machine outside; then only the mount itself is there.
            names = [name for name in below.split("/") if name and name != ".."]
            found += [_of(folder.joinpath(*names[:n])) for n in range(len(names) + 1)]
    return min(found)


def _mounted(mounts: list[str], controller: str) -> list[tuple[str, str]]:
    """(which group, where) of the mounted hierarchies of cgroups: version 2, or version 1 with a controller."""
    found = []
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, _, options = [*after.split(" ", 2), "", ""][:3]
        fields = before.split(" ")
        is_ours = kind == ("cgroup" if controller else "cgroup2")
        if is_ours and len(fields) > 4 and (not controller or controller in options.split(",")):
            found.append((fields[3], _unescaped(fields[4])))
    return found


def _of(folder: Path) -> float:
    """The quota of one group, in cores: `cpu.max` of version 2, `cpu.cfs_*` of version 1."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return math.inf if quota in ("max", "-1") or int(quota) <= 0 else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)

"""Limit the number of threads of every library that starts threads.

The limit is `FEATURES_THREADS`. Default: the number of cores that this process may use, at most the quota of its
container. `limit_library_threads` writes the number and the wait policy into the environment: OpenMP (torch, FAISS,
scikit-learn), OpenBLAS and polars read it when they are loaded, and child processes inherit it. Variables that the
user has set are kept. DuckDB and the thread pools of this program take `Settings.threads`.

The program sets the limit before it loads any library. `FeatureStore` sets it too, which affects only libraries that
are loaded afterwards.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

__all__ = ["available_cores", "limit_library_threads"]

_COUNTS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    *("POLARS_MAX_THREADS", "OPENCV_FOR_THREADS_NUM"),
)
_WAITING = {
    # A waiting OpenMP thread spins for some milliseconds at each of a million small products. On shared cores it
    # takes CPU time from the threads that it waits for.
    "OMP_WAIT_POLICY": "passive",
    "KMP_BLOCKTIME": "0",
}


def limit_library_threads(n: int) -> None:
    """Limit libraries that are loaded afterwards, and child processes, to `n` threads that wait without spinning."""
    for name, value in {**dict.fromkeys(_COUNTS, str(n)), **_WAITING}.items():
        os.environ.setdefault(name, value)


def available_cores(root: Path = Path("/")) -> int:
    """Return the number of cores that this process may use: its affinity, at most the quota of its cgroups rounded up.

    Args:
        root: root of the file system, for tests.
    """
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), _quota(root))))


def _quota(root: Path) -> float:
    """Return the smallest quota, in cores, of the cgroups of this process and their ancestors; infinity: no quota."""
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
            # In a container the path is often that of the host; then only the mount itself exists.
            names = [name for name in below.split("/") if name and name != ".."]
            found += [_group_quota(folder.joinpath(*names[:n])) for n in range(len(names) + 1)]
    return min(found)


def _mounted(mounts: list[str], controller: str) -> list[tuple[str, str]]:
    """Return (group, mount point) of the mounted cgroup hierarchies: version 2, or version 1 with a controller."""
    found = []
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, _, options = [*after.split(" ", 2), "", ""][:3]
        fields = before.split(" ")
        is_ours = kind == ("cgroup" if controller else "cgroup2")
        if is_ours and len(fields) > 4 and (not controller or controller in options.split(",")):
            found.append((fields[3], _unescaped(fields[4])))
    return found


def _group_quota(folder: Path) -> float:
    """Return the quota of one cgroup in cores: `cpu.max` of version 2, `cpu.cfs_*` of version 1."""
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

"""The machine's share that a store may take: one frozen value object, read from the environment once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import InputError

__all__ = ["Settings", "default_store"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of DuckDB and of the writer's lock.

    Attributes:
        memory_limit: DuckDB's buffer memory, such as `3GB`; the process stays about 1 GB above it.
        threads: worker threads of SQL, of decoding and of search.
        lock_timeout_s: how long a second writer waits before it gives up, in seconds.
    """

    memory_limit: str
    threads: int
    lock_timeout_s: float = 60.0

    @classmethod
    def from_environment(cls) -> Settings:
        """`FEATURES_MEMORY_LIMIT`, `FEATURES_THREADS`, `FEATURES_LOCK_TIMEOUT`, else the machine's measure."""
        return cls(
            memory_limit=os.environ.get("FEATURES_MEMORY_LIMIT") or _quarter_of_memory(),
            threads=int(_number("FEATURES_THREADS", len(os.sched_getaffinity(0)), least=1)),
            lock_timeout_s=_number("FEATURES_LOCK_TIMEOUT", 60.0, least=0),
        )


def default_store() -> Path:
    """`$FEATURES_STORE`, else `./store`."""
    return Path(os.environ.get("FEATURES_STORE") or "store")


def _number(name: str, default: float, least: float) -> float:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not value >= least:
        raise InputError(f"{name} is {text!r}.", f"a number, at least {least:g}", f"unset {name}")
    return value


def _quarter_of_memory() -> str:
    """Between 1 and 4 GB: wide enough for 40 million swipes, narrow enough to share a laptop."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{min(max(total // 4, 10**9), 4 * 10**9) // 10**6}MB"

"""Limit the number of downloads to what the open-file limit of the process allows."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from photogenic.warehouse import InputError, Progress

__all__ = ["limit_concurrency", "raise_limit"]

_PER_DOWNLOAD = 2
"""A socket, and a temporary file for a body that is larger than the memory buffer."""
_SPARE = 24
"""The warehouse while merging, DNS lookups, the journal, and files that Python opens."""


def limit_concurrency(concurrency: int, progress: Progress) -> int:
    """Raise the soft limit as far as needed and allowed, and return the concurrency that fits under it.

    Raises:
        InputError: not even one download fits.
    """
    used = _open_now() + _SPARE
    wanted = used + _PER_DOWNLOAD * concurrency
    soft = raise_limit(wanted)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return concurrency
    room = (soft - used) // _PER_DOWNLOAD
    if room < 1:
        raise InputError(
            f"The open-file limit is {soft}, of which {used} are needed beside the downloads.",
            f"at least {used + _PER_DOWNLOAD}",
            f"ulimit -n {max(1024, wanted)}",
        )
    progress.note(
        f"The open-file limit is {soft}: {room} downloads at a time instead of {concurrency}. "
        f"`ulimit -n {wanted}` before the command lifts it."
    )
    return room


def raise_limit(wanted: int) -> int:
    """Raise the limit of open files to `wanted`, as far as the system allows; return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def _open_now() -> int:
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.exists() else 16  # noqa: PTH208

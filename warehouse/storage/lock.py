"""Lock for one writer at a time: an advisory lock on a file that names its holder and the time.

The kernel releases the lock when its holder ends, so a crash never leaves a store locked.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from photogenic._lazy import duckdb
from photogenic.warehouse.errors import LockedError
from photogenic.warehouse.storage.manifest import parse_object, read_limited, to_dataclass

if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["Holder", "foreign_holder", "holder", "locked", "open_when_free"]

_FOREIGN = re.compile(r"Conflicting lock is held in (.+?) \((PID \d+)\)")


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that writes to a store."""

    pid: int
    command: str
    since: str

    def __str__(self) -> str:
        return f"pid {self.pid}, `{self.command}`, since {self.since}"


def holder(path: Path) -> Holder | None:
    """Return the process that holds the lock at `path`, or None."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    finally:
        os.close(fd)
    return None


@contextlib.contextmanager
def locked(
    path: Path,
    command: str,
    timeout_s: float,
    on_wait: Callable[[Holder | None], None] = lambda _: None,
) -> Iterator[None]:
    """Hold the writer's lock. Waits up to `timeout_s` seconds, and then calls `on_wait` once with the holder.

    Raises:
        LockedError: the holder did not release it in time.
    """
    fd = _acquire(path, timeout_s, on_wait)
    try:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        text = json.dumps(asdict(Holder(os.getpid(), command, now))).encode()
        os.ftruncate(fd, 0)
        os.pwrite(fd, text, 0)
        yield
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _acquire(path: Path, timeout_s: float, on_wait: Callable[[Holder | None], None]) -> int:
    """Open and lock the file, and make sure that it is still the one at `path`: the store may have been replaced."""
    deadline, told = time.monotonic() + timeout_s, False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            who = _read(path)
            if time.monotonic() >= deadline:
                raise LockedError(
                    f"The store {path.parent} is being written by {who or 'another process'}.",
                    f"the writer's lock to be free within {timeout_s:g} s",
                    "wait for that command to end, or set FEATURES_LOCK_TIMEOUT (seconds) to wait longer",
                ) from None
            if not told:
                on_wait(who)
                told = True
            time.sleep(0.05)
            continue
        if path.exists() and os.path.samestat(os.fstat(fd), path.stat()):
            return fd
        os.close(fd)


def foreign_holder(text: str) -> str | None:
    """Return the program that has a database file open, from DuckDB's error; None: it is another error."""
    if "Could not set lock on file" not in text:
        return None
    found = _FOREIGN.search(text)
    return f"{found[1]} ({found[2]})" if found else "another program"


def open_when_free(path: Path, connect: Callable[[], T], timeout_s: float) -> T:
    """Open a database file, after the program that has it open, such as a DuckDB shell, closes it.

    Args:
        path: database file.
        connect: function that opens it.
        timeout_s: seconds to wait.

    Raises:
        LockedError: the program did not close it in time.
    """
    deadline, told = time.monotonic() + timeout_s, False
    while True:
        try:
            return connect()
        except duckdb.IOException as error:
            who = foreign_holder(str(error))
            if who is None:
                raise
            if time.monotonic() >= deadline:
                raise LockedError(
                    f"{path} is open in another program: {who}.",
                    f"no other program to have it open, within {timeout_s:g} s",
                    "close it there (a DuckDB shell, a notebook, DBeaver), or set FEATURES_LOCK_TIMEOUT (seconds) to "
                    "wait longer; `features sql` can read the store at any time",
                ) from error
        if not told:
            print(f"Waiting for {who}, which has {path} open.", file=sys.stderr)
            told = True
        time.sleep(0.05)


def _read(path: Path) -> Holder | None:
    try:
        return to_dataclass(Holder, parse_object(read_limited(path)))
    except (OSError, ValueError):
        return None

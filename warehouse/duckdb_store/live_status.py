"""Publish the running stages of the writer in `underway.json`, for `features status` and the web pages.

The file is valid only while its writer holds the lock. A file that a killed process left behind is ignored: the lock
is free, or another process holds it.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from photogenic.warehouse.progress import Progress
from photogenic.warehouse.storage.layout import Layout
from photogenic.warehouse.storage.lock import holder
from photogenic.warehouse.storage.manifest import parse_object, read_limited, to_dataclass

__all__ = ["Stage", "read_live_status", "report_live_status"]

_EVERY_S = 0.5
"""Least seconds between two writes of the file; a new stage is written at once."""


@dataclass(slots=True)
class Stage:
    """One open stage.

    Attributes:
        total: number of units; None: unknown.
        since: seconds since 1970.
        at_most: whether the total is an upper bound.
    """

    name: str
    done: int
    total: int | None
    unit: str
    since: float
    at_most: bool = False


def read_live_status(layout: Layout) -> list[dict[str, Any]]:
    """Return the open stages of the writer, outermost first: name, done, total (None: unknown), at_most, unit, seconds,
    per_s.

    Empty if no process writes, or if the writer reports no progress.
    """
    writer = holder(layout.lock)
    if writer is None:
        return []
    try:
        told = parse_object(read_limited(layout.underway))
        stages = [to_dataclass(Stage, stage) for stage in told["stages"]] if told["pid"] == writer.pid else []
    except (OSError, ValueError, TypeError, KeyError):
        return []
    now = time.time()
    return [
        {
            "name": stage.name,
            "done": stage.done,
            "total": stage.total,
            "at_most": stage.at_most,
            "unit": stage.unit,
            "seconds": round(seconds := max(now - stage.since, 0.0), 1),
            "per_s": round(stage.done / seconds, 1) if seconds >= 1.0 else None,
        }
        for stage in stages
    ]


@contextlib.contextmanager
def report_live_status(layout: Layout, listener: Progress) -> Iterator[Progress]:
    """Return a progress callback that calls `listener` and also writes the running stages to the store."""
    teller = _LiveStatusWriter(layout, listener)
    try:
        yield teller
    finally:
        teller.end()


class _LiveStatusWriter:
    """Stages may be opened and advanced by any thread."""

    def __init__(self, layout: Layout, listener: Progress) -> None:
        self._layout, self._listener = layout, listener
        self._lock, self._open, self._told = threading.Lock(), list[Stage](), 0.0

    @contextlib.contextmanager
    def stage(
        self, name: str, total: int | None = None, unit: str = "", *, at_most: bool = False
    ) -> Iterator[Callable[[int], None]]:
        """Open the stage in the other callback, and list it in the file while it is open."""
        stage = Stage(name, 0, total, unit, time.time(), at_most)

        with self._listener.stage(name, total, unit, at_most=at_most) as heard:

            def advance(n: int) -> None:
                heard(n)
                with self._lock:
                    stage.done += n
                    if time.monotonic() - self._told >= _EVERY_S:
                        self._tell()

            with self._lock:
                self._open.append(stage)
                self._tell()
            try:
                yield advance
            finally:
                with self._lock:
                    self._open.remove(stage)
                    self._tell()

    def note(self, text: str) -> None:
        """The listener's alone."""
        self._listener.note(text)

    def end(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            if parse_object(read_limited(self._layout.underway))["pid"] == os.getpid():
                self._layout.underway.unlink()

    def _tell(self) -> None:
        self._told = time.monotonic()
        writer = holder(self._layout.lock)
        if writer is None or writer.pid != os.getpid():
            return
        path = self._layout.underway
        temporary = path.with_name(f".{path.name}.tmp")  # the same for every writer: the next one replaces a leftover
        with contextlib.suppress(OSError):  # a full disk must not end a build because of this file
            temporary.write_text(json.dumps({"pid": os.getpid(), "stages": [asdict(stage) for stage in self._open]}))
            temporary.replace(path)
            return
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)

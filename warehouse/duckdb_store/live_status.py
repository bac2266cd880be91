"""What a writer is at, for everybody who looks at the store meanwhile: `underway.json`, and whom to believe it.

The file is the writer's while it holds the lock. One that a killed process left behind says nothing: the lock is
free, or somebody else's.
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
from photogenic.warehouse.storage.manifest import contents, parsed, shaped

__all__ = ["Stage", "telling", "underway"]

_EVERY_S = 0.5
"""How often the file is written at most, apart from new stages."""


@dataclass(slots=True)
class Stage:
    """One open stage.

    Attributes:
        total: None: unknown.
        since: seconds since 1970.
    """

    name: str
    done: int
    total: int | None
    unit: str
    since: float


def underway(layout: Layout) -> list[dict[str, Any]]:
    """The open stages of the writer, outermost first: name, done, total (None: unknown), unit, seconds, per_s.

    Empty when nobody writes, or whoever does tells nothing.
    """
    writer = holder(layout.lock)
    if writer is None:
        return []
    try:
        told = parsed(contents(layout.underway))
        stages = [shaped(Stage, stage) for stage in told["stages"]] if told["pid"] == writer.pid else []
    except (OSError, ValueError, TypeError, KeyError):
        return []
    now = time.time()
    return [
        {
            "name": stage.name,
            "done": stage.done,
            "total": stage.total,
            "unit": stage.unit,
            "seconds": round(seconds := max(now - stage.since, 0.0), 1),
            "per_s": round(stage.done / seconds, 1) if seconds >= 1.0 else None,
        }
        for stage in stages
    ]


@contextlib.contextmanager
def telling(layout: Layout, listener: Progress) -> Iterator[Progress]:
    """A listener that tells `listener` everything, and the store what is underway."""
    teller = _Teller(layout, listener)
    try:
        yield teller
    finally:
        teller.end()


class _Teller:
    """Stages may be opened and advanced by any thread."""

    def __init__(self, layout: Layout, listener: Progress) -> None:
        self._layout, self._listener = layout, listener
        self._lock, self._open, self._told = threading.Lock(), list[Stage](), 0.0

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Callable[[int], None]]:
        """As the listener's; and in the file while it is open."""
        stage = Stage(name, 0, total, unit, time.time())

        with self._listener.stage(name, total, unit) as heard:

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
        """Nothing is underway any more."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            if parsed(contents(self._layout.underway))["pid"] == os.getpid():
                self._layout.underway.unlink()

    def _tell(self) -> None:
        self._told = time.monotonic()
        writer = holder(self._layout.lock)
        if writer is None or writer.pid != os.getpid():
            return
        path = self._layout.underway
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):  # a full disk ends a build by itself, not because of this file
            temporary.write_text(json.dumps({"pid": os.getpid(), "stages": [asdict(stage) for stage in self._open]}))
            temporary.replace(path)

"""Record how the last build ended, in `build.json` beside the database.

A build that failed rolls back, so the warehouse has no row of it. The file is written when a build begins and when it
ends. A build that was killed leaves it as it was at the beginning, while the writer's lock is free.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal

from photogenic.warehouse import AuditError, Database, StoreError
from photogenic.warehouse.storage.layout import Layout, write_atomically
from photogenic.warehouse.storage.lock import holder
from photogenic.warehouse.storage.manifest import parse_object, read_limited, to_dataclass

__all__ = ["BuildOutcome", "last_outcome", "recorded"]

Result = Literal["running", "done", "failed", "interrupted", "killed"]


@dataclass(frozen=True, slots=True)
class BuildOutcome:
    """How the last build ended.

    Attributes:
        result: `running` while it runs; `interrupted`: ended by a signal that it could answer; `killed`: by another.
        pid: its process.
        began_at, ended_at: UTC, ISO 8601; ended_at is None until it has ended.
        error: class of the error, and for an audit its name. Other messages may name people, so they are left out.
    """

    result: Result
    pid: int
    began_at: str
    ended_at: str | None = None
    error: str | None = None


@contextlib.contextmanager
def recorded(layout: Layout) -> Iterator[None]:
    """Record the build that runs inside, which holds the writer's lock."""
    outcome = BuildOutcome("running", os.getpid(), _now())
    _write(layout, outcome)
    result: Result = "done"
    error: str | None = None
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        result = "interrupted"
        raise
    except BaseException as problem:
        result, error = "failed", type(problem).__name__
        if isinstance(problem, AuditError):
            error += f": {problem.what.splitlines()[0]}"
        raise
    finally:
        _write(layout, replace(outcome, result=result, ended_at=_now(), error=error))


def last_outcome(db: Database) -> BuildOutcome | None:
    """Return how the last build ended; None: there was none.

    A store that was restored, or built by an older version, has no file; then the last successful build counts.
    """
    layout = db.layout
    try:
        found = to_dataclass(BuildOutcome, parse_object(read_limited(layout.last_build)))
    except (OSError, ValueError):
        rows = db.rows("select started_at, finished_at from facts.builds order by finished_at desc limit 1")
        return BuildOutcome("done", 0, _iso(rows[0][0]), _iso(rows[0][1])) if rows else None
    if found.result == "running":
        writer = holder(layout.lock)
        if writer is None or writer.pid != found.pid:
            return replace(found, result="killed")
    return found


def _write(layout: Layout, outcome: BuildOutcome) -> None:
    with contextlib.suppress(StoreError):  # on a full disk the error of the build is the one to report
        write_atomically(layout.last_build, json.dumps(asdict(outcome)).encode())


def _now() -> str:
    return _iso(dt.datetime.now(dt.UTC))


def _iso(instant: dt.datetime) -> str:
    return instant.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"

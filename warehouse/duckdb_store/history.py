"""Record what a command did to the store and how long each stage took, as a row of the relation `commands`.

The row is written and published together with the data that the command writes. A command that writes nothing
leaves no row.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from photogenic._lazy import duckdb
from photogenic.warehouse.progress import Progress

__all__ = ["History", "RecordingProgress"]


@dataclass(slots=True)
class _Stage:
    name: str
    since: float
    done: int = 0
    seconds: float | None = None


@dataclass(slots=True)
class History:
    """Record of one call of a command.

    Attributes:
        command: name of the command, without arguments.
        counts: numbers of rows by outcome, for stages that tell them.
    """

    command: str
    started_at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC).replace(tzinfo=None))
    command_id: str = ""
    stages: list[_Stage] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.command_id = f"{self.started_at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"

    def count(self, stage: str, numbers: Mapping[str, int]) -> None:
        """Add numbers of rows by outcome to a stage."""
        self.counts.setdefault(stage, Counter()).update(numbers)

    def record(self, con: duckdb.DuckDBPyConnection) -> None:
        """Write the current row in place of the one written before."""
        from importlib.metadata import version

        sums: dict[str, tuple[int, float]] = {}
        for stage in list(self.stages):
            spent = stage.seconds if stage.seconds is not None else time.monotonic() - stage.since
            done, seconds = sums.get(stage.name, (0, 0.0))
            sums[stage.name] = done + stage.done, round(seconds + spent, 3)
        told: dict[str, list[float | dict[str, int]]] = {name: [*both] for name, both in sums.items()}
        for name, numbers in self.counts.items():
            if name in told:
                told[name].append({outcome: n for outcome, n in numbers.items() if n})
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        row = [self.command_id, self.command, version("photogenic"), json.dumps(told), self.started_at, now]
        con.begin()
        con.execute("delete from facts.commands where command_id = $1", row[:1])
        con.execute("insert into facts.commands values ($1, $2, $3, $4, $5, $6)", row)
        con.commit()


class RecordingProgress:
    """Progress callback that records stages in a history and calls another one. Stages may run in any thread."""

    def __init__(self, listener: Progress, history: History) -> None:
        self._listener, self.history = listener, history

    @contextlib.contextmanager
    def stage(
        self, name: str, total: int | None = None, unit: str = "", *, at_most: bool = False
    ) -> Iterator[Callable[[int], None]]:
        """Open the stage in the other callback, and record it in the history."""
        noted = _Stage(name, time.monotonic())
        self.history.stages.append(noted)
        with self._listener.stage(name, total, unit, at_most=at_most) as heard:

            def advance(n: int) -> None:
                noted.done += n
                heard(n)

            try:
                yield advance
            finally:
                noted.seconds = time.monotonic() - noted.since

    def note(self, text: str) -> None:
        """Pass the text to the other callback."""
        self._listener.note(text)

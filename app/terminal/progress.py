"""Where long work is: bars on a terminal, plain lines everywhere else. Always on stderr.

Both are `warehouse.progress.Progress`; the rooms below never learn which one listens.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from photogenic._lazy import rich
from photogenic.app.terminal import logs
from photogenic.warehouse.duckdb_store.history import History, RecordingProgress

__all__ = ["Bars", "Lines", "listener"]

_SHORT_S = 2.0
"""A stage that ends within this many seconds leaves no line in a log."""

_EVERY_S = 30.0
"""How often a long stage says in a log that it is alive."""


def listener() -> RecordingProgress:
    """Bars where a person watches stderr, lines where it goes to a file or a pipe, events where logs are structured.

    It remembers the stages of the command that runs, for the relation `commands`.
    """
    shown = logs.structured() or (Bars() if sys.stderr.isatty() else Lines())
    return RecordingProgress(shown, History(logs.command()))


class Bars:
    """One bar per open stage; they vanish when the stage ends, notes stay."""

    def __init__(self) -> None:
        self._open: rich.progress.Progress | None = None

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Callable[[int], None]]:
        """Draw a bar of `total` units, with the rate so far and the time left."""
        if self._open is not None:
            yield from _task(self._open, name, total, unit)
            return
        with _bars() as bars:
            self._open = bars
            try:
                yield from _task(bars, name, total, unit)
            finally:
                self._open = None

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        if self._open is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._open.console.print(text, markup=False, highlight=False, soft_wrap=True)


class Lines:
    """A line when a stage that took a while ends, and now and then before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Callable[[int], None]]:
        """Count quietly; speak every half minute and at the end."""
        started = spoken = self._clock()
        done = 0

        def advance(n: int) -> None:
            nonlocal done, spoken
            done += n
            now = self._clock()
            if now - spoken >= _EVERY_S:
                spoken = now
                self.note(f"{name}: {_amount(done, total, unit)} after {now - started:.0f} s")

        yield advance
        seconds = self._clock() - started
        if seconds >= _SHORT_S:
            self.note(f"{name}: {_amount(done, None, unit)} in {seconds:.1f} s" if done else f"{name}: {seconds:.1f} s")

    def note(self, text: str) -> None:
        """Print the line."""
        print(text, file=sys.stderr, flush=True)


def _bars() -> rich.progress.Progress:
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[amount]}"),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        transient=True,
    )


def _task(bars: rich.progress.Progress, name: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    task, done = bars.add_task(name, total=total, amount=""), 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        bars.update(task, advance=n, amount=_amount(done, total, unit))

    try:
        yield advance
    finally:
        bars.remove_task(task)


def _amount(done: int, total: int | None, unit: str) -> str:
    of = "" if total is None else f" of {total:,}"
    return f"{done:,}{of} {unit}".rstrip()

"""Progress on stderr: bars on a terminal, plain lines everywhere else.

Both implement `warehouse.progress.Progress`, so the packages below do not depend on the kind of output.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from photogenic._lazy import rich
from photogenic.app.terminal import logs
from photogenic.warehouse.duckdb_store.history import History, RecordingProgress

__all__ = ["Bars", "Lines", "console_progress"]

_SHORT_S = 2.0
"""Seconds. A stage that is shorter prints no line."""

_EVERY_S = 30.0
"""Seconds between two lines of a long stage."""


def console_progress() -> RecordingProgress:
    """Return the progress output for stderr: bars on a terminal, lines in a file or a pipe, events in structured logs.

    It also records the stages of the running command for the relation `commands`.
    """
    shown = logs.structured() or (Bars() if sys.stderr.isatty() else Lines())
    return RecordingProgress(shown, History(logs.current_command()))


class Bars:
    """Progress bars, one per open stage. A bar is removed when its stage ends; notes remain."""

    def __init__(self) -> None:
        self._open: rich.progress.Progress | None = None

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Callable[[int], None]]:
        """Draw a bar of `total` units with the elapsed and the remaining time."""
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
    """Progress lines: one at the end of each long stage, and one every half minute before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Callable[[int], None]]:
        """Count the units of a stage, and print a line every half minute and at the end."""
        started = printed = self._clock()
        done = 0

        def advance(n: int) -> None:
            nonlocal done, printed
            done += n
            now = self._clock()
            if now - printed >= _EVERY_S:
                printed = now
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

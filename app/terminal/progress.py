"""Progress on stderr: bars on a terminal, plain lines everywhere else, events in structured logs.

All implement `warehouse.progress.Progress`, so the packages below do not depend on the kind of output.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from photogenic._lazy import rich
from photogenic.app.terminal import logs
from photogenic.app.terminal.cells import message
from photogenic.app.terminal.logs import STOPPING
from photogenic.app.terminal.streams import is_screen
from photogenic.warehouse.duckdb_store.history import History, RecordingProgress
from photogenic.warehouse.progress import Progress
from photogenic.warehouse.stage_meter import StageMeter, clock_time

__all__ = ["Bars", "Lines", "console_progress", "shown_progress"]

_SHORT_S = 2.0
"""Seconds. A stage that is shorter prints no line."""

_EVERY_S = 30.0
"""Seconds between two lines of a long stage."""

_DRAWN_S = 0.2
"""Seconds. A stage that is shorter draws no bar."""

_BAR = 40
"""Largest width of a bar in columns."""

_ASCII = str.maketrans("━─…", "#-.")


class Display(Progress, Protocol):
    """Progress output that can be ended while stages are open."""

    def stop(self) -> None:
        """Show no more stages, and say that the work stops."""


_shown: Display | None = None


def console_progress() -> RecordingProgress:
    """Return the progress output for stderr: bars on a terminal, lines in a file or a pipe, events in structured logs.

    It also records the stages of the running command for the relation `commands`.
    """
    global _shown  # noqa: PLW0603
    _shown = logs.structured() or (Bars() if is_screen(sys.stderr) else Lines())
    return RecordingProgress(_shown, History(logs.current_command()))


def shown_progress() -> Display | None:
    """Return the progress output of the running command; None if it has none."""
    return _shown


class Bars:
    """Progress bars, one per open stage. A bar is removed when its stage ends; notes remain.

    Stages may be opened and advanced by any thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.RLock()
        self._open, self._is_over = list[StageMeter](), False
        self._live: rich.live.Live | None = None

    @contextlib.contextmanager
    def stage(
        self, name: str, total: int | None = None, unit: str = "", *, at_most: bool = False
    ) -> Iterator[Callable[[int], None]]:
        """Draw a bar with the count, the rate, the elapsed and the remaining time."""
        meter = StageMeter(name, total, unit, at_most=at_most, clock=self._clock)
        self._begin(meter)
        try:
            yield meter.advance
        finally:
            self._end(meter)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        text, live = message(text), self._live
        if live is None:
            print(text, file=sys.stderr, flush=True)
        else:
            live.console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Remove the bars, draw no more, and say that the work stops."""
        self.clear()
        self.note(STOPPING)

    def clear(self) -> None:
        """Remove the bars and show the cursor again; draw no more."""
        with self._lock:
            self._is_over, live = True, self._live
            self._live = None
        if live is not None:
            live.stop()

    def drawn(self, width: int) -> str:
        """Return the lines of the open stages for a terminal of this width."""
        with self._lock:
            stages = [meter for meter in self._open if meter.seconds >= _DRAWN_S]
        return "\n".join(_lines(stages, width)) if stages else ""

    def _begin(self, meter: StageMeter) -> None:
        with self._lock:
            self._open.append(meter)
            if self._is_over or self._live is not None:
                return
            self._live = live = _live(self.drawn)
        live.start()
        with self._lock:
            is_stale = self._live is not live
        if is_stale:  # it was stopped before it was started
            live.stop()

    def _end(self, meter: StageMeter) -> None:
        with self._lock:
            self._open.remove(meter)
            if self._open or self._live is None:
                return
            live, self._live = self._live, None
        live.stop()


class Lines:
    """Progress lines: one at the end of each long stage, and one every half minute before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._is_over = clock, False

    @contextlib.contextmanager
    def stage(
        self, name: str, total: int | None = None, unit: str = "", *, at_most: bool = False
    ) -> Iterator[Callable[[int], None]]:
        """Count the units of a stage, and print a line every half minute and at the end."""
        meter = StageMeter(name, total, unit, at_most=at_most, clock=self._clock)
        printed = meter.since

        def advance(n: int) -> None:
            nonlocal printed
            meter.advance(n)
            now = self._clock()
            if now - printed >= _EVERY_S and not self._is_over:
                printed = now
                facts = ", ".join(filter(None, (meter.rate(), meter.left())))
                self.note(f"{name}: {meter.amount()} after {meter.seconds:.0f} s{facts and f' ({facts})'}")

        yield advance
        if (seconds := meter.seconds) >= _SHORT_S and not self._is_over:
            done = f"{meter.done:,} {unit}".rstrip()
            self.note(f"{name}: {done} in {seconds:.1f} s" if meter.done else f"{name}: {seconds:.1f} s")

    def note(self, text: str) -> None:
        """Print the line."""
        print(message(text), file=sys.stderr, flush=True)

    def stop(self) -> None:
        """Print no more stages, and say that the work stops."""
        self._is_over = True
        self.note(STOPPING)


def _live(draw: Callable[[int], str]) -> rich.live.Live:
    """Return a display that calls `draw` with the width of the terminal several times a second."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=sys.stderr, highlight=False)

    def text() -> Text:
        lines = draw(console.width - 1)
        found = Text(lines.translate(_ASCII) if console.options.ascii_only else lines, no_wrap=True, overflow="crop")
        found.highlight_regex("━+", "green")
        found.highlight_regex("─+", "dim")
        return found

    return Live(
        get_renderable=text,
        console=console,
        transient=True,
        refresh_per_second=8,
        redirect_stdout=sys.stdout.isatty(),  # otherwise stdout is a file or a pipe, and its text is data
    )


def _lines(stages: Sequence[StageMeter], width: int) -> list[str]:
    """Return the facts of stages in aligned columns, the most important ones first; a bar fills the rest."""
    columns = [
        [meter.name for meter in stages],
        [meter.amount() for meter in stages],
        [meter.rate() for meter in stages],
        [clock_time(meter.seconds) for meter in stages],
        [meter.left() for meter in stages],
    ]
    for dropped in (2, 3, 4):
        if sum(max(map(len, column)) + 2 for column in columns) - 2 <= width:
            break
        columns[dropped] = [""] * len(stages)
    widths = [max(map(len, column)) for column in columns]
    rest = width - sum(size + 2 for size in widths[1:] if size)
    widths[0] = min(widths[0], max(rest, 8))
    bar = min(rest - widths[0] - 2, _BAR) if any(meter.total for meter in stages) else 0
    lines = []
    for meter, (name, *facts) in zip(stages, zip(*columns, strict=True), strict=True):
        cells = [name if len(name) <= widths[0] else f"{name[: widths[0] - 1]}…"]
        if bar >= 10:
            n = 0 if not meter.total else min(bar * meter.done // meter.total, bar)
            cells.append("━" * n + "─" * (bar - n) if meter.total else " " * bar)
        cells += facts
        sizes = [widths[0], *([bar] if bar >= 10 else []), *widths[1:]]
        line = "  ".join(cell.ljust(size) for cell, size in zip(cells, sizes, strict=True) if size)
        lines.append(line[:width].rstrip())
    return lines

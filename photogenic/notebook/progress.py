"""Progress bars in notebooks: one output per cell, which is updated. No widget is needed."""

from __future__ import annotations

import contextlib
import html
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from photogenic.warehouse.progress import Progress
from photogenic.warehouse.stage_meter import StageMeter, clock_time

__all__ = ["NotebookBars", "notebook_progress"]

_EVERY_S = 0.2
"""Seconds between two updates."""

_SHORT_S = 2.0
"""Seconds. A stage that is shorter leaves no line behind."""

_MOST_LINES = 30
_NUMBERS = itertools.count(1)


def notebook_progress() -> Progress | None:
    """Return the progress output of the running notebook; None: no kernel of a notebook runs here."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return NotebookBars(shell) if getattr(shell, "kernel", None) is not None else None


class NotebookBars:
    """A bar per open stage, and a line per stage that has ended. Stages may be opened and advanced by any thread.

    Args:
        shell: the shell of IPython, which counts the cells.
        clock: clock in seconds.
    """

    def __init__(self, shell: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._shell, self._clock, self._lock = shell, clock, threading.RLock()
        self._open, self._lines = list[StageMeter](), list[str]()
        self._cell: object = None
        self._display, self._drawn = "", 0.0

    @contextlib.contextmanager
    def stage(
        self, name: str, total: int | None = None, unit: str = "", *, at_most: bool = False
    ) -> Iterator[Callable[[int], None]]:
        """Draw a bar with the count, the rate, the elapsed and the remaining time."""
        meter = StageMeter(name, total, unit, at_most=at_most, clock=self._clock)
        with self._lock:
            self._open.append(meter)

        def advance(n: int) -> None:
            meter.advance(n)
            if self._clock() - self._drawn >= _EVERY_S:
                self._draw()

        self._draw()
        try:
            yield advance
        finally:
            with self._lock:
                self._open.remove(meter)
                if meter.seconds >= _SHORT_S:
                    done = f"{meter.done:,} {meter.unit}".rstrip() + " in " if meter.done else ""
                    self._lines.append(f"{name}: {done}{clock_time(meter.seconds)}")
            self._draw()

    def note(self, text: str) -> None:
        """Print one line of text."""
        print(text, file=sys.stderr, flush=True)

    def _draw(self) -> None:
        with self._lock:
            self._drawn = self._clock()
            cell = (os.getpid(), getattr(self._shell, "execution_count", None))
            is_new = cell != self._cell
            if is_new:
                self._cell, self._display, self._lines = cell, f"photogenic-{os.getpid()}-{next(_NUMBERS)}", []
            bundle = {"text/html": self._html(), "text/plain": self._plain()}
            self._shell.display_pub.publish(bundle, transient={"display_id": self._display}, update=not is_new)

    def _html(self) -> str:
        lines = [f"<div>{html.escape(line)}</div>" for line in self._ended()]
        for meter in self._open:
            value = f' value="{min(meter.done, meter.total)}" max="{meter.total}"' if meter.total else ""
            label = html.escape(meter.name, quote=True)
            lines.append(
                f'<div><label>{label} <progress{value} style="vertical-align: middle; width: 16em"></progress></label>'
                f" {html.escape(_facts(meter))}</div>"
            )
        return f'<div class="photogenic-progress">{"".join(lines)}</div>'

    def _plain(self) -> str:
        return "\n".join([*self._ended(), *(f"{meter.name}: {_facts(meter)}" for meter in self._open)])

    def _ended(self) -> list[str]:
        return self._lines[-_MOST_LINES:]


def _facts(meter: StageMeter) -> str:
    return ", ".join(filter(None, (meter.amount(), meter.rate(), clock_time(meter.seconds), meter.left())))

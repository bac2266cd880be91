"""Structured logs: with `--log-format json` every line on stderr is one JSON object.

    time, level, event, command; stage, n, seconds where there is a stage; text where there is something to read

Whatever else writes to stderr (warnings, a traceback, a library) becomes an event `message`. Names of pictures are
struck out; ids of people and tokens are in no message to begin with.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Literal, TextIO

from photogenic.warehouse.errors import PhotogenicError

__all__ = ["LogFormat", "Structured", "begin", "call", "command", "structured"]

LogFormat = Literal["text", "json"]

_running: ContextVar[str] = ContextVar("running", default="")

_PICTURE = re.compile(r"[^\s'\"`]*\.(?:jpe?g|png|webp|gif|bmp|tiff?|heic)\b", re.IGNORECASE)


class Structured(io.TextIOBase):
    """A stderr that turns lines into events, and a listener that tells stages."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock, self._rest, self._started = out, clock, "", clock()

    def event(self, event: str, level: str = "info", **fields: object) -> None:
        """Write one event."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told = {"time": now, "level": level, "event": event, "command": command(), **fields}
        line = {key: _clean(value) if isinstance(value, str) else value for key, value in told.items()}
        self._out.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._out.flush()

    def write(self, text: str) -> int:
        """Every whole line is a message."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self.event("message", text=line)
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        """No bars here."""
        return False

    def fileno(self) -> int:
        """Of what is behind, for child processes."""
        return self._out.fileno()

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Callable[[int], None]]:
        """Tell when it began and ended."""
        done, started = 0, self._clock()

        def advance(n: int) -> None:
            nonlocal done
            done += n

        self.event("stage began", stage=name, n=total, unit=unit)
        yield advance
        self.event("stage ended", stage=name, n=done, unit=unit, seconds=round(self._clock() - started, 3))

    def note(self, text: str) -> None:
        """A message."""
        self.event("message", text=text)

    def fail(self, error: PhotogenicError) -> None:
        """An error of ours, in its three parts."""
        self.flush_line()
        beats = {"text": error.what, "expected": error.expected, "remedy": error.remedy}
        self.event("error", "error", error=type(error).__name__, **beats)

    def flush_line(self) -> None:
        """What is left of a line is one."""
        if self._rest:
            self.write("\n")

    def end(self, code: object) -> None:
        """How the command ended."""
        self.flush_line()
        level = "info" if code in (0, None) else "error"
        self.event("ended", level, exit=code or 0, seconds=round(self._clock() - self._started, 3))


def begin(form: LogFormat) -> None:
    """From here on stderr is structured, if asked for."""
    if form == "json" and structured() is None:
        sys.stderr = log = Structured(sys.stderr)
        log.event("began")


def structured() -> Structured | None:
    """The structured stderr, or None where it is plain."""
    return sys.stderr if isinstance(sys.stderr, Structured) else None


def call(name: str) -> None:
    """From here on that command runs."""
    _running.set(name)


def command() -> str:
    """The name of the command that runs, without arguments: `ingest swipes`."""
    return _running.get()


def _clean(text: str) -> str:
    return _PICTURE.sub("(picture)", text)

"""Structured logs: with `--log-format json` every line on stderr is one JSON object.

    time, level, event, command; stage, n and seconds for events of a stage; text for messages

Records of the module `logging` and all other output to stderr (warnings, tracebacks) become events `message`.
Names of image files are redacted. Messages never contain ids of people or tokens.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Literal, TextIO

from photogenic.warehouse.errors import PhotogenicError

__all__ = ["STOPPING", "LogFormat", "Structured", "begin", "current_command", "set_command", "structured"]

LogFormat = Literal["text", "json"]

STOPPING = "Stopping after this batch; finished work is kept."
"""Message at the instant of Ctrl-C."""

_running: ContextVar[str] = ContextVar("running", default="")

_PICTURE = re.compile(r"[^\s'\"`]*\.(?:jpe?g|png|webp|gif|bmp|tiff?|heic)\b", re.IGNORECASE)


class _JsonLines(logging.Formatter):
    """Format a log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the fields of an event of this program, or the text and the logger name of any other record."""
        values = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "event": "message",
            "command": current_command(),
            **(getattr(record, "fields", None) or {"logger": record.name, "text": super().format(record)}),
        }
        line = {
            key: _PICTURE.sub("(picture)", value) if isinstance(value, str) else value for key, value in values.items()
        }
        return json.dumps(line, ensure_ascii=False)


class Structured(io.TextIOBase):
    """Stream for stderr that turns lines into events, and progress callback that logs stages."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock, self._rest, self._started = out, clock, "", clock()
        self.command = current_command()
        self.handler = logging.StreamHandler(out)
        self.handler.setFormatter(_JsonLines())

    def event(self, event: str, level: str = "info", **fields: object) -> None:
        """Write one event, regardless of the levels and filters of loggers."""
        self.handler.handle(logging.makeLogRecord({"levelname": level, "fields": {"event": event, **fields}}))

    def write(self, text: str) -> int:
        """Write each complete line as a message event."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self.event("message", text=line)
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        """Return False, so that no progress bars are drawn."""
        return False

    def fileno(self) -> int:
        """Return the file descriptor of the underlying stream, for child processes."""
        return self._out.fileno()

    @contextlib.contextmanager
    def stage(
        self, name: str, total: int | None = None, unit: str = "", *, at_most: bool = False
    ) -> Iterator[Callable[[int], None]]:
        """Log the beginning and the end of a stage."""
        done, started = 0, self._clock()

        def advance(n: int) -> None:
            nonlocal done
            done += n

        self.event("stage began", stage=name, n=total, unit=unit, at_most=at_most)
        yield advance
        self.event("stage ended", stage=name, n=done, unit=unit, seconds=round(self._clock() - started, 3))

    def note(self, text: str) -> None:
        """Log a message."""
        self.event("message", text=text)

    def stop(self) -> None:
        """Log that the work stops; called in the thread of the signals, which has no command of its own."""
        self.event("message", text=STOPPING, command=self.command)

    def fail(self, error: PhotogenicError) -> None:
        """Log an error of this program with its three parts."""
        self.flush_line()
        beats = {"text": error.what, "expected": error.expected, "remedy": error.remedy}
        self.event("error", "error", error=_public_name(error), **beats)

    def flush_line(self) -> None:
        """Write an incomplete line as a message."""
        if self._rest:
            self.write("\n")

    def end(self, code: object) -> None:
        """Log the exit code and the duration of the command."""
        self.flush_line()
        level = "info" if code in (0, None) else "error"
        self.event("ended", level, exit=code or 0, seconds=round(self._clock() - self._started, 3))


def begin(form: LogFormat) -> None:
    """Replace stderr by a structured stream if `form` is json."""
    if form == "json" and structured() is None:
        sys.stderr = log = Structured(sys.stderr)
        logging.basicConfig(handlers=[log.handler])
        log.event("began")


def structured() -> Structured | None:
    """Return the structured stderr, or None if stderr is plain text."""
    return sys.stderr if isinstance(sys.stderr, Structured) else None


def set_command(name: str) -> None:
    """Set the name of the command that runs."""
    _running.set(name)
    if (log := structured()) is not None:
        log.command = name


def current_command() -> str:
    """Return the name of the command that runs, without arguments: `ingest swipes`."""
    return _running.get()


def _public_name(error: PhotogenicError) -> str:
    """Name of the first class of an error that users know: those of `warehouse.errors`."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == PhotogenicError.__module__)

"""Structured logs: with `--log-format json` every line on stderr is one JSON object.

    time, level, event, command; stage, n, seconds where there is a stage; text where there is something to read

Records of the module `logging` and whatever else is written to stderr (warnings, a traceback) become events `message`.
Names of pictures are struck out; ids of people and tokens are in no message to begin with.
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

__all__ = ["LogFormat", "Structured", "begin", "call", "command", "structured"]

LogFormat = Literal["text", "json"]

_running: ContextVar[str] = ContextVar("running", default="")

_PICTURE = re.compile(r"[^\s'\"`]*\.(?:jpe?g|png|webp|gif|bmp|tiff?|heic)\b", re.IGNORECASE)


class _JsonLines(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """With the fields of one of our events, else with the text and the logger of any other record."""
        told = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "event": "message",
            "command": command(),
            **(getattr(record, "fields", None) or {"logger": record.name, "text": super().format(record)}),
        }
        line = {
            key: _PICTURE.sub("(picture)", value) if isinstance(value, str) else value for key, value in told.items()
        }
        return json.dumps(line, ensure_ascii=False)


class Structured(io.TextIOBase):
    """A stderr that turns lines into events, and a listener that tells stages."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock, self._rest, self._started = out, clock, "", clock()
        self.handler = logging.StreamHandler(out)
        self.handler.setFormatter(_JsonLines())

    def event(self, event: str, level: str = "info", **fields: object) -> None:
        """Write one event, whatever level and filters loggers have."""
        self.handler.handle(logging.makeLogRecord({"levelname": level, "fields": {"event": event, **fields}}))

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
        logging.basicConfig(handlers=[log.handler])
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

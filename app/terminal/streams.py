r"""Standard streams of the program when they are closed, full, disconnected or of a small character set.

stdin closed                         empty
stdout closed, or its disk full      OutputError, once, and exit code 1
stdout closed by its reader          no message, and the exit code of SIGPIPE (141)
stderr closed, full or disconnected  messages are dropped; the exit code is kept
a character outside the encoding     a backslash escape, such as \u2192
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Any

from photogenic.warehouse.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

__all__ = ["BROKEN_PIPE", "begin", "discard", "flush", "is_screen", "read_stdin", "unread_is_fine"]

BROKEN_PIPE = 141
"""Exit code 128 + SIGPIPE, as a shell reports it for `cat` or `git`."""


class _Stdout(io.FileIO):
    """Stdout whose failures are OutputErrors, not errors of the store that is being read."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise SystemExit(BROKEN_PIPE) from None
            raise OutputError(
                f"The output could not be written: {error.strerror}.",
                "a stdout that is open and has room; the work that the command has finished is kept",
                "send stdout to a terminal, to a program, or to a file on a disk with free space",
            ) from error


class _Stderr(io.FileIO):
    """Stderr that drops what it cannot write, because no stream is left to report the failure on."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data).cast("B"))


def begin() -> None:
    """Replace the standard streams. Streams that a caller has already replaced, as tests do, are kept."""
    _open_closed_descriptors()
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _replacement(_Stdout(1, "w", closefd=False), sys.stdout)
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _replacement(_Stderr(2, "w", closefd=False), sys.stderr)


def flush() -> None:
    """Write the buffer of stdout.

    Raises:
        OutputError: It cannot be written.
        SystemExit: The reader of a pipe has closed it.
    """
    try:
        sys.stdout.flush()
    except (OutputError, SystemExit):
        discard()
        raise


@contextlib.contextmanager
def unread_is_fine() -> Iterator[None]:
    """Print something, and go on if the reader of a pipe has closed it: an error that follows keeps its exit code."""
    try:
        yield
        flush()
    except SystemExit:
        discard()


def discard() -> None:
    """Discard the buffer of stdout, because the interpreter would fail again to write it at exit."""
    with contextlib.suppress(OSError, ValueError):
        fd = os.open(os.devnull, os.O_WRONLY)
        os.dup2(fd, 1)
        os.close(fd)


def is_screen(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that can move its cursor and print bold text."""
    return stream.isatty() and os.environ.get("TERM", "dumb").lower() not in ("dumb", "unknown")


def read_stdin() -> str:
    """Read all of stdin as UTF-8, regardless of the locale.

    Raises:
        InputError: It cannot be read, or is not text.
    """
    try:
        buffer = getattr(sys.stdin, "buffer", None)
        return sys.stdin.read() if buffer is None else str(buffer.read(), encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Stdin cannot be read: {error}.", "text in UTF-8") from error


def _open_closed_descriptors() -> None:
    """Open closed standard descriptors, because the next open file, such as a database, would get their numbers.

    The file opened for stdout is read-only, so that a write to it fails instead of losing data silently.
    """
    for fd, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            found = os.open(os.devnull, flags)
            if found != fd:
                os.dup2(found, fd)
                os.close(found)
            else:
                os.set_inheritable(fd, True)


def _replacement(raw: io.FileIO, former: TextIO | None) -> io.TextIOWrapper:
    """Wrap a raw stream with the settings of the stream that it replaces."""
    encoding = getattr(former, "encoding", None) or "utf-8"
    errors = getattr(former, "errors", None) or "strict"
    utf8 = encoding.lower().replace("-", "").replace("_", "") == "utf8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        # Under the locale C, file names that are not UTF-8 are written as their original bytes.
        errors=errors
        if errors not in ("strict", "surrogateescape") or (utf8 and errors != "strict")
        else "backslashreplace",
        line_buffering=getattr(former, "line_buffering", False) or raw.fileno() == 2,
        write_through=getattr(former, "write_through", False),
    )

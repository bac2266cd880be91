r"""The standard streams of the program: what happens when they are closed, full, cut off or of a small character set.

stdin closed                     empty
stdout closed, or its disk full  OutputError, once, and exit code 1
stdout's reader has left         a quiet end, with the exit code of SIGPIPE (141)
stderr closed, full or cut off   messages are dropped; the exit code still tells
a character that it cannot show  a backslash escape, such as \u2192
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
    from typing import TextIO

__all__ = ["BROKEN_PIPE", "begin", "flush", "read_stdin"]

BROKEN_PIPE = 141
"""128 + SIGPIPE: as a shell shows it for `cat` or `git`."""


class _Stdout(io.FileIO):
    """Data that cannot be written is an error of ours, and not one of the store that was being read."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise SystemExit(BROKEN_PIPE) from None
            raise OutputError(
                f"The output could not be written: {error.strerror}.",
                "a stdout that is open and has room; what the command had done before stands",
                "send stdout to a terminal, to a program, or to a file on a disk with free space",
            ) from error


class _Stderr(io.FileIO):
    """There is nowhere to tell that nothing can be told."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data).cast("B"))


def begin() -> None:
    """Take the streams over. Streams that a caller has put in their place, as tests do, stay as they are."""
    _fill_gaps()
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _taken_over(_Stdout(1, "w", closefd=False), sys.stdout)
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _taken_over(_Stderr(2, "w", closefd=False), sys.stderr)


def flush() -> None:
    """Write what stdout still holds.

    Raises:
        OutputError: it cannot be written.
        SystemExit: who read it has left.
    """
    try:
        sys.stdout.flush()
    except (OutputError, SystemExit):
        discard()
        raise


def discard() -> None:
    """Give up what stdout still holds: the interpreter would try again, and fail again, when it ends."""
    with contextlib.suppress(OSError, ValueError):
        fd = os.open(os.devnull, os.O_WRONLY)
        os.dup2(fd, 1)
        os.close(fd)


def read_stdin() -> str:
    """All of stdin, as UTF-8 whatever the locale is.

    Raises:
        InputError: it cannot be read, or is no text.
    """
    try:
        buffer = getattr(sys.stdin, "buffer", None)
        return sys.stdin.read() if buffer is None else str(buffer.read(), encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Stdin cannot be read: {error}.", "text in UTF-8") from error


def _fill_gaps() -> None:
    """A descriptor that is closed would be taken by the next file that is opened, such as a database.

    What is opened for stdout cannot be written to, so that nothing is lost without a word.
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


def _taken_over(raw: io.FileIO, former: TextIO | None) -> io.TextIOWrapper:
    """With the settings of the stream in whose place it comes."""
    encoding = getattr(former, "encoding", None) or "utf-8"
    errors = getattr(former, "errors", None) or "strict"
    utf8 = encoding.lower().replace("-", "").replace("_", "") == "utf8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        # Under the locale C, names of files that are no UTF-8 leave as the bytes that they are.
        errors=errors
        if errors not in ("strict", "surrogateescape") or (utf8 and errors != "strict")
        else "backslashreplace",
        line_buffering=getattr(former, "line_buffering", False) or raw.fileno() == 2,
        write_through=getattr(former, "write_through", False),
    )

"""Show a long text in the pager of the user: $PAGER, else less or more."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

from photogenic.app.terminal.streams import is_screen

__all__ = ["Screen", "page"]

_LESS = "SRX"
"""Options of less where $LESS sets none: long lines are not folded, colors are shown, the text stays on the screen."""


class Screen(io.StringIO):
    """Text that is formatted as for another stream, such as a terminal, before it is shown."""

    def __init__(self, shown_on: TextIO) -> None:
        super().__init__()
        self._shown_on = shown_on

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the other stream."""
        return getattr(self._shown_on, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return whether the other stream is a terminal."""
        return self._shown_on.isatty()

    def show(self) -> None:
        """Show the text in the pager if it is longer than the terminal; else write it to the other stream."""
        text = self.getvalue()
        if not (is_screen(self._shown_on) and text.count("\n") >= shutil.get_terminal_size().lines - 1 and page(text)):
            self._shown_on.write(text)
            self._shown_on.flush()


def page(text: str) -> bool:
    """Show a text in the pager, until the user leaves it. Return False if there is no pager."""
    command = _pager()
    if command is None or not sys.stdin.isatty():
        return False
    environment = {"LESS": _LESS, "LESSCHARSET": "utf-8", "LV": "-c"} | os.environ
    try:
        with _without_ctrl_c():
            process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # the user left before the end
                process.stdin.write(text.encode(errors="backslashreplace"))
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
    except OSError:
        return False
    return process.returncode not in (126, 127)


def _pager() -> list[str] | None:
    """Return the command of the pager; None if there is none, or if $PAGER is empty."""
    chosen = os.environ.get("PAGER")
    if chosen is None:
        found = shutil.which("less") or shutil.which("more")
        return [found] if found else None
    try:
        words = shlex.split(chosen)
    except ValueError:
        return None
    return words if words and shutil.which(words[0]) else None


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Leave Ctrl-C to the pager, which handles it by itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)

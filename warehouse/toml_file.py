"""Read a small TOML file of any content, and find the lines of its keys for messages.

A file may come from a stranger: it may be a pipe, a folder, huge, of another encoding, or made to keep a parser busy.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photogenic.warehouse.errors import InputError

__all__ = ["TomlFile", "read_text", "read_toml", "shown", "shown_path", "toml_of"]

_MOST_BYTES = 1 << 18
_MOST_LINE = 2000
"""Longest line: the cost of a key grows with the square of its parts."""

_MOST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A parsed file.

    Attributes:
        path: path of the file, as it was given.
        table: its tables and keys.
    """

    path: Path
    table: dict[str, Any]
    text: str = ""

    def line_of(self, section: str, key: str, number: int = 0) -> int | None:
        """Return the line of a key, counted from 1; None: it was not found, as in a table written in one line.

        Args:
            section: name of the table; empty: above all tables.
            key: name of the key; empty: the line of the table.
            number: which table of that name, counted from 0, for an array of tables.
        """
        within, seen = section == "", -1
        for n, line in enumerate(self.text.splitlines(), 1):
            if header := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line):
                within = header[1].replace('"', "") == section
                seen += within
                if within and not key and seen == number:
                    return n
            elif within and seen in (number, -1) and key and re.match(rf'\s*"?{re.escape(key)}"?\s*[=.]', line):
                return n
        return None

    def where(self, section: str, key: str, number: int = 0) -> str:
        """Return the place of a key as `FILE:LINE`, or `FILE` if its line was not found."""
        line = self.line_of(section, key, number)
        return f"{shown_path(self.path)}:{line}" if line else shown_path(self.path)


def read_toml(path: Path, what: str) -> TomlFile:
    """Read a file.

    Args:
        path: path of the file.
        what: what the file is, for messages: `mapping`.

    Raises:
        InputError: there is no such file, or it is not TOML in UTF-8, or it is large.
    """
    return toml_of(path, what, read_text(path, what, "TOML"))


def toml_of(path: Path, what: str, text: str) -> TomlFile:
    """Parse the content of a file.

    Raises:
        InputError: it is not TOML.
    """
    name, at = f"The {what} {shown_path(path)}", shlex.quote(shown_path(path))
    try:
        return TomlFile(path, tomllib.loads(text), text)
    except RecursionError as error:
        raise InputError(f"{name} is nested too deeply.", "tables and their keys", f"head {at}") from error
    except ValueError as error:  # also for a number with very many digits
        raise InputError(f"{name} is not TOML: {error}.", 'lines such as store = "store"', f"head {at}") from error


def read_text(path: Path, what: str, form: str) -> str:
    """Read the text of a file, with a newline as the end of each line.

    Args:
        path: path of the file.
        what: what the file is, for messages: `mapping`.
        form: what its text is, for messages: `TOML`.

    Raises:
        InputError: there is no such file, or it is not UTF-8, or it is large.
    """
    name, at = f"The {what} {shown_path(path)}", shlex.quote(shown_path(path))
    data = _bytes(path, name, at, form)
    if len(data) > _MOST_BYTES or any(len(line) > _MOST_LINE for line in data.splitlines()):
        raise InputError(
            f"{name} is too large.", f"up to {_MOST_BYTES:,} bytes, and {_MOST_LINE:,} in a line", f"ls -l {at}"
        )
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name} is not UTF-8, at byte {error.start:,}.", f"{form} in UTF-8", f"iconv -t UTF-8 {at}"
        ) from error


def _bytes(path: Path, name: str, at: str, form: str) -> bytes:
    """Read the bytes of a regular file, up to one more than are allowed. A pipe is not waited for."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise InputError(f"{name} is not a file.", f"a {form} file", f"ls -ld {at}")
            found = bytearray()
            while len(found) <= _MOST_BYTES and (block := os.read(number, _MOST_BYTES + 1)):
                found += block
            return bytes(found)
        finally:
            os.close(number)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{name} cannot be read: {why}.", "a readable file", f"ls -ld {at}") from error


def shown(value: object) -> str:
    """Return a value for a message, on one line and short."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length():,} bits"
    text = repr(value) if not isinstance(value, (list, dict)) else f"a {'list' if isinstance(value, list) else 'table'}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def shown_path(path: Path) -> str:
    """Return a path as one line of UTF-8."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)

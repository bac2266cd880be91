"""Aligned tables with the same decimals in a column, and records for rows that do not fit into the terminal.

A table that is too wide folds its long texts, or cuts them where there are many. rich knows the terminal, the
width of characters and how to fold; this module formats values and joins lines. docs/decisions/terminal-tables.md
explains why. Only code that prints a table imports this module, because rich takes 20 ms to load.
"""

from __future__ import annotations

import bisect
import datetime as dt
import json
import math
import os
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import IO, Literal, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.style import Style
from rich.text import Text

from photogenic.app.terminal.cells import to_plain

__all__ = ["write_grid"]

_LONGEST_CELL = 400
"""Largest number of characters printed of one value; CSV and JSON have all of them."""

_WIDEST = 10**9
"""Width of a pipe or a file in columns, so that no line is cut or folded."""

_NARROWEST = 12
"""Least width of a column whose texts are folded."""

_SCREEN = 24
"""Lines of a result in which long texts are folded in any case."""

_RULE = 80
"""Width of the line above a record."""

_GAP = "   "

_JOINERS = "\u200c\u200d"
"""Characters without a width that join or separate two others, in emoji and in Persian or Indic writing."""

_FLAGS = tuple("".join(chr(0xE0000 + ord(c)) for c in name) + "\U000e007f" for name in ("gbeng", "gbsct", "gbwls"))
"""What follows a black flag in the flags of England, Scotland and Wales. Other characters of this kind hide text."""

_JOINED = {"Lo", "Mc", "Mn", "So", "Sk", "Cn"}
"""Categories of the characters that joiners connect: emoji, their variants, and letters without case."""


class _Look:
    """The styles, the signs and the width of a stream."""

    def __init__(self, out: TextIO) -> None:
        self.console = Console(
            file=out,
            force_terminal=out.isatty(),
            color_system=None if "NO_COLOR" in os.environ else "auto",
            width=None if out.isatty() else _WIDEST,
        )
        self.encoding, self.width = self.console.encoding, self.console.width
        is_ascii = self.console.options.ascii_only
        self._null, self._rule, self.cut_sign = ("NULL", "-", "...") if is_ascii else ("∅", "─", "…")
        self.null = self.dim(self._null)

    def dim(self, text: str) -> str:
        return self._styled(text, Style(dim=True))

    def bold(self, text: str) -> str:
        return self._styled(text, Style(bold=True))

    def rule(self, width: int, title: str = "") -> str:
        return self.dim(title + self._rule * (width - len(title)))

    def texts(self, cells: Sequence[object]) -> list[str]:
        """Format one column with the same number of decimals in every row."""
        pattern = _pattern([abs(cell) for cell in cells if isinstance(cell, float) and math.isfinite(cell)])
        seconds = all(not cell.microsecond for cell in cells if isinstance(cell, dt.datetime))
        return [
            self._null if cell is None else _printable(_text(cell, pattern, seconds), self.encoding) for cell in cells
        ]

    def folded(self, text: str, width: int) -> list[str]:
        """Return the lines of a text that is wider than its column."""
        return [line.plain.rstrip() for line in Text(text).wrap(self.console, width, overflow="fold")]

    def cut(self, text: str, width: int) -> str:
        """Return the beginning of a text that is wider than its column."""
        return set_cell_size(text, width - len(self.cut_sign)) + self.cut_sign

    def _styled(self, text: str, style: Style) -> str:
        system = self.console._color_system
        return text if system is None or not text else style.render(text, color_system=system)


def write_grid(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    out: TextIO,
    *,
    title: str | None = None,
    records: bool = False,
) -> None:
    """Write rows as an aligned table, or as records with one value per line.

    Args:
        columns: Names of the columns.
        rows: Rows of values.
        out: Stream to write to; its width counts if it is a terminal.
        title: Line above the table.
        records: Whether to write records even if a table fits.
    """
    look = _Look(out)
    names = [_printable(name, look.encoding) for name in columns]
    cells = list(zip(*rows, strict=True)) if rows else [() for _ in names]
    texts = [look.texts(column) for column in cells]
    if title:
        out.write(f"{look.bold(_printable(title, look.encoding))}\n")
    sizes = [[*map(_width, column)] for column in texts]
    natural = [max([_width(name), *found]) for name, found in zip(names, sizes, strict=True)]
    widths = _widths(look.width, names, natural, [_is_foldable(column) for column in cells])
    form = "records" if records or widths is None else _form(sizes, widths)
    if rows and form == "records":
        _write_records(look, names, texts, cells)
        return
    _write_table(look, names, texts, cells, widths or natural, fold=form == "folded")
    if not rows:
        out.write(look.dim("no rows") + "\n")


def _widths(room: int, names: Sequence[str], natural: Sequence[int], foldable: Sequence[bool]) -> list[int] | None:
    """Return the widths of columns that fit into a line, long texts made narrower; None if they cannot fit."""
    room -= len(_GAP) * (len(natural) - 1)
    if sum(natural) <= room:
        return list(natural)
    least = [
        max(_width(name), min(width, _NARROWEST)) if can else width
        for name, width, can in zip(names, natural, foldable, strict=True)
    ]
    if sum(least) > room:
        return None

    def capped(cap: int) -> list[int]:
        return [min(width, max(low, cap)) for width, low in zip(natural, least, strict=True)]

    cap = bisect.bisect_right(range(max(natural) + 1), room, key=lambda cap: sum(capped(cap))) - 1
    return capped(cap)


def _form(sizes: Sequence[Sequence[int]], widths: Sequence[int]) -> Literal["folded", "cut", "records"]:
    """Return how to show texts that are wider than their columns.

    They are folded where few rows have them, or where the result fits on a screen unless records are shorter. In
    longer results they are cut, because the rows of a table in which many are folded are hard to tell apart.
    """
    folds = [
        [-(-size // width) if size > width else 1 for size in found] for found, width in zip(sizes, widths, strict=True)
    ]
    n_rows = len(folds[0]) if folds else 0
    n_lines: int = sum(map(max, zip(*folds, strict=True)))
    if n_lines > max(1.5 * n_rows, _SCREEN):
        return "cut"
    return "records" if n_lines > n_rows * (len(widths) + 1) else "folded"


def _write_table(
    look: _Look,
    names: Sequence[str],
    texts: Sequence[Sequence[str]],
    cells: Sequence[Sequence[object]],
    widths: Sequence[int],
    *,
    fold: bool,
) -> None:
    out = look.console.file
    right = [_is_numeric(column) for column in cells]
    heads = [_aligned(name, width, end) for name, width, end in zip(names, widths, right, strict=True)]
    out.write(_GAP.join(map(look.bold, [*heads[:-1], *(head.rstrip() for head in heads[-1:])])) + "\n")
    out.write(look.rule(sum(widths) + len(_GAP) * (len(widths) - 1)) + "\n")
    filled = [
        _filled(look, column, values, width, right=end, fold=fold)
        for column, values, width, end in zip(texts, cells, widths, right, strict=True)
    ]
    for line in zip(*filled, strict=True):
        if any(isinstance(cell, list) for cell in line):
            _write_folded(out, line, widths)
        else:
            out.write(_GAP.join(line).rstrip() + "\n")


def _filled(
    look: _Look, texts: Sequence[str], values: Sequence[object], width: int, *, right: bool, fold: bool
) -> list[str | list[str]]:
    """Return the cells of a column at their width; a cell that is folded is a list of lines."""
    found = list[str | list[str]]()
    for text, value in zip(texts, values, strict=True):
        size = _width(text)
        if size > width:
            found.append(look.folded(text, width) if fold else look.cut(text, width))
            continue
        space, shown = " " * (width - size), look.null if value is None else text
        found.append(space + shown if right else shown + space)
    return found


def _write_folded(out: IO[str], line: Sequence[str | list[str]], widths: Sequence[int]) -> None:
    """Write one row whose long texts take several lines."""
    parts = [cell if isinstance(cell, list) else [cell] for cell in line]
    for at in range(max(map(len, parts))):
        shown = [
            _aligned(part[at] if at < len(part) else "", width, right=False)
            if isinstance(cell, list) or at
            else part[0]
            for cell, part, width in zip(line, parts, widths, strict=True)
        ]
        out.write(_GAP.join(shown).rstrip() + "\n")


def _write_records(
    look: _Look, names: Sequence[str], texts: Sequence[Sequence[str]], cells: Sequence[Sequence[object]]
) -> None:
    out, widest = look.console.file, max(map(_width, names))
    labels = [look.bold(name) + " " * (widest - _width(name)) + _GAP for name in names]
    room = max(look.width - widest - len(_GAP), 1)
    indent = " " * (widest + len(_GAP))
    for n in range(len(cells[0])):
        out.write(look.rule(min(look.width, _RULE), f"row {n + 1} ") + "\n")
        for label, column, values in zip(labels, texts, cells, strict=True):
            text = look.null if values[n] is None else column[n]
            if values[n] is not None and _width(text) > room:
                text = f"\n{indent}".join(look.folded(text, room))
            out.write(f"{label}{text}\n")


def _aligned(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """Return the number of columns that a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def _text(cell: object, pattern: str, seconds: bool) -> str:
    match cell:
        case bool():
            return "true" if cell else "false"
        case float():
            return format(cell, pattern)
        case dt.datetime():
            utc = cell.astimezone(dt.UTC).replace(tzinfo=None) if cell.tzinfo else cell
            return utc.isoformat(sep=" ", timespec="seconds" if seconds else "microseconds")
        case Mapping() | list() | tuple():
            return json.dumps(to_plain(cell), ensure_ascii=False)
        case _:
            return str(to_plain(cell))


def _pattern(sizes: Sequence[float]) -> str:
    """Return a format with four significant digits for the largest value: 0.3312, 27.41, 1503.2, 2.000e-05."""
    largest = max(sizes, default=0.0)
    if largest and not 1e-3 <= largest < 1e9:
        return ".3e"
    whole_digits = len(str(int(largest))) if largest > 1 else 0  # ratios up to 1 have the same format
    return f".{max(4 - whole_digits, 1)}f"


def _printable(text: str, encoding: str) -> str:
    """Escape line breaks, control codes and unsupported characters, so that data cannot control the terminal."""
    if len(text) > _LONGEST_CELL:
        text = f"{text[:_LONGEST_CELL]}… ({len(text)} characters)"
    if not text.isprintable():
        text = "".join(
            c if c.isprintable() or _is_harmless(text, at) else c.encode("unicode_escape").decode()
            for at, c in enumerate(text)
        )
    return text if text.isascii() else text.encode(encoding, "backslashreplace").decode(encoding)


def _is_harmless(text: str, at: int) -> bool:
    """Return whether a character that Python does not count as printable is part of an emoji or of a word."""
    c = text[at]
    if c in _JOINERS:
        return at > 0 and all(
            _is_visible(part) and unicodedata.category(part) in _JOINED
            for part in (text[at - 1], text[at + 1 : at + 2])
        )
    if "\U000e0020" <= c <= "\U000e007f":
        start = text.rfind("\U0001f3f4", 0, at) + 1
        return start > 0 and any(text.startswith(flag, start) and at < start + len(flag) for flag in _FLAGS)
    return _is_visible(c)


def _is_visible(c: str) -> bool:
    """Return whether a character is printable, also if it is an emoji that is newer than Python's tables."""
    return bool(c) and (c.isprintable() or ("\U0001f000" <= c <= "\U0001faff" and unicodedata.category(c) == "Cn"))


def _is_numeric(cells: Sequence[object]) -> bool:
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool) for cell in known)


def _is_foldable(cells: Sequence[object]) -> bool:
    """Return whether a column has texts, lists or objects; numbers and times are not folded."""
    return any(isinstance(cell, (str, bytes, Mapping, list, tuple)) for cell in cells)

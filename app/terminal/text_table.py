"""Tables for people: aligned columns, steady decimals, and records where a row is wider than the screen."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TextIO

from photogenic.app.terminal.output import plain

__all__ = ["write_grid"]

_LONGEST_CELL = 400
"""Characters of one value that a person is shown; CSV and JSON have all of them."""

_GAP = "   "
_PLAIN, _BOLD, _DIM = "", "\x1b[1m", "\x1b[2m"


def write_grid(
    columns: Sequence[str], rows: Sequence[Sequence[object]], out: TextIO, *, title: str | None = None
) -> None:
    """Write rows as an aligned table; as records, one value a line, where the terminal is too narrow."""
    pen = _Pen(out)
    if title:
        pen.write(pen.styled(title, _BOLD) + "\n")
    names = [_printable(name) for name in columns]
    cells = list(zip(*rows, strict=True)) if rows else [() for _ in names]
    texts = [_texts(column, pen.null) for column in cells]
    widths = [max(map(_width, (name, *column))) for name, column in zip(names, texts, strict=True)]
    terminal = shutil.get_terminal_size().columns
    if rows and out.isatty() and sum(widths) + len(_GAP) * (len(widths) - 1) > terminal:
        pen.write_records(names, list(zip(*texts, strict=True)), terminal)
        return
    right = [_is_numeric(column) for column in cells]
    pen.write(pen.line(names, widths, right, _BOLD))
    pen.write(pen.styled(pen.rule * (sum(widths) + len(_GAP) * (len(widths) - 1)), _DIM) + "\n")
    for row in zip(*texts, strict=True):
        pen.write(pen.line(row, widths, right))
    if not rows:
        pen.write(pen.styled("no rows", _DIM) + "\n")


class _Pen:
    """Writes what the stream can show: colours on a terminal, ASCII where there is nothing else."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._encoding = out, out.encoding or "utf-8"
        self._colours = out.isatty() and "NO_COLOR" not in os.environ
        unicode = self._encoding.lower().startswith("utf")
        self.null, self.rule = ("∅", "─") if unicode else ("NULL", "-")

    def write(self, text: str) -> None:
        self._out.write(text.encode(self._encoding, "backslashreplace").decode(self._encoding))

    def styled(self, text: str, style: str) -> str:
        return f"{style}{text}\x1b[0m" if self._colours and style else text

    def line(self, texts: Sequence[str], widths: Sequence[int], right: Sequence[bool], style: str = _PLAIN) -> str:
        parts = []
        for text, width, is_right in zip(texts, widths, right, strict=True):
            padding = " " * (width - _width(text))
            shown = self.styled(text, style or (_DIM if text == self.null else _PLAIN))
            parts.append(padding + shown if is_right else shown + padding)
        return _GAP.join(parts).rstrip() + "\n"

    def write_records(self, names: Sequence[str], rows: Sequence[Sequence[str]], terminal: int) -> None:
        left = max(map(_width, names))
        room = max(terminal - left - len(_GAP), 10)
        for n, row in enumerate(rows, start=1):
            self.write(self.styled(f"row {n} ".ljust(terminal, self.rule), _DIM) + "\n")
            for name, text in zip(names, row, strict=True):
                head = self.styled(name, _BOLD) + " " * (left - _width(name))
                for piece in _folded(text, room):
                    self.write(f"{head}{_GAP}{piece}\n")
                    head = " " * left


def _texts(cells: Sequence[object], null: str) -> list[str]:
    """One column as text, with the same number of decimals from top to bottom."""
    pattern = _pattern([abs(cell) for cell in cells if isinstance(cell, float) and math.isfinite(cell)])
    seconds = all(not cell.microsecond for cell in cells if isinstance(cell, dt.datetime))
    return [null if cell is None else _text(cell, pattern, seconds) for cell in cells]


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
            return _printable(json.dumps(plain(cell), ensure_ascii=False))
        case _:
            return _printable(str(plain(cell)))


def _pattern(sizes: Sequence[float]) -> str:
    """Four digits that matter for the largest value: 0.3312, 27.41, 1503.2; powers of ten at the far ends."""
    largest = max(sizes, default=0.0)
    if largest and not 1e-3 <= largest < 1e9:
        return ".3e"
    whole_digits = len(str(int(largest))) if largest > 1 else 0  # ratios go up to 1 and look alike
    return f".{max(4 - whole_digits, 1)}f"


def _printable(text: str) -> str:
    """Without line breaks and control codes: a value from a file must not steer the terminal."""
    if len(text) > _LONGEST_CELL:
        text = f"{text[:_LONGEST_CELL]}… ({len(text)} characters)"
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _width(text: str) -> int:
    """Cells of a terminal: one per character, but two for the wide ones of East Asia and for most emoji."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _folded(text: str, room: int) -> Iterator[str]:
    yield from (text[start : start + room] for start in range(0, max(len(text), 1), room))


def _is_numeric(cells: Sequence[object]) -> bool:
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool) for cell in known)

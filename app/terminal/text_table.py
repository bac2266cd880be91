"""Aligned tables with the same decimals in a column, and records for rows that are wider than the terminal.

rich measures, aligns, folds and colors; this module formats the values. Only code that prints a table imports it,
because rich takes 20 ms to load.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TextIO

from rich.align import AlignMethod
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from photogenic.app.terminal.cells import to_plain

__all__ = ["write_grid"]

_LONGEST_CELL = 400
"""Largest number of characters printed of one value; CSV and JSON have all of them."""

_WIDEST = 10**9
"""Width of a pipe or a file in columns, so that no line is cut or folded."""

_GAP = Text("   ")


def write_grid(
    columns: Sequence[str], rows: Sequence[Sequence[object]], out: TextIO, *, title: str | None = None
) -> None:
    """Write rows as an aligned table, or as records with one value per line if the terminal is too narrow."""
    console = _console(out)
    null, rule = ("NULL", "-") if console.options.ascii_only else ("∅", "─")
    names = [Text(_printable(name, console.encoding), "bold") for name in columns]
    cells = list(zip(*rows, strict=True)) if rows else [() for _ in names]
    texts = [_texts(column, null, console.encoding) for column in cells]
    if title:
        console.print(Text(_printable(title, console.encoding), "bold"), soft_wrap=True)
    widths = [max(text.cell_len for text in (name, *column)) for name, column in zip(names, texts, strict=True)]
    total = sum(widths) + len(_GAP) * (len(widths) - 1)
    if rows and total > console.width:
        _print_records(console, names, list(zip(*texts, strict=True)))
        return
    for name, column, values, width in zip(names, texts, cells, widths, strict=True):
        side: AlignMethod = "right" if _is_numeric(values) else "left"
        for text in (name, *column):
            text.align(side, width)
    console.print(_line(names))
    console.print(Text(rule * total, "dim"))
    for line in zip(*texts, strict=True):
        console.print(_line(line))
    if not rows:
        console.print(Text("no rows", "dim"))


def _console(out: TextIO) -> Console:
    """Make a console with colors on a terminal unless NO_COLOR is set. Data is never read as markup."""
    return Console(
        file=out,
        force_terminal=out.isatty(),
        color_system=None if "NO_COLOR" in os.environ else "auto",
        width=None if out.isatty() else _WIDEST,
        soft_wrap=True,
        highlight=False,
    )


def _line(texts: Sequence[Text]) -> Text:
    """Join the cells of a row. docs/decisions/terminal-tables.md explains why this is not a rich.table.Table."""
    line = _GAP.join(texts)
    line.rstrip()
    return line


def _print_records(console: Console, names: Sequence[Text], rows: Sequence[Sequence[Text]]) -> None:
    for n, row in enumerate(rows, start=1):
        record = Table.grid(padding=(0, len(_GAP), 0, 0), pad_edge=False)
        record.add_column(no_wrap=True)
        record.add_column(overflow="fold")
        for name, text in zip(names, row, strict=True):
            record.add_row(name, text)
        console.print(Rule(f"row {n}", align="left", style="dim"), record, soft_wrap=False)


def _texts(cells: Sequence[object], null: str, encoding: str) -> list[Text]:
    """Format one column with the same number of decimals in every row."""
    pattern = _pattern([abs(cell) for cell in cells if isinstance(cell, float) and math.isfinite(cell)])
    seconds = all(not cell.microsecond for cell in cells if isinstance(cell, dt.datetime))
    return [
        Text(null, "dim") if cell is None else Text(_printable(_text(cell, pattern, seconds), encoding))
        for cell in cells
    ]


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
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _is_numeric(cells: Sequence[object]) -> bool:
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool) for cell in known)

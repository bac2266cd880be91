"""The help of every command in one form: usage, sentences, options under headings, two examples.

It is plain text, at most 120 columns wide. Headings are bold on a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

import typer

__all__ = ["COMMON", "Section", "option_text", "sections", "write_help"]

COMMON = "Common options"
"""Heading above the options that most commands share."""

_WIDEST_NAME = 26


class Section(NamedTuple):
    """A heading and the rows below it: a name, and what it is or does."""

    heading: str
    rows: list[tuple[str, str]]


def write_help(command: Any, ctx: Any, formatter: Any, listed: Iterable[Section] = ()) -> None:
    """Write the help of a command; `listed` are the commands below it."""
    command.format_usage(ctx, formatter)
    command.format_help_text(ctx, formatter)
    for heading, rows in (*listed, *sections(command, ctx)):
        _write_rows(formatter, heading, rows)
    _write_heading(formatter, "Examples")
    for line in (command.epilog or "").splitlines():
        formatter.write(f"  {line}\n")


def sections(command: Any, ctx: Any) -> list[Section]:
    """Return arguments and options of a command under their headings, common options last."""
    found: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        if parameter.hidden:
            continue
        if parameter.param_type_name == "argument":
            heading = "Arguments"
        elif parameter.name == "help":
            heading = COMMON if COMMON in found else "Options"
        else:
            heading = parameter.rich_help_panel or "Options"
        found.setdefault(heading, []).append((_names(parameter), option_text(parameter)))
    common = found.pop(COMMON, None)
    if common is not None:
        found[COMMON if found.keys() - {"Arguments"} else "Options"] = common
    return [Section(heading, rows) for heading, rows in found.items()]


def option_text(parameter: Any) -> str:
    """Return the help of an argument or option with its default and its environment variable."""
    parts = [parameter.help or ""]
    if parameter.required:
        parts.append("Required.")
    elif default := _default(parameter):
        parts.append(f"Default: {default}.")
    if parameter.envvar:
        parts.append(f"Environment variable: {parameter.envvar}.")
    return " ".join(parts)


def _default(parameter: Any) -> str:
    """Return the default as it would be written on the command line; empty: none, or the help says it."""
    value = parameter.default
    if value is None or value is False or parameter.show_default is False:
        return ""
    if value is True:
        return str(parameter.opts[0])
    values = value if isinstance(value, (list, tuple)) else [value]
    return ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in values)


def _names(parameter: Any) -> str:
    """Return the names of an option and its placeholder: `-k N`, `--browser / --no-browser`."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    names = ", ".join(sorted(parameter.opts, key=len))
    if parameter.secondary_opts:
        return f"{names} / {', '.join(parameter.secondary_opts)}"
    return names if parameter.is_flag or not parameter.metavar else f"{names} {parameter.metavar}"


def _write_rows(formatter: Any, heading: str, rows: list[tuple[str, str]]) -> None:
    _write_heading(formatter, heading)
    with formatter.indentation():
        formatter.write_dl(rows, col_max=_WIDEST_NAME)


def _write_heading(formatter: Any, heading: str) -> None:
    text = f"{heading}:"
    formatter.write_paragraph()
    formatter.write(f"{typer.style(text, bold=True) if _has_styles() else text}\n")


def _has_styles() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

"""The help of every command in one form: usage, sentences, options under headings, two examples.

It is plain text, at most 120 columns wide. Headings are bold on a terminal.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import textwrap
from collections.abc import Iterable
from typing import Any, NamedTuple

import typer

from photogenic.app.terminal.streams import is_screen

__all__ = ["COMMON", "Section", "default_words", "option_text", "sections", "usage_pieces", "write_help"]

COMMON = "Common options"
"""Heading above the options that most commands share."""

_WIDEST_NAME = 28
"""Longest name that has its text beside it."""


class Section(NamedTuple):
    """A heading and the rows below it: a name, and what it is or does."""

    heading: str
    rows: list[tuple[str, str]]


def write_help(command: Any, ctx: Any, formatter: Any, listed: Iterable[Section] = ()) -> None:
    """Write the help of a command; `listed` are the commands below it."""
    command.format_usage(ctx, formatter)
    for paragraph in (command.help or "").split("\n\n"):
        formatter.write("\n" + textwrap.indent("\n".join(_wrapped(paragraph, formatter.width - 2)), "  ") + "\n")
    for together in (list(listed), sections(command, ctx)):
        column = _column(together)
        for heading, rows in together:
            _write_heading(formatter, heading)
            formatter.write("".join(_row(name, text, column, formatter.width) for name, text in rows))
    _write_heading(formatter, "Examples")
    formatter.write("".join(_example(line, formatter.width) for line in (command.epilog or "").splitlines()))


def usage_pieces(command: Any) -> list[str]:
    """Return what follows the name of a command in its usage: `[OPTIONS] FILE...`."""
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    names = [(str(one.metavar) if one.required else f"[{one.metavar}]") for one in arguments]
    return ["[OPTIONS]", *(name + "..." * (one.nargs != 1) for name, one in zip(names, arguments, strict=True))]


def sections(command: Any, ctx: Any) -> list[Section]:
    """Return arguments and options of a command under their headings: its main options first, common options last."""
    found: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for parameter in command.get_params(ctx):
        if parameter.hidden:
            continue
        if parameter.param_type_name == "argument":
            heading = "Arguments"
        elif parameter.name == "help":
            heading = COMMON
        else:
            heading = parameter.rich_help_panel or "Options"
        found.setdefault(heading, []).append((_names(parameter), option_text(parameter)))
    common = found.pop(COMMON, [])
    if len(common) > 1 and any(rows for heading, rows in found.items() if heading != "Arguments"):
        found[COMMON] = common
    else:
        found["Options"] += common
    return [Section(heading, rows) for heading, rows in found.items() if rows]


def option_text(parameter: Any) -> str:
    """Return the help of an argument or option with its default and its environment variable."""
    parts = [parameter.help or ""]
    if parameter.required:
        parts.append("Required.")
    elif default := default_words(parameter):
        parts.append(f"Default: {', '.join(default)}.")
    if parameter.envvar:
        parts.append(f"Environment variable: {parameter.envvar}.")
    return " ".join(parts)


def default_words(parameter: Any) -> list[str]:
    """Return the default as it would be written on the command line; empty: there is none, or the help names it."""
    value = parameter.default
    if value is None or value is False or parameter.show_default is False:
        return []
    if value is True:
        return [str(parameter.opts[0])]
    return [_shown(one) for one in (value if isinstance(value, (list, tuple)) else [value])]


def _shown(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.isoformat().removesuffix("T00:00:00")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _names(parameter: Any) -> str:
    """Return the names of an option and its placeholder: `-k N`, `--browser / --no-browser`."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    names = ", ".join(sorted(parameter.opts, key=len))
    if parameter.secondary_opts:
        return f"{names} / {', '.join(parameter.secondary_opts)}"
    return names if parameter.is_flag or not parameter.metavar else f"{names} {parameter.metavar}"


def _column(together: list[Section]) -> int:
    """Return the width of the column of names; longer names stand on a line of their own."""
    lengths = [len(name) for _, rows in together for name, _ in rows]
    return max((length for length in lengths if length <= _WIDEST_NAME), default=0)


def _row(name: str, text: str, column: int, width: int) -> str:
    """Return a row of a list: the name, and beside it the text in lines of at most `width` characters."""
    indent = " " * (column + 4)
    lines = _wrapped(text, width - len(indent))
    if len(name) > column:
        lines.insert(0, "")
    first, *others = lines or [""]
    return "".join(f"{line}\n" for line in (f"  {name:<{column}}  {first}".rstrip(), *(indent + one for one in others)))


def _example(line: str, width: int) -> str:
    """Return an example, which a backslash continues on a second line if it is too long for one."""
    if len(line) + 2 > width:
        at = max(line.rfind(" --", 0, width - 3), line.rfind(" < ", 0, width - 3))
        line = f"{line[:at]} \\\n    {line[at + 1 :]}" if at > 0 else line
    return f"  {line}\n"


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text at spaces, but not inside the name of an option, nor between `Default:` and the value."""
    joined = text.replace("Default: ", "Default:\N{NO-BREAK SPACE}")
    lines = textwrap.wrap(joined, max(width, 20), break_on_hyphens=False, break_long_words=False)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _write_heading(formatter: Any, heading: str) -> None:
    text = f"{heading}:"
    formatter.write(f"\n{typer.style(text, bold=True) if _has_styles() else text}\n")


def _has_styles() -> bool:
    return "NO_COLOR" not in os.environ and is_screen(sys.stdout)

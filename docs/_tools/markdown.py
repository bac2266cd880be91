"""Pieces of Markdown that the pages of the reference share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NOTE = "<!-- Written by `make reference` from the code. Change the code or docs/_tools, not this page. -->"

_CONSOLE = re.compile(r"^```console[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. Cells are Markdown; a bar in a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def code(text: object) -> str:
    """Return a text as inline code; empty if it is empty."""
    return f"`{text}`" if str(text) else ""


def sentence(text: str) -> str:
    """Return a text with a capital letter and one full stop at its end."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?", ":")) else ".")


def plain(text: str) -> str:
    """Return text of a docstring or a help as one paragraph of Markdown."""
    text = " ".join(text.split())
    # Placeholders and options are set as code, so that `--x` is not typeset as a dash and `<x>` not taken for HTML.
    return re.sub(r"(?<![`\w-])(--[a-z][\w-]*|\$?FEATURES_[A-Z_]+)(?![`\w])", r"`\1`", text).replace("<", "&lt;")


def console(command: str, former: str) -> str:
    """Return a console block with the output that the former text of the page shows for the command.

    `python -m tests.docs.run PAGE --update` writes the real output into the page, and writing the page again keeps it.
    """
    for block in _CONSOLE.findall(former):
        typed, _, output = block.partition(f"$ {command}\n")
        if not typed and block.startswith(f"$ {command}\n"):
            return f"```console\n$ {command}\n{output}```"
    return f"```console\n$ {command}\n```"

"""Find `features ...` in pages and parse it by the real commands, without running it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from photogenic.app.cli.main import program
from tests.docs.runner.pages import Page

__all__ = ["check", "command_lines", "inline_command_lines", "options_of"]

_ENDS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>", "2>&1", ")"}
_BREAKS = re.compile(r"(&&|\|\|?|;|&(?=\s|$))")


def command_lines(page: Page) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and words after `features` of each call in an `sh` block, which is not run."""
    for block in page.blocks:
        if block.language in {"sh", "bash", "shell"}:
            for line, text in _joined(block.lines, block.line + 1):
                for words in _calls(text):
                    yield line, words


def inline_command_lines(page: Page) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and words of `features ...` in the prose; there arguments may be placeholders."""
    prose = page.prose()
    for found in re.finditer(r"(?<!`)`features ([^`]+)`(?!`)", prose):
        line = prose.count("\n", 0, found.start()) + 1
        words = re.sub(r"[\[\]()|]|\.\.\.|…", " ", found[1].replace("\\|", " ")).replace("'", " ").replace('"', " ")
        yield line, words.split()


def check(words: list[str], *, strict: bool) -> str:
    """Say what is wrong with the words after `features`; empty if nothing is.

    Args:
        words: arguments.
        strict: parse everything. Else only the commands and the names of options are looked up.
    """
    command: Any = get_command(program)
    context = command.make_context("features", [], resilient_parsing=True)
    rest = list(words)
    while rest and rest[0].startswith("-"):  # options of `features` itself
        known = {name: option for option in command.params for name in option.opts}
        name = rest.pop(0).partition("=")[0]
        if name not in {*known, "--help", "-h", "--install-completion", "--show-completion"}:
            return f"there is no option {name} of features"
        if name in known and not known[name].is_flag and rest and "=" not in name:
            rest.pop(0)
    while hasattr(command, "get_command") and rest and not rest[0].startswith("-"):
        below = command.get_command(context, rest[0])
        if below is None:
            return "" if not strict and not re.fullmatch(r"[a-z-]+", rest[0]) else f"there is no command {rest[0]!r}"
        command, rest = below, rest[1:]
    if hasattr(command, "get_command"):
        return ""
    if not strict:
        return _names(command, rest)
    if {"--help", "-h"} & set(rest):
        return ""
    try:
        command.make_context(words[0], rest)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return str(error.format_message())
    return ""


def options_of(command: Any) -> set[str]:
    """Return all names of the options of a command."""
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)}


def _names(command: Any, rest: list[str]) -> str:
    known = options_of(command) | {"--help", "-h"}
    unknown = [word for word in rest if word.startswith("--") and word.partition("=")[0].rstrip(",.") not in known]
    return f"no such option: {', '.join(unknown)}" if unknown else ""


def _joined(lines: tuple[str, ...], first: int) -> Iterator[tuple[int, str]]:
    at = 0
    while at < len(lines):
        start, text = at, lines[at]
        while text.endswith("\\") and at + 1 < len(lines):
            at += 1
            text = text[:-1] + " " + lines[at].strip()
        at += 1
        yield first + start, text


def _calls(text: str) -> Iterator[list[str]]:
    text = text.replace("\\\n", " ")
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    try:
        words = list(lexer)
    except ValueError:  # an apostrophe in a comment or a here-document
        return
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        is_program = word == "features" or (word.endswith("/features") and "://" not in word)
        if is_program and before not in {"cd", "install", "which", "command", "pip", "-v", "mkdir", "ls"}:
            call = []
            for other in words[at + 1 :]:
                if set(other) <= set("|&;()<>") and other:
                    break
                call.append(other)
            if call and words[at + 1 + len(call) : at + 2 + len(call)] in (["<"], [">"]) and call[-1] == "2":
                call.pop()
            yield call

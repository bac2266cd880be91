"""A page of the documentation: its settings for tests, and its fenced blocks."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import yaml

__all__ = ["ROOT", "Block", "Command", "Page", "pages"]

ROOT = Path(__file__).parents[3]

_OPEN = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,}) ?(?P<language>[\w+-]*)(?P<info>.*)$")
_FRONT = re.compile(r"\A---\n(.*?)^---\n", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^<!--\s*(test:.*?)-->", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_KNOWN = {"files", "store", "serve", "thorough"}


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a console block and the output that the page shows for it.

    Attributes:
        text: what is typed, without `$ `; several lines if the command continues.
        output: lines of the shown output.
        line: line number in the page.
    """

    text: str
    output: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        language: first word of the info string; empty if there is none.
        options: `name=value` words of the info string.
        lines: lines between the fences, without the indentation of the fence.
        line: line number of the opening fence, from 1.
        indent: indentation of the fence.
    """

    language: str
    options: dict[str, str]
    lines: tuple[str, ...]
    line: int
    indent: str

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def commands(self) -> list[Command]:
        """Split a console block into commands and outputs.

        A command continues on the next line after a backslash, inside quotes, and up to the end of a here-document.

        Raises:
            ValueError: The block begins with output.
        """
        found: list[Command] = []
        at = 0
        while at < len(self.lines):
            start = at
            if not self.lines[at].startswith("$ "):
                raise ValueError(f"line {self.line + 1 + at}: a console block begins with a line `$ command`")
            text = self.lines[at][2:]
            at += 1
            while _continues(text) and at < len(self.lines):
                text += "\n" + self.lines[at]
                at += 1
            end = next((n for n in range(at, len(self.lines)) if self.lines[n].startswith("$ ")), len(self.lines))
            found.append(Command(text, self.lines[at:end], self.line + 1 + start))
            at = end
        return found


@dataclass(frozen=True, slots=True)
class Page:
    """A Markdown file.

    Attributes:
        path: file.
        text: its content.
        files: name of the files in the page's folder at the start: `swipes`, a small world; `demo`, the world of
            `make demo`; empty: none.
        store: name of the store in `./store` at the start: `demo`; empty: none.
        serve: whether `features serve` answers at http://127.0.0.1:8000.
        thorough: whether the page is run by `make test-thorough` only.
        blocks: fenced blocks in their order.
    """

    path: Path
    text: str
    files: str = ""
    store: str = ""
    serve: bool = False
    thorough: bool = False
    blocks: tuple[Block, ...] = field(default=())

    @classmethod
    def read(cls, path: Path) -> Page:
        """Read a page.

        The settings stand in its front matter as `test: {files: swipes, store: demo}`. A page which a code host shows
        first, such as README.md, has them in a comment: `<!-- test: {files: swipes} -->`.

        Raises:
            ValueError: A setting is unknown, or a block has no end.
        """
        text = path.read_text(encoding="utf-8")
        front, comment = _FRONT.search(text), _COMMENT.search(text)
        told = yaml.safe_load(front[1] if front else comment[1] if comment else "") or {}
        settings = told.get("test") or {}
        if unknown := settings.keys() - _KNOWN:
            raise ValueError(f"{path}: unknown settings {sorted(unknown)}; known are {sorted(_KNOWN)}")
        return cls(path, text, blocks=tuple(_blocks(path, text)), **settings)

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT)) if self.path.is_relative_to(ROOT) else self.path.name

    @property
    def runs(self) -> bool:
        """Whether the page has a block that is run."""
        return any(block.language in {"console", "python", "pycon", "sql"} for block in self.blocks)

    def prose(self) -> str:
        """Return the text without front matter and fenced blocks, each of which becomes empty lines."""
        lines = self.text.splitlines()
        if front := _FRONT.search(self.text):
            lines[: front[0].count("\n")] = [""] * front[0].count("\n")
        for block in self.blocks:
            lines[block.line - 1 : block.line + 1 + len(block.lines)] = [""] * (len(block.lines) + 2)
        return "\n".join(lines)


def pages() -> list[Page]:
    """Return README.md and all pages under docs/."""
    return [Page.read(path) for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))]


def _blocks(path: Path, text: str) -> list[Block]:
    found, lines, at = [], text.splitlines(), 0
    while at < len(lines):
        opened = _OPEN.match(lines[at])
        at += 1
        if opened is None:
            continue
        start, indent, fence = at, opened["indent"], opened["fence"]
        while at < len(lines) and not re.fullmatch(rf"\s*{fence[0]}{{{len(fence)},}}\s*", lines[at]):
            at += 1
        if at == len(lines):
            raise ValueError(f"{path}:{start}: the block has no closing fence")
        body = tuple(line.removeprefix(indent) for line in lines[start:at])
        options = dict(word.split("=", 1) for word in shlex.split(opened["info"]) if "=" in word)
        found.append(Block(opened["language"], options, body, start, indent))
        at += 1
    return found


def _continues(text: str) -> bool:
    if (heredoc := _HEREDOC.search(text)) and not re.search(rf"^{heredoc[2]}$", text, re.MULTILINE):
        return True
    if text.endswith("\\"):
        return True
    if heredoc:
        return False
    try:
        shlex.split(text)
    except ValueError:
        return True
    return False

"""The page of messages quotes what the program says: a message that changes in the code must change there too."""

import ast
import functools
import re
from collections.abc import Iterator

import pytest

from tests.docs.runner.pages import ROOT, Page

PAGE = Page.read(ROOT / "docs" / "guides" / "troubleshooting.md")
HEADING = re.compile(r"^### `(.+)`$", re.MULTILINE)
FOLDERS = ("app", "features", "ingest", "maintenance", "models", "photogenic", "warehouse")
FIELD = "\0"
LEAST = 12
"""Characters that a message of the code must have apart from its values, to say anything about a quotation."""


def _text(node: ast.expr) -> str | None:
    """Return a string of the code with FIELD for each value in it; None: it is no string."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value) or FIELD for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return (_text(left) or FIELD) + (_text(right) or FIELD)
    return None


@functools.cache
def messages() -> list[re.Pattern[str]]:
    """Return every string of the code as a pattern of what it can say."""
    texts = {
        text
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if "photogenic" not in path.relative_to(ROOT).parts[1:]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.expr) and (text := _text(node)) is not None
    }
    texts |= {text.partition("\n")[0] for text in texts}
    texts = {re.sub(f"{FIELD}(?: {FIELD})+", FIELD, text) for text in texts}
    said = [text for text in texts if " " in text and len(text.replace(FIELD, "").strip()) >= LEAST]
    return [re.compile("(.*)".join(re.escape(part) for part in text.split(FIELD)), re.DOTALL) for text in said]


def is_said(text: str) -> bool:
    """Whether the code can say a line, with any values in it."""
    return any(pattern.fullmatch(text) for pattern in messages())


def is_message(text: str) -> bool:
    """Whether the code has a message with values where the text has `...`, and the same words everywhere else."""
    found = (pattern.fullmatch(text) for pattern in messages())
    return any(match is not None and not re.search(r"\w", "".join(match.groups())) for match in found)


def sections() -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each quoted message with the lines that its run blocks and its other blocks show."""
    found = [(match[1], PAGE.text.count("\n", 0, match.start()) + 1) for match in HEADING.finditer(PAGE.text)]
    heads = [n for n, line in enumerate(PAGE.text.splitlines(), 1) if re.match(r"^##+ ", line)]
    for message, start in found:
        end = next((n for n in heads if n > start), len(PAGE.text))
        blocks = [block for block in PAGE.blocks if start < block.line < end]
        shown = [line for block in blocks if block.language == "console" for line in block.lines]
        quoted = [line for block in blocks if block.language == "text" for line in block.lines]
        yield message, shown, quoted


def _shown_as(message: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in message.split("...")))


SECTIONS = list(sections())


def test_there_are_enough_messages():
    assert len(SECTIONS) >= 40


@pytest.mark.parametrize(("message", "shown"), [(message, shown) for message, shown, _ in SECTIONS if shown])
def test_a_heading_is_what_its_block_prints(message, shown):
    pattern = _shown_as(message)
    assert any(pattern.fullmatch(line) for line in shown), shown


@pytest.mark.parametrize("message", [message for message, shown, _ in SECTIONS if not shown])
def test_a_heading_without_a_run_block_is_in_the_code(message):
    assert is_message(message)


@pytest.mark.parametrize("line", [line for _, _, quoted in SECTIONS for line in quoted if line != "..."])
def test_a_quoted_line_is_in_the_code(line):
    assert is_said(re.sub(r"^(Expected|Try): ", "", line))


@pytest.mark.parametrize(
    "text", ["The store ... is being written to by ....", "There is no shop at ....", "... is ...."]
)
def test_a_message_that_nobody_says_is_found(text):
    assert not is_message(text)

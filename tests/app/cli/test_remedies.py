"""Whatever a message tells people to type exists: command and options."""

import ast
import re
from pathlib import Path

import pytest
from typer.main import get_command

from photogenic.app.cli.main import program

ROOT = Path(__file__).parents[3]
SOURCES = [
    p for room in ("app", "models", "features", "ingest", "warehouse") for p in sorted((ROOT / room).rglob("*.py"))
]
PROMISED = set[str]()
"""Commands that messages name and that are still to come."""

LINE = re.compile(r"\bfeatures ([a-z][a-z-]*(?: [^`,;()\n]*)?)")


def texts(path):
    """The strings of a file, docstrings too; what an f-string fills in stands as X."""
    inside = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            yield "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def advised(path):
    for text in texts(path):
        yield from (match[1].split() for match in LINE.finditer(text))


def resolved(words):
    """The command that these words call, and the words after it; None where they are prose about features."""
    command = get_command(program)
    while hasattr(command, "commands"):
        if not words or words[0] not in command.commands:
            return None
        command, words = command.commands[words[0]], words[1:]
    return command, words


def test_what_is_promised_is_not_there_yet():
    assert PROMISED.isdisjoint(get_command(program).commands)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_option_that_is_advised_exists(path):
    for words in advised(path):
        found = resolved(words)
        options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} - {"--help"}
        if words[0] in PROMISED:
            continue
        if found is None:
            assert not options, words
        else:
            command, _ = found
            assert options <= {name for p in command.params for name in (*p.opts, *p.secondary_opts)}, words

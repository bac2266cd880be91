"""Pages name commands and options that exist, and nothing of the machine on which they were written."""

import re
from pathlib import Path

import pytest

from photogenic.app.cli.checked_command import FORMER, FORMER_NEGATIVE
from tests.app.program import COMMANDS
from tests.docs.command_lines import check, command_lines, inline_command_lines, options_of
from tests.docs.runner.pages import ROOT, pages
from tests.test_language import DIALECT, SPELLING

PAGES = pages()
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
HERE = [str(ROOT), str(Path.home()) + "/", "/tmp/pytest-", "/tmp/pages-", str(ROOT.parent) + "/"]
HERE = [path for path in HERE if path not in ("//", "/", "/home/")]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_commands_and_options_exist(page):
    wrong = [
        f"{page.name}:{line}: features {' '.join(words)}: {said}"
        for strict, lines in ((True, command_lines(page)), (False, inline_command_lines(page)))
        for line, words in lines
        if (said := check(words, strict=strict))
    ]
    assert not wrong, "\n".join(wrong)


@each_page
def test_no_path_of_this_machine(page):
    lines = page.text.splitlines()
    wrong = [f"{page.name}:{n}: {line}" for n, line in enumerate(lines, 1) if any(path in line for path in HERE)]
    for block in page.blocks:
        if block.language in {"console", "pycon", "text"}:
            shown = enumerate(block.lines, block.line + 1)
            wrong += [f"{page.name}:{n}: {line}" for n, line in shown if re.search(r"(?<![\w.])/(root|tmp/tmp)", line)]
    assert not wrong, "\n".join(wrong)


@each_page
def test_console_blocks_begin_with_a_command(page):
    for block in page.blocks:
        if block.language == "console":
            assert block.commands(), f"{page.name}:{block.line}"


OPTIONS = {name for command in COMMANDS.values() for name in options_of(command)} | {
    *("--help", "--version", "--log-format", "--install-completion", "--show-completion"),
    *FORMER.values(),
    *FORMER_NEGATIVE.values(),
}
OF_OTHERS = {
    *("--index-url", "--extra-index-url", "--no-deps", "--require-hashes"),  # pip
    *("--network", "--read-only", "--user", "--gpus", "--memory", "--cpus"),  # docker
    *("--durations", "--update"),  # the tests
    *("--faults", "--json", "--pids-limit"),  # the synthetic network, curl, docker
}
"""Options of other programs that pages name in a sentence."""


@each_page
def test_options_that_are_named_in_a_sentence_exist(page):
    alone = {found for text in INLINE.findall(page.prose()) for found in re.findall(r"^(--[a-z][a-z-]*)", text)}
    assert alone <= OPTIONS | OF_OTHERS


@each_page
def test_prose_is_plain_english(page):
    """The words of `tests/test_language.py` do not come back. The reference repeats the code, which that test holds."""
    if page.name.startswith("docs/reference/"):
        return
    prose = re.sub(r"\]\([^)]*\)", "]", INLINE.sub("`x`", page.prose()))
    wrong = [
        f"{page.name}:{n}: {line.strip()} ({instead})"
        for n, line in enumerate(prose.splitlines(), 1)
        for pattern, instead in {**DIALECT, **SPELLING}.items()
        if re.search(pattern, line)
    ]
    assert not wrong, "\n".join(wrong)

"""The blocks of the tutorials run and print what the pages show."""

import pytest

from tests.docs.chosen import pages_of
from tests.docs.runner.pages import pages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pages_of("tutorials")
def test_a_page_shows_what_its_blocks_print(page, run):
    wrong = run(page)
    assert not wrong, wrong


def test_own_features_take_at_most_sixty_typed_lines():
    """Lines of files, of Python and of commands, up to the section that only looks at the result."""
    (page,) = (page for page in pages() if page.name == "docs/tutorials/own-features.md")
    last = page.text[: page.text.index("## Look closer")].count("\n")
    typed = []
    for block in page.blocks:
        if block.line < last and block.language == "console":
            typed += [line for command in block.commands() for line in command.text.splitlines()]
        elif block.line < last and block.language in {"sql", "python", "toml"}:
            typed += [line for line in block.lines if line.strip()]
    assert 40 < len(typed) <= 60, "\n".join(typed)

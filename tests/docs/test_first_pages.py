"""The blocks of README.md and of the pages in docs/ run and print what the pages show."""

import pytest

from tests.docs.chosen import pages_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pages_of(".")
def test_a_page_shows_what_its_blocks_print(page, run):
    wrong = run(page)
    assert not wrong, wrong

"""The blocks of the guides run and print what the pages show."""

import pytest

from tests.docs.chosen import pages_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pages_of("guides")
def test_a_page_shows_what_its_blocks_print(page, run):
    wrong = run(page)
    assert not wrong, wrong

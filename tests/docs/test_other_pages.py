"""The blocks of the reference, the explanations, results and decisions run and print what the pages show."""

import pytest

from tests.docs.chosen import folder_of, pages_of
from tests.docs.runner.pages import pages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pages_of("reference", "explanation", "results", "decisions")
def test_a_page_shows_what_its_blocks_print(page, run):
    wrong = run(page)
    assert not wrong, wrong


def test_every_page_is_in_a_folder_whose_pages_are_run():
    folders = {".", "guides", "tutorials", "reference", "explanation", "results", "decisions"}
    assert {folder_of(page) for page in pages()} <= folders

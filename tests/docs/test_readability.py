"""Sentences of README and guides are short."""

import pytest

from tests.docs.readability import measure, sentences
from tests.docs.runner.pages import Page, pages

MOST_WORDS = 18
"""Largest mean number of words of a sentence."""


@pytest.mark.parametrize("folder", ["README.md", "docs/tutorials/", "docs/guides/"])
def test_sentences_are_short(folder):
    chosen = [page for page in pages() if page.name.startswith(folder)]
    assert chosen
    long = [(round(measure([page]).mean, 1), page.name) for page in chosen if measure([page]).mean > MOST_WORDS]
    assert measure(chosen).mean <= MOST_WORDS, sorted(long, reverse=True)


def test_what_counts_as_a_sentence(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(
        "---\ntest: {}\n---\n# A heading.\n\nOne of `users.csv`, e.g. 1.5 [words](x.md). Two\nlines.\n\n"
        "- An item\n- Another: it ends here.\n\n| a | table. |\n\n```sh\nfeatures build\n```\n"
    )
    page = Page.read(path)
    assert sentences(page) == ["One of `users.csv`, e.g 1.5 words.", "Two lines.", "An item", "Another: it ends here."]
    assert measure([page]).words == 14

"""Texts are checked before anything is computed, and no message repeats them."""

import pytest

from photogenic.features.text.texts import LONGEST, Text
from photogenic.warehouse import InputError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" \n\t\u3000", "is empty"),
        ("secret " * 1000, r"has 7,000 characters"),
        ("x" * 10**6, "has 1,000,000 characters"),
        ("secret \ud83d", "character 8 is half of a pair"),
    ],
)
def test_what_cannot_be_a_text_is_refused(text, said):
    with pytest.raises(InputError, match=said) as caught:
        Text(text)
    assert "secret" not in str(caught.value)


def test_the_longest_text_is_taken():
    assert len(Text("é" * LONGEST).value) == LONGEST


def test_the_words_are_not_in_the_representation():
    assert "secret" not in repr(Text("secret"))

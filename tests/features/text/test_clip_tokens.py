"""The tokens of a text are those of OpenAI's CLIP, whatever the text."""

from __future__ import annotations

import functools
import gzip
import html
import itertools
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("open_clip", reason="the extra text is not installed")

import open_clip

from photogenic.features.text import clip_tokens as module
from photogenic.features.text.clip_tokens import VOCABULARY, clip_tokens
from photogenic.warehouse import InputError

BEGIN, END = 49_406, 49_407

# Published by others: the tests of Hugging Face's CLIPTokenizer, of Apple's and Emgu's ports, and of Bumblebee.
PUBLISHED = [
    ("a photo of a cat", [320, 1125, 539, 320, 2368]),
    ("a photo of a dog", [320, 1125, 539, 320, 1929]),
    ("A  PHOTO of\ta\nCat ", [320, 1125, 539, 320, 2368]),
    ("a photo of an astronaut riding a horse on mars", [320, 1125, 539, 550, 18376, 6765, 320, 4558, 525, 7496]),
    (
        "Apple CoreML developer tools on a Macbook Air are fast",
        [3055, 19622, 5780, 10929, 5771, 525, 320, 20617, 1922, 631, 1953],
    ),
    ("Hello, World! 123", [3306, 267, 1002, 256, 272, 273, 274]),
    ("The quick brown fox jumps over the lazy dog.", [518, 3712, 2866, 3240, 18911, 962, 518, 10753, 1929, 269]),
    ("an illustration", [550, 6052]),
    ('a sign saying "Here lies Cesar"', [320, 2292, 4455, 257, 763, 3205, 28603, 257]),
    ("A'veA'llA's", [320, 1200, 320, 1342, 320, 568]),
    ("This is a test \U0001f60a", [589, 533, 320, 1628, 3020]),
    (
        "I was born in 92000, and this is fals\u00e9.",
        [328, 739, 2683, 530, 280, 273, 271, 271, 271, 267, 537, 589, 533, 2778, 82, 4166, 269],
    ),
    ("\u751f\u6d3b\u7684\u771f\u8c1b\u662f", [33375, 162, 112, 119, 163, 248, 226, 41570, 164, 108, 249, 42891, 363]),
    ("<s>hi<s>there", [283, 338, 285, 1883, 283, 338, 285, 997]),
]


def ours(text, length=77, clean="lower"):
    return clip_tokens(length, clean, text)


@pytest.mark.parametrize(("text", "ids"), PUBLISHED)
def test_the_ids_are_those_that_others_published(text, ids):
    found = ours(text).ids
    assert found.dtype == np.int64
    assert found.tolist() == [BEGIN, *ids, END, *[0] * (75 - len(ids))]


@functools.cache
def vocabulary():
    """The file of merges, read here again: ids of tokens, and ranks of merges."""
    path = Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
    merges = [tuple(line.split()) for line in gzip.decompress(path.read_bytes()).decode().splitlines()[1:48_895]]
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in shown}
    letters |= {byte: chr(256 + at) for at, byte in enumerate(byte for byte in range(256) if byte not in letters)}
    ordered = [letters[byte] for byte in (*shown, *(byte for byte in range(256) if byte not in shown))]
    words = [*ordered, *(f"{one}</w>" for one in ordered), *map("".join, merges)]
    return letters, {word: at for at, word in enumerate(words)}, {pair: at for at, pair in enumerate(merges)}


def theirs(text):
    """Byte pair encoding written from its definition: merge the pair of lowest rank until there is none."""
    letters, ids, ranks = vocabulary()
    text = " ".join(html.unescape(html.unescape(text)).split()).lower()
    found = []
    kinds = "".join(
        "L" if (kind := unicodedata.category(c)[0]) == "L" else "N" if kind == "N" else "S" if c.isspace() else "o"
        for c in text
    )
    at = 0
    while at < len(text):
        short = re.match(r"'s|'t|'re|'ve|'m|'ll|'d", text[at:])
        if kinds[at] == "S":
            at += 1
            continue
        end = at + (
            len(short[0]) if short else 1 if kinds[at] == "N" else len(re.match(f"{kinds[at]}+", kinds[at:])[0])
        )
        parts = [letters[byte] for byte in text[at:end].encode()]
        parts[-1] += "</w>"
        while len(parts) > 1:
            best = min(itertools.pairwise(parts), key=lambda pair: ranks.get(pair, 1 << 30))
            if best not in ranks:
                break
            merged, place = [], 0
            while place < len(parts):
                joined = tuple(parts[place : place + 2]) == best
                merged.append("".join(best) if joined else parts[place])
                place += 1 + joined
            parts = merged
        found += [ids[part] for part in parts]
        at = end
    return found


TEXTS = [
    "sunglasses on a beach",
    "don't, can't, I'll, we've, he'd",
    "Zo\u00eb in M\u00fcnchen, 23\u00b0C",
    "\u0430 \u0444\u043e\u0442\u043e",
    "\u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4",
    "\U0001f600\U0001f3d6\ufe0f\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "3.14159 #selfie @me $5 50%",
    "&lt;b&gt;bold&lt;/b&gt; &amp;amp;",
    "antidisestablishmentarianism",
    "a" * 60,
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_ids_are_those_of_the_definition(text):
    found = ours(text, 200).ids
    assert found[found > 0].tolist() == [BEGIN, *theirs(text), END]


@pytest.mark.parametrize("text", [*TEXTS, *(text for text, _ in PUBLISHED), "word " * 74, "word " * 76])
def test_the_ids_are_those_of_open_clip(text):
    assert ours(text).ids.tolist() == open_clip.tokenize(text)[0].tolist()


def test_what_has_no_room_is_left_out_and_counted():
    for n_words, n_left_out in ((75, 0), (76, 1), (200, 125)):
        found = ours("dog " * n_words)
        assert found.n_left_out == n_left_out
        assert found.ids.tolist() == [BEGIN, *[1929] * 75, END]
    assert ours("dog " * 9, 5).ids.tolist() == [BEGIN, 1929, 1929, 1929, END]


@pytest.mark.parametrize("text", ["a <end_of_text> b", "<start_of_text>", "<End_Of_Text>"])
def test_a_text_cannot_write_the_marks(text):
    found = ours(text).ids.tolist()
    assert (found.count(BEGIN), found.count(END)) == (1, 1)


@pytest.mark.parametrize(("clean", "text"), [("lower", "&nbsp;"), ("canonicalize", "?!")])
def test_a_text_without_words_is_refused(clean, text):
    with pytest.raises(InputError, match="has no word"):
        ours(text, clean=clean)


def test_the_words_of_users_are_not_kept():
    ours("sunglasses on a beach")
    kept = module._tokenizer("lower").cache
    assert set(kept) == {"<start_of_text>", "<end_of_text>"}
    assert module._tokenizer("lower").vocab_size == VOCABULARY

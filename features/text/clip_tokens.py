"""The tokens of CLIP: byte pairs with the vocabulary of 49,408 tokens that OpenAI published and open_clip ships."""

from __future__ import annotations

import functools
import re
import threading
from typing import Any

import numpy as np

from photogenic._lazy import open_clip
from photogenic.features.encoders.base import Tokens
from photogenic.warehouse import InputError

__all__ = ["VOCABULARY", "clip_tokens"]

VOCABULARY = 49_408
"""Number of tokens. The last two are the marks for the beginning and the end of a text."""

_MARK = re.compile(r"<(?=(start|end)_of_text>)", re.IGNORECASE)
_lock = threading.Lock()


def clip_tokens(length: int, clean: str, text: str) -> Tokens:
    """The tokens of a text between the marks for its beginning and its end, padded with 0.

    Args:
        length: Tokens that the text tower takes. Those beyond it are left out.
        clean: How texts are cleaned first: `lower`, `whitespace` or `canonicalize` (without punctuation).
        text: A text of limited length: the time for a long word grows with its square.

    Raises:
        InputError: The text has no word or sign.
    """
    with _lock:
        tokenizer = _tokenizer(clean)
        try:
            # The marks are no words that a user can write: the text tower would ignore what stands behind the end.
            found: list[int] = tokenizer.encode(_MARK.sub("< ", text))
        finally:
            # open_clip would keep every word for ever.
            tokenizer.cache = dict(_marks(clean))
    if not found:
        raise InputError("The text has no word.", "words that describe a photo", '--text "sunglasses on a beach"')
    kept = found[: length - 2]
    ids = np.zeros(length, np.int64)
    ids[: len(kept) + 2] = [tokenizer.sot_token_id, *kept, tokenizer.eot_token_id]
    return Tokens(ids, len(found) - len(kept))


@functools.cache
def _tokenizer(clean: str) -> Any:
    return open_clip.tokenizer.SimpleTokenizer(clean=clean)


@functools.cache
def _marks(clean: str) -> dict[str, str]:
    """The entries with which the cache of a new tokenizer begins."""
    return {mark: word for mark, word in _tokenizer(clean).cache.items() if mark == word and mark.endswith("_of_text>")}

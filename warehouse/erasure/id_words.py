"""Ids of erased people as words of other people's texts: told apart from longer ids that they are part of.

A word ends where neither a letter nor a digit follows, so `kilroy-42` is a word of `kilroy-42.csv`. In
`kilroy-42-junior` it is one too, unless somebody of that name is known: then it is their id, and stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["CHUNK", "Words", "escaped", "patterns"]

CHUNK = 200
"""Words in one regular expression."""


class Words:
    """Finds and strikes out.

    Args:
        ids: of erased people and their photos.
        longer: ids of others that one of these is part of.
    """

    def __init__(self, ids: Iterable[str], longer: Iterable[str] = ()) -> None:
        self.ids = sorted(set(ids), key=len, reverse=True)
        self._whole = {id_.casefold() for id_ in self.ids}
        kept = sorted({spelt for id_ in longer for spelt in _spellings(id_)}, key=len, reverse=True)
        keep = "|".join(map(re.escape, kept))
        self._chunks = [
            re.compile(rf"(?<![^\W_])(?:({keep or '(?!)'})|(?:{'|'.join(part)}))(?![^\W_])")
            for part in _chunked([re.escape(spelt) for id_ in self.ids for spelt in _spellings(id_)])
        ]

    def struck_out(self, text: str) -> str:
        """The text without the ids."""
        for words in self._chunks:
            text = words.sub(lambda found: found[0] if found[1] is not None else "(erased)", text)
        return text

    def has(self, text: str) -> bool:
        """Whether an id is a word of the text."""
        return self.struck_out(text) != text

    def is_one(self, text: str) -> bool:
        """Whether a text, such as a hashtag, is an id, in capitals or not, or has one as a word."""
        return text.casefold() in self._whole or self.has(text)

    def struck_out_of_json(self, text: str, ours: frozenset[str] = frozenset()) -> str:
        """JSON without the ids in its texts; numbers, names and texts that are `ours` stay. No JSON: as a text."""
        try:
            told = json.loads(text)
        except ValueError:
            return self.struck_out(text)
        kept = self._within(told, ours)
        return text if kept == told else json.dumps(kept)

    def _within(self, value: Any, ours: frozenset[str]) -> Any:
        if isinstance(value, str):
            return value if value in ours else self.struck_out(value)
        if isinstance(value, list):
            return [self._within(item, ours) for item in value]
        if isinstance(value, dict):
            return {name: self._within(item, ours) for name, item in value.items()}
        return value


def patterns(ids: Sequence[str]) -> Iterable[str]:
    """Regular expressions of RE2, whose matches include every text that has one of the ids as a word."""
    spelt = [escaped(spelling) for id_ in ids for spelling in _spellings(id_)]
    for part in _chunked(spelt):
        yield rf"(?i)(^|[^\pL\pN])(?:{'|'.join(part)})($|[^\pL\pN])"


def escaped(text: str) -> str:
    """For RE2, which knows fewer escapes than Python."""
    return re.sub(r"([^\w\s-])", r"\\\1", text, flags=re.ASCII) if text.isascii() else re.escape(text)


def _spellings(id_: str) -> list[str]:
    """As it is, and as JSON writes it within quotes."""
    return list(dict.fromkeys((id_, json.dumps(id_)[1:-1], json.dumps(id_, ensure_ascii=False)[1:-1])))


def _chunked(items: list[str]) -> Iterable[list[str]]:
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))

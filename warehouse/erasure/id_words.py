"""Find and redact ids of erased people in text, but not where they are part of a longer id of another person.

An id matches where no letter or digit precedes or follows it, so `kilroy-42` matches in `kilroy-42.csv`. It also
matches in `kilroy-42-junior`, unless that is the id of another user: then the text stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["CHUNK", "IdWords", "escape_re2", "re2_patterns"]

CHUNK = 200
"""Number of ids in one regular expression."""


class IdWords:
    """Matcher for a set of ids.

    Args:
        ids: ids of erased people and of their photos.
        longer: ids of other people that contain one of these.
    """

    def __init__(self, ids: Iterable[str], longer: Iterable[str] = ()) -> None:
        self.ids = sorted(set(ids), key=len, reverse=True)
        self._whole = {id_.casefold() for id_ in self.ids}
        kept = sorted({spelt for id_ in longer for spelt in _spellings(id_)}, key=len, reverse=True)
        keep = "|".join(map(re.escape, kept))
        self._chunks = [
            re.compile(rf"(?<![^\W_])(?:({keep or '(?!)'})|(?:{'|'.join(part)}))(?![^\W_])")
            for part in _chunks([re.escape(spelt) for id_ in self.ids for spelt in _spellings(id_)])
        ]

    def redact(self, text: str) -> str:
        """Return the text with each id replaced by `(erased)`."""
        for words in self._chunks:
            text = words.sub(lambda found: found[0] if found[1] is not None else "(erased)", text)
        return text

    def has(self, text: str) -> bool:
        """Whether the text contains an id as a word."""
        return self.redact(text) != text

    def is_one(self, text: str) -> bool:
        """Whether a text, such as a hashtag, equals an id in any case, or contains one as a word."""
        return text.casefold() in self._whole or self.has(text)

    def redact_json(self, text: str, ours: frozenset[str] = frozenset()) -> str:
        """Redact the strings of a JSON text, except keys and the strings in `ours`. Other text: as in `redact`."""
        try:
            value = json.loads(text)
        except ValueError:
            return self.redact(text)
        kept = self._within(value, ours)
        return text if kept == value else json.dumps(kept)

    def _within(self, value: Any, ours: frozenset[str]) -> Any:
        if isinstance(value, str):
            return value if value in ours else self.redact(value)
        if isinstance(value, list):
            return [self._within(item, ours) for item in value]
        if isinstance(value, dict):
            return {name: self._within(item, ours) for name, item in value.items()}
        return value


def re2_patterns(ids: Sequence[str]) -> Iterable[str]:
    """Yield RE2 patterns that match every text that has one of the ids as a word, and some others."""
    spelt = [escape_re2(spelling) for id_ in ids for spelling in _spellings(id_)]
    for part in _chunks(spelt):
        yield rf"(?i)(^|[^\pL\pN])(?:{'|'.join(part)})($|[^\pL\pN])"


def escape_re2(text: str) -> str:
    """Escape a text for RE2, which supports fewer escapes than Python."""
    return re.sub(r"([^\w\s-])", r"\\\1", text, flags=re.ASCII) if text.isascii() else re.escape(text)


def _spellings(id_: str) -> list[str]:
    """Return the id unchanged and as JSON escapes it within quotes."""
    return list(dict.fromkeys((id_, json.dumps(id_)[1:-1], json.dumps(id_, ensure_ascii=False)[1:-1])))


def _chunks(items: list[str]) -> Iterable[list[str]]:
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))

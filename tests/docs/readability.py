"""Print words, sentences and the mean length of a sentence of the pages.

    python -m tests.docs.readability

Fenced blocks, tables, headings and comments are left out; inline code and a link count as their words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tests.docs.runner.pages import Page, pages

__all__ = ["Measure", "measure", "sentences"]

_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_LEFT_OUT = re.compile(r"^\s*(?:#|\||:::|<!--|!!!|\?\?\?|===|\[\^?[\w-]+\]:)")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+")
# A full stop within a number or a name such as users.csv ends no sentence, nor does that of an abbreviation.
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|cf|vs)\.")
_END = re.compile(r"[.!?]+[\"')*_`]*(?=\s+[\"'(*_`\[]*[A-Z0-9`])")


@dataclass(frozen=True, slots=True)
class Measure:
    words: int
    sentences: int

    @property
    def mean(self) -> float:
        """Mean number of words of a sentence."""
        return self.words / self.sentences if self.sentences else 0.0

    def __add__(self, other: Measure) -> Measure:
        return Measure(self.words + other.words, self.sentences + other.sentences)


def sentences(page: Page) -> list[str]:
    """Return the sentences of the prose of a page."""
    found: list[str] = []
    for paragraph in _paragraphs(page.prose().splitlines()):
        text = _ABBREVIATION.sub(r"\1", _LINK.sub(r"\1", paragraph))
        at = 0
        for end in _END.finditer(text):
            found.append(text[at : end.end()].strip())
            at = end.end()
        found.append(text[at:].strip())
    return [sentence for sentence in found if re.search(r"\w", sentence)]


def measure(chosen: Iterable[Page]) -> Measure:
    """Count words and sentences of pages."""
    said = [sentence for page in chosen for sentence in sentences(page)]
    return Measure(sum(len(sentence.split()) for sentence in said), len(said))


def _paragraphs(lines: list[str]) -> Iterable[str]:
    held: list[str] = []
    for line in [*lines, ""]:
        is_item = _ITEM.match(line) is not None
        if held and (not line.strip() or is_item or _LEFT_OUT.match(line)):
            yield " ".join(held)
            held = []
        if line.strip() and not _LEFT_OUT.match(line):
            held.append(_ITEM.sub("", line).strip())


def main() -> None:
    chosen = pages()
    groups = {
        "README": [page for page in chosen if page.name == "README.md"],
        "tutorials": [page for page in chosen if page.name.startswith("docs/tutorials/")],
        "guides": [page for page in chosen if page.name.startswith("docs/guides/")],
        "all": chosen,
    }
    print(f"{'page':<48}{'words':>8}{'sentences':>11}{'mean':>7}")
    measured = [(page.name, measure([page])) for page in chosen]
    for name, one in [*measured, *((name, measure(members)) for name, members in groups.items())]:
        print(f"{name:<48}{one.words:>8,}{one.sentences:>11,}{one.mean:>7.1f}")


if __name__ == "__main__":
    main()

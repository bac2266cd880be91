"""Whether a walk gets on: cursors that come back, and pages that bring nothing new, lead nowhere.

A network may hand out the same cursors in a circle, or a new cursor with every empty page, for ever. A page
without a post is no end, since the network leaves out what may not be shown; a long row of them is one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from photogenic.ingest.instagram.api import Page

__all__ = ["MOST_BARREN", "Trail"]

MOST_BARREN = 50
"""Pages in a row without a post that was not seen before, after which a walk ends."""


@dataclass(slots=True)
class Trail:
    """Of one walk in one run. After a crash a walk goes on with a new one, and a circle is noticed one round later.

    Args:
        start: the cursor that the walk goes on at.
    """

    start: str | None
    _cursors: set[int] = field(default_factory=set)
    _posts: set[int] = field(default_factory=set)
    _barren: int = 0

    def __post_init__(self) -> None:
        if self.start is not None:
            self._cursors.add(hash(self.start))

    def astray(self, page: Page) -> str | None:
        """Why the walk must not follow this page's cursor; None: it may."""
        new = {hash(id_) for id_ in page.ids} - self._posts
        self._posts |= new
        self._barren = 0 if new else self._barren + 1
        at = hash(page.after)
        if at in self._cursors:
            return "a cursor that came back"
        self._cursors.add(at)
        if self._barren >= MOST_BARREN:
            return f"{MOST_BARREN} pages in a row without a new post"
        return None

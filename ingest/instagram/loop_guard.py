"""End a walk that makes no progress: its cursors repeat, or its pages have no new posts.

A network may return the same cursors in a circle, or a new cursor with every empty page, without end. One page without
posts does not end a walk, because the network leaves out posts that may not be shown; many in a row do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from photogenic.ingest.instagram.api import Page

__all__ = ["MOST_WITHOUT_NEWS", "LoopGuard"]

MOST_WITHOUT_NEWS = 50
"""Number of pages in a row without a new post after which a walk ends."""


@dataclass(slots=True)
class LoopGuard:
    """Guard of one walk in one run. After a crash a walk gets a new guard, which detects a circle one round later.

    Args:
        start: cursor at which the walk starts.
    """

    start: str | None
    _cursors: set[int] = field(default_factory=set)
    _posts: set[int] = field(default_factory=set)
    _n_without_news: int = 0

    def __post_init__(self) -> None:
        if self.start is not None:
            self._cursors.add(hash(self.start))

    def find_loop(self, page: Page) -> str | None:
        """The reason why the walk must not follow this page's cursor. None: it may."""
        new = {hash(id_) for id_ in page.ids} - self._posts
        self._posts |= new
        self._n_without_news = 0 if new else self._n_without_news + 1
        at = hash(page.after)
        if at in self._cursors:
            return "a cursor that came back"
        self._cursors.add(at)
        if self._n_without_news >= MOST_WITHOUT_NEWS:
            return f"{MOST_WITHOUT_NEWS} pages in a row without a new post"
        return None

"""Progress callbacks of long work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

__all__ = ["Progress", "no_progress"]


class Progress(Protocol):
    """Callback for progress updates. The command line draws bars on stderr; `no_progress` ignores them."""

    def stage(
        self, name: str, total: int | None = None, unit: str = "", *, at_most: bool = False
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Open a stage of `total` units (None: unknown); the yielded function advances it by n units.

        With `at_most` the total is an upper bound, and the work may end earlier.
        """

    def note(self, text: str) -> None:
        """Print one line of text."""


class _NoProgress:
    @contextlib.contextmanager
    def stage(self, *stage: object, **options: object) -> Iterator[Callable[[int], None]]:  # noqa: ARG002
        yield lambda _: None

    def note(self, text: str) -> None:
        """Ignore the text."""


no_progress: Progress = _NoProgress()

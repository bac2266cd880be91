"""How long work tells the world where it is, without knowing who listens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

__all__ = ["Progress", "silent"]


class Progress(Protocol):
    """A listener. The command line draws bars on stderr; tests and notebooks may stay silent."""

    def stage(
        self, name: str, total: int | None = None, unit: str = ""
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Open a stage of `total` units (None: unknown); the yielded function advances it by n."""

    def note(self, text: str) -> None:
        """Say one line that is worth keeping."""


class _Silent:
    @contextlib.contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Callable[[int], None]]:  # noqa: ARG002
        yield lambda _: None

    def note(self, text: str) -> None:
        """Drop it."""


silent: Progress = _Silent()

"""Base class of objects that are closed at the end of a `with` statement."""

from __future__ import annotations

from typing import Self

__all__ = ["Closing"]


class Closing:
    """Base class with a method `close`, which is called at the end of a `with` statement."""

    def close(self) -> None:
        raise NotImplementedError(f"{type(self).__name__}.close")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""Vectors of the texts in a query. Its process loads no text tower: the server computes them, and asks again.

A process that meets a text without a vector ends the query with an error that has the text. The server embeds it, as
it does for `POST /api/v1/similar`, and sends the query again with its vector.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from photogenic.features.text.texts import Text
from photogenic.warehouse import InputError

__all__ = ["MOST_TEXTS", "Embedded", "GivenTexts", "WantedText"]

MOST_TEXTS = 4
"""Largest number of different texts in one query."""

Embedded: TypeAlias = "tuple[str | None, str, str, list[float]]"
"""Encoder that the query names, text, encoder that was used, and vector."""


@dataclass(slots=True)
class GivenTexts:
    """The texts that one query in a process of the sandbox may use.

    Attributes:
        wanted: encoder and text of the search that failed because it has no vector.
    """

    held: dict[tuple[str | None, str], tuple[str, NDArray[np.float32]]] = field(default_factory=dict)
    wanted: tuple[str | None, str] | None = None

    def give(self, texts: list[Embedded]) -> None:
        """Replace the texts by those of the next query."""
        self.wanted = None
        self.held = {(asked, text): (used, np.array(vector, np.float32)) for asked, text, used, vector in texts}

    def __call__(self, encoder: str | None, text: str) -> tuple[str, NDArray[np.float32]]:
        """Return the encoder and the vector of a text.

        Raises:
            InputError: it is no text, or the server has sent no vector of it.
        """
        if (found := self.held.get((encoder, text))) is not None:
            return found
        Text(text)
        self.wanted = encoder, text
        raise InputError(
            "Words cannot be compared with photos here.",
            f"POST /api/v1/sql with at most {MOST_TEXTS} texts in a query, or POST /api/v1/similar with text",
            "from similar(text := 'sunglasses on a beach')",
        )


class WantedText(Exception):  # noqa: N818  # no failure: the server answers it
    """A query needs the vector of a text.

    Args:
        encoder: the encoder that the query names; None: the default one.
        text: the text.
    """

    def __init__(self, encoder: str | None, text: str) -> None:
        super().__init__("A query needs the vector of a text.")
        self.encoder, self.text = encoder, text

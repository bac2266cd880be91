"""Texts among the queries of a search: each is replaced by its vector, after which it is a query like any vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from photogenic.features.text.texts import Text
from photogenic.features.text.towers import text_encoder, text_vector
from photogenic.warehouse import InputError
from photogenic.warehouse.storage.layout import Layout

__all__ = ["as_vectors", "encoder_for", "has_text", "with_text"]

Queries: TypeAlias = "Sequence[Any] | NDArray[np.float32]"
"""Queries of `Searcher.find`: photo ids, paths, vectors, texts, and sequences of them."""


def with_text(query: Any, text: str | None) -> Any:
    """One query of a photo, a text, or both: they then are one query together, like several photos.

    Args:
        query: A query of `Searcher.similar`; None: there is only the text.
        text: Words that describe a photo; None: there is only the query.

    Raises:
        InputError: There is neither, or the text cannot be used.
    """
    if text is None:
        if query is None:
            raise InputError(
                "There is nothing to compare photos with.",
                "a photo id, a file, a vector, or a text",
                '--text "sunglasses on a beach"',
            )
        return query
    if query is None:
        return Text(text)
    return [*query, Text(text)] if isinstance(query, list | tuple) else [query, Text(text)]


def has_text(*queries: Any) -> bool:
    """Whether a query is a text, or a sequence with one."""
    return any(
        isinstance(query, Text) or (isinstance(query, Sequence) and not isinstance(query, str) and has_text(*query))
        for query in queries
        if not isinstance(query, str | bytes | Path | np.ndarray)
    )


def encoder_for(layout: Layout, name: str | None, default: Callable[[], str], *queries: Any) -> str:
    """The encoder of a search: with a text among the queries, one with a text tower.

    Args:
        layout: Paths of the store.
        name: The encoder that the user chose, if any.
        default: Function that returns the encoder of a search without texts.
        queries: All queries.
    """
    return text_encoder(layout, name) if has_text(*queries) else name or default()


def as_vectors(layout: Layout, name: str, queries: Any, note: Callable[[str], None] = lambda _: None) -> Any:
    """Replace each text among queries by its vector; other queries stay as they are.

    Args:
        layout: Paths of the store.
        name: An encoder; if there is a text, it has a text tower.
        queries: One query, or a sequence of queries.
        note: Called with a sentence where the end of a text was left out.
    """
    if isinstance(queries, Text):
        return text_vector(layout, name, queries, note=note)
    if not has_text(queries):
        return queries
    return [as_vectors(layout, name, query, note) for query in queries]

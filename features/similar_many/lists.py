"""Vectors in columns of Arrow as queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from photogenic._lazy import pa, pc
from photogenic.features.similar_many.queries import Problem, QueryBlock

__all__ = ["block_of_lists"]


def block_of_lists(lists: pa.Array, names: Sequence[str | None], at: int) -> QueryBlock:
    """Make a block of vectors.

    Args:
        lists: lists of numbers, of one length or of any; NULL is a query with a problem.
        names: name of each query; None: its number.
        at: number of queries before these.
    """
    shown = [str(at + place + 1) if name is None else name for place, name in enumerate(names)]
    if pa.types.is_fixed_size_list(lists.type):
        lengths = [lists.type.list_size if there else None for there in lists.is_valid().to_pylist()]
    else:
        lengths = pc.list_value_length(lists).to_pylist()
    width = lengths[0] if lengths else None
    numbers = lists.flatten().to_numpy(zero_copy_only=False)  # without those of rows that are NULL
    if width and all(length == width for length in lengths):
        return QueryBlock(shown, numbers.reshape(len(lists), width))
    queries, problems, start = list[Any](), dict[int, Problem](), 0
    for place, length in enumerate(lengths):
        queries.append(None if length is None else numbers[start : start + length])
        start += length or 0
        if length is None:
            problems[place] = "no_query", "NULL"
    return QueryBlock(shown, queries, problems)

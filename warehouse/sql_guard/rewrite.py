"""Rewrite EXPLAIN and PIVOT, whose parse tree DuckDB does not return, as SELECTs of the same parts.

guard.py checks the rewritten queries; they never run.

    EXPLAIN     without its head: the explained statement itself is checked
    PIVOT       with values in each ON that has none: `on a, b` becomes `on (a) in (0), (b) in (0)`. DuckDB makes two
                statements of a PIVOT without values: one finds them, one selects. Its source, its expressions and
                aggregates, and all the text around it stay unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from photogenic._lazy import duckdb

__all__ = ["explained_query", "has_nearest_join", "strip_semicolon", "unquoted_words", "with_pivot_values"]

_SPACE = r"(?:[ \t\r\n\f\v]|--[^\r\n]*\n|/\*(?:(?!/\*|\*/).)*\*/)"
_HEAD = re.compile(
    rf"{_SPACE}*explain\b{_SPACE}*(?:analyze\b|\({_SPACE}*(?:analyze|format)\b[\w\s,]*\))?{_SPACE}*", re.I | re.S
)
_PIECE = re.compile(rb"[()\[\]{},;]|[^()\[\]{},;\s]+")
_PIVOTS = ("pivot", "pivot_wider")
_QUERIES = ("select", "from", "with", "values", "table", "pivot", "(")
_ENDS = frozenset(
    {*",;", "using", "group", "order", "limit", "offset", "having", "qualify", "window", "union", "intersect", "except"}
)


class _Token(NamedTuple):
    """A word, its first byte, the byte after its last, and the number of open brackets around it."""

    word: str
    start: int
    end: int
    depth: int


def explained_query(query: str) -> str | None:
    """Return the statement that an EXPLAIN explains; None: the query is not an EXPLAIN."""
    head = _HEAD.match(query)
    return query[head.end() :] if head else None


def unquoted_words(query: str) -> set[str]:
    """Return the words outside of strings, quoted names and comments, in lower case."""
    return {token.word for token in _tokens(query) if token.word.isidentifier()}


def strip_semicolon(query: str) -> str:
    """Return the query up to the `;` and the comments after it."""
    tokens = [token for token in _tokens(query) if token.word != ";"]
    return query.encode()[: tokens[-1].end].decode() if tokens else query


def has_nearest_join(query: str) -> bool:
    """Whether a query has a NEAREST join, which sqlglot reads as something else without an error."""
    words = [token.word for token in _tokens(query)]
    for at, word in enumerate(words):
        if word == "nearest":
            after = words[at + 1 : at + 4]
            after = after[1:] if after and after[0].replace("_", "").isdigit() else after
            if after[:1] == ["by"] and after[1:2] in (["distance"], ["similarity"]):
                return True
    return False


def with_pivot_values(query: str) -> Iterator[list[str]]:
    """Yield the query with values for its PIVOTs: first for items of ON without IN, then for every item.

    Each form is a list that also has the queries of `on a in (select ...)`, whose rows are the values.
    """
    tokens, data = _tokens(query), query.encode()
    items = [item for at, token in enumerate(tokens) if token.word in _PIVOTS for item in _items(tokens, at)]
    for every in (False, True):
        changes, queries = [], []
        for first, last in items:
            opened = _values(tokens, first, last)
            if opened is None or every:
                changes += [(tokens[first].start, 0, b"("), (tokens[last].end, 0, b") in (0)")]
            elif tokens[opened + 1].word in _QUERIES:
                start, end = tokens[opened].end, tokens[last].start
                queries.append(data[start:end].decode())
                changes.append((start, end - start, b"0"))
        parts, done = [], 0
        for at, length, text in sorted(changes):
            parts += [data[done:at], text]
            done = at + length
        yield [b"".join([*parts, data[done:]]).decode(), *queries]


def _tokens(query: str) -> list[_Token]:

    data, found, depth = query.encode(), [], 0
    starts = duckdb.tokenize(query)
    for number, (at, kind) in enumerate(starts):
        until = starts[number + 1][0] if number + 1 < len(starts) else len(data)
        if kind == duckdb.token_type.comment:
            continue
        if kind == duckdb.token_type.operator:
            pieces = [(at + piece.start(), piece[0]) for piece in _PIECE.finditer(data[at:until])]
        else:
            pieces = [(at, data[at:until].rstrip())]
        for start, piece in pieces:
            depth -= piece in (b")", b"]", b"}")
            found.append(_Token(piece.decode(errors="replace").lower(), start, start + len(piece), depth))
            depth += piece in (b"(", b"[", b"{")
    return found


def _items(tokens: list[_Token], pivot: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last token of each item of ON in the PIVOT at this token."""
    depth = tokens[pivot].depth
    here = []
    for at in range(pivot + 1, len(tokens)):
        if tokens[at].depth < depth or (tokens[at].depth == depth and tokens[at].word in _PIVOTS):
            break
        if tokens[at].depth == depth:
            here.append(at)
    on = [at for at in here if tokens[at].word == "on"]
    if not on:
        return
    first = last = on[-1] + 1  # if there are several, the others belong to joins in the source
    for at in (at for at in here if at > on[-1]):
        if tokens[at].word in _ENDS:
            if last >= first and at > first:
                yield first, last
            if tokens[at].word != ",":
                return
            first = at + 1
        last = at
    if here[-1] >= first:
        yield first, last


def _values(tokens: list[_Token], first: int, last: int) -> int | None:
    """Return the bracket of an item `... IN (...)`, or the last token of `... IN name`; None: it has no values."""
    opened = last
    if tokens[last].word == ")":
        opened = next(at for at in range(last - 1, first - 1, -1) if tokens[at].depth == tokens[last].depth)
    return opened if opened > first and tokens[opened - 1].word == "in" else None

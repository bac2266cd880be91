"""EXPLAIN and PIVOT, which DuckDB cannot tell the parts of, as SELECTs of the same parts: to be looked at, never run.

EXPLAIN     without its head: what is explained is what may be run
PIVOT       with values in each ON that names none: `on a, b` becomes `on (a) in (0), (b) in (0)`. DuckDB makes two
            statements of a PIVOT without values: one finds them, one selects. Its source, its expressions and
            aggregates, and all that stands around it, stay as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["bare_words", "explained", "with_values", "without_end"]

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
    """A word, its first byte, the byte after its last, and how many brackets are open around it."""

    word: str
    start: int
    end: int
    depth: int


def explained(query: str) -> str | None:
    """What an EXPLAIN explains; None: it is none."""
    head = _HEAD.match(query)
    return query[head.end() :] if head else None


def bare_words(query: str) -> set[str]:
    """Words outside of texts, quoted names and comments, in small letters."""
    return {token.word for token in _tokens(query) if token.word.isidentifier()}


def without_end(query: str) -> str:
    """The query up to the `;` and the comments after it."""
    tokens = [token for token in _tokens(query) if token.word != ";"]
    return query.encode()[: tokens[-1].end].decode() if tokens else query


def with_values(query: str) -> Iterator[list[str]]:
    """The query with values for its PIVOTs: for those items of ON that end in no IN, then for every one.

    Each form comes with the queries whose rows are the values, in `on a in (select ...)`.
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
    import duckdb

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
    """Of the PIVOT at this token, the first and the last token of each item of ON."""
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
    first = last = on[-1] + 1  # of several, the others are of joins in its source
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
    """Of an item `... IN (...)`, its bracket; of `... IN name`, its last token; None: it names no values."""
    opened = last
    if tokens[last].word == ")":
        opened = next(at for at in range(last - 1, first - 1, -1) if tokens[at].depth == tokens[last].depth)
    return opened if opened > first and tokens[opened - 1].word == "in" else None

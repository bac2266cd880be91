"""Answer the calls of `similar` in one chunk of rows: those with equal options are one search of all their queries."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa, pl
from photogenic.features.search.options import SearchOptions
from photogenic.features.search.queries import refuse_unknown, without_vector
from photogenic.features.text.texts import Text
from photogenic.features.text.towers import text_encoder, text_vector
from photogenic.features.vector_sql.arguments import DEFAULTS, QUERY, Query, hashable, option_value, read_queries
from photogenic.ingest.images.image_header import inspect_bytes
from photogenic.warehouse.errors import InputError, QueryMemoryError

if TYPE_CHECKING:
    from photogenic.features.search.index_files import Index
    from photogenic.features.search.searcher import Searcher
    from photogenic.warehouse.storage.layout import Layout

__all__ = ["COLUMNS", "MOST_RESULTS", "RETURNS", "EmbedText", "answer", "answer_one", "embed_text"]

EmbedText = Callable[[str | None, str], tuple[str, NDArray[np.float32]]]
"""Function of an encoder, or None for the default one, and a text; returns the encoder and the vector of the text."""

MOST_RESULTS = 2_000_000
"""Largest number of results of one chunk of 2,048 calls."""

COLUMNS = {
    "rank": "bigint",
    "photo_id": "varchar",
    "user_id": "varchar",
    "distance": "double",
    "like_ratio": "double",
    "weight": "double",
    "percentile": "double",
    "popular": "boolean",
    "path": "varchar",
    "score": "double",
}
"""Columns of `similar` with their types. `score` is NULL where the order is that of distance."""

RETURNS = f"struct({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})[]"
"""Type of the function that the macro `similar` unnests."""

_ARROW = {"bigint": "int64", "varchar": "string", "double": "double", "boolean": "bool"}


def answer(
    searcher: Searcher,
    columns: Sequence[pa.ChunkedArray],
    *,
    may_embed: bool,
    embed_text: EmbedText,
    note: Callable[[str], None],
) -> pa.Array:
    """Return the results of each row, as a list of structs; no results where the query is NULL.

    Args:
        searcher: the search, pinned to the snapshot of the query.
        columns: the query, then the options in the order of `DEFAULTS`; a filter that is left out is `NO_FILTER`.
        may_embed: whether pictures may be decoded in this process.
        embed_text: returns the vector of a text.
        note: called with what a reader of the results should know, such as the recall of the index.

    Raises:
        PhotogenicError: the same errors as from `Searcher.find`.
    """
    return _merged(len(columns[0]), _searched(searcher, columns, may_embed=may_embed, embed_text=embed_text, note=note))


def answer_one(
    searcher: Searcher,
    columns: Sequence[pa.ChunkedArray],
    *,
    may_embed: bool,
    embed_text: EmbedText,
    note: Callable[[str], None],
) -> pl.DataFrame:
    """Return the results of one call, as the rows that `from similar(...)` has; the rest is as in `answer`."""
    found = list(_searched(searcher, columns, may_embed=may_embed, embed_text=embed_text, note=note))
    kinds = _frame_types()
    if not found:
        return pl.DataFrame(schema=kinds)
    [(_, photos)] = found
    there = set(photos.columns)
    given = (
        photos[name] if name in there else pl.Series(name, [None] * len(photos), kind) for name, kind in kinds.items()
    )
    return pl.DataFrame([one if one.dtype == kinds[one.name] else one.cast(kinds[one.name]) for one in given])


@functools.cache
def _frame_types() -> dict[str, pl.DataType]:
    """The types of the columns in a frame."""
    kinds = {"bigint": pl.Int64(), "varchar": pl.String(), "double": pl.Float64(), "boolean": pl.Boolean()}
    return {name: kinds[kind] for name, kind in COLUMNS.items()}


def _searched(
    searcher: Searcher,
    columns: Sequence[pa.ChunkedArray],
    *,
    may_embed: bool,
    embed_text: EmbedText,
    note: Callable[[str], None],
) -> Iterator[tuple[list[int], pl.DataFrame]]:
    """Yield rows of the chunk that are one search, and its results."""
    if is_left_out := pa.types.is_boolean(columns[0].type):
        asked: list[Query | None] = [None] * len(columns[0])
    else:
        asked = read_queries("query", columns[0])
    values = dict(zip(DEFAULTS, columns[1:], strict=True))
    unlike = read_queries("unlike", values.pop("unlike"))
    options = {name: column.to_pylist() for name, column in values.items()}
    has_filter = not pa.types.is_binary(columns[1 + list(DEFAULTS).index("filter")].type)
    if not has_filter:
        options["filter"] = [None] * len(asked)
    if is_left_out and None in options["text"]:
        raise InputError(
            "similar has neither a query nor a text.", f"{QUERY}, or text := 'words'", "similar('PHOTO_ID')"
        )
    groups: dict[Any, list[int]] = {}
    for row, query in enumerate(asked):
        if has_filter and options["filter"][row] is None:
            continue  # no photo matches NULL
        if query is not None or options["text"][row] is not None:
            key = (*(column[row] for column in options.values()), hashable(unlike[row]))
            groups.setdefault(tuple(map(_plain, key)), []).append(row)
    yield from _found(
        searcher, asked, unlike, options, groups.values(), may_embed=may_embed, embed_text=embed_text, note=note
    )


def embed_text(layout: Layout, note: Callable[[str], None]) -> EmbedText:
    """Return the function that computes vectors of texts with the encoders of a store, in this process.

    Args:
        layout: paths of the store.
        note: called with a sentence where the end of a text was left out.
    """

    def embedded(encoder: str | None, text: str) -> tuple[str, NDArray[np.float32]]:
        checked, name = Text(text), text_encoder(layout, encoder)
        return name, text_vector(layout, name, checked, note=note)

    return embedded


def _plain(value: object) -> object:
    """Return a value that can be a key; true and 1 are different."""
    return (type(value), str(value) if isinstance(value, (list, dict)) else value)


def _found(
    searcher: Searcher,
    asked: Sequence[Query | None],
    unlike: Sequence[Query | None],
    options: dict[str, list[Any]],
    groups: Any,
    *,
    may_embed: bool,
    embed_text: EmbedText,
    note: Callable[[str], None],
) -> Iterator[tuple[list[int], pl.DataFrame]]:
    n_results = 0
    for every in groups:
        given = {
            name: option_value(name, column[every[0]])
            for name, column in options.items()
            if column[every[0]] is not None
        }
        if "filter" in given:
            given["where"] = given.pop("filter")
        text, words = given.pop("text", None), None
        if text is not None:
            given["encoder"], words = embed_text(given.get("encoder"), text)  # type: ignore[arg-type]
        if "encoder" not in given:
            given["encoder"] = searcher.cache.default_encoder()
        chosen = SearchOptions(**given)  # type: ignore[arg-type]
        index = searcher.cache.index(str(chosen.encoder))
        rows = _with_vectors(searcher, index, asked, every, note)
        if not rows:
            continue
        n_results += len(rows) * min(chosen.k, len(index))
        if n_results > MOST_RESULTS:
            raise QueryMemoryError(
                f"{len(rows):,} searches with k := {chosen.k} would return {n_results:,} photos at once.",
                f"at most {MOST_RESULTS:,} photos for 2,048 rows",
                "a smaller k, or fewer rows before the search",
            )
        with (
            _pictures([asked[row] for row in rows], may_embed=may_embed) as wanted,
            _pictures([unlike[rows[0]]], may_embed=may_embed) as without,
        ):
            _refuse_unknown(searcher, index, [*wanted, *without])
            queries = wanted if words is None else [_together(query, words) for query in wanted]
            more: Any = {"unlike": without[0]} if without[0] is not None else {}
            found = searcher.find(queries, chosen, **more)
            for line in found.notes:
                note(line)
            yield rows, found.photos


def _with_vectors(
    searcher: Searcher, index: Index, asked: Sequence[Query | None], rows: list[int], note: Callable[[str], None]
) -> list[int]:
    """Return the rows whose query is no photo without a vector: those photos have no similar photos."""
    ids = list(dict.fromkeys(query for row in rows if isinstance(query := asked[row], str)))
    gone = without_vector(index, ids, searcher.cache.known)
    if not gone:
        return rows
    note(f"Photos without a {index.manifest.encoder} vector have no similar photos.")
    return [row for row in rows if asked[row] not in gone]


def _together(query: Any, words: NDArray[np.float32]) -> Any:
    """Return a query and the vector of a text as one query."""
    if query is None:
        return words
    return [*query, words] if isinstance(query, list) else [query, words]


def _refuse_unknown(searcher: Searcher, index: Index, asked: Sequence[Any]) -> None:
    """Refuse texts that are no photo: Python takes them for the names of files, which SQL must not read."""
    texts = list(
        dict.fromkeys(
            text for query in asked for text in (query if isinstance(query, list) else [query]) if isinstance(text, str)
        )
    )
    refuse_unknown(searcher.cache.cursor, index, texts, searcher.cache.known)


@contextlib.contextmanager
def _pictures(asked: Sequence[Query | None], *, may_embed: bool) -> Iterator[list[Any]]:
    """Yield queries as Python's functions take them: pictures as paths of files in memory, tuples as lists."""
    held: dict[bytes, int] = {}
    made: list[Any] = []
    try:
        for query in asked:
            if not isinstance(query, bytes):
                made.append(list(query) if isinstance(query, tuple) else query)
                continue
            key = hashlib.sha256(query).digest()
            if key not in held:
                _check_picture(query, may_embed=may_embed)
                held[key] = os.memfd_create("picture", os.MFD_CLOEXEC)
                view = memoryview(query)
                while view:
                    view = view[os.write(held[key], view) :]
            made.append(Path(f"/proc/self/fd/{held[key]}"))
        yield made
    except InputError as error:
        for fd in held.values():
            error.what = error.what.replace(f"/proc/self/fd/{fd}", "The picture")
        raise
    finally:
        for fd in held.values():
            os.close(fd)


def _check_picture(data: bytes, *, may_embed: bool) -> None:
    if not may_embed:
        raise InputError(
            "A picture cannot be decoded inside a query here.",
            "a picture as the parameter $upload, which the server embeds before the query runs",
            "from similar($upload)",
        )
    header = inspect_bytes(data)
    if header.status != "ok":
        raise InputError(
            f"The picture is {header.status}: {header.detail}", "a picture that can be decoded", "another picture"
        )


def _merged(n: int, found: Iterator[tuple[list[int], pl.DataFrame]]) -> pa.Array:
    """Return one list per row of the chunk."""
    kind = pa.struct([(name, _ARROW[kind]) for name, kind in COLUMNS.items()])
    places, parts, counts, start = np.zeros(n, np.int64), list[Any](), np.zeros(n, np.int64), 0
    for rows, photos in found:
        each = np.bincount(photos["query"].to_numpy(), minlength=len(rows))
        counts[rows] = each
        places[rows] = start + np.concatenate([[0], np.cumsum(each)[:-1]])
        start += len(photos)
        table = photos.to_arrow()
        parts.append(
            pa.StructArray.from_arrays(
                [_column(table, field.name, len(photos)).cast(field.type) for field in kind],
                fields=list(kind),
            )
        )
    values = pa.concat_arrays(parts) if parts else pa.array([], kind)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    if len(parts) > 1:
        order = np.repeat(places - offsets[:-1], counts) + np.arange(len(values))
        values = values.take(pa.array(order))
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _column(table: pa.Table, name: str, n: int) -> pa.Array:
    if name not in table.column_names:
        return pa.nulls(n, pa.float64())
    column = table[name]
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)

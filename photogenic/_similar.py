"""The methods of `FeatureStore` that find similar photos."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from photogenic._lazy import pa, pl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from photogenic.features.search.options import SearchArguments, SearchOptions
    from photogenic.features.search.searcher import Query, Searcher
    from photogenic.features.similar_many.queries import QueryBlock
    from photogenic.features.similar_many.search import ManySearch
    from photogenic.features.vector_sql.extension import VectorSql
    from photogenic.warehouse import Store
    from photogenic.warehouse.moment import Instant

__all__ = ["Similar"]


class Similar:
    """Base class of `FeatureStore`, which opens the store."""

    store: Store
    _vectors: VectorSql

    def similar(
        self,
        query: Query | Sequence[Query] | None = None,
        options: SearchOptions | None = None,
        /,
        *,
        text: str | None = None,
        unlike: Query | Sequence[Query] = (),
        as_of: Instant | None = None,
        known_at: Instant | None = None,
        **changes: Unpack[SearchArguments],
    ) -> pl.DataFrame:
        """Find the k nearest photos of a photo, file, vector or text, or of several together.

        Args:
            query: photo id, path, or vector; a sequence of them is one query.
            options: options of the search; None: the defaults.
            text: words that describe a photo, for encoders with a text tower; with `query` both are one query.
            unlike: photos that the results should be unlike.
            as_of: only what had happened before this instant. See `sql`.
            known_at: only what had arrived before this instant. See `sql`.
            changes: fields of `options` to replace. See `features.search.options.SearchOptions`.

        Raises:
            PhotogenicError: see `features.search.searcher.Searcher.similar`.
        """
        return self.searcher.similar(
            query, options, text=text, unlike=unlike, as_of=as_of, known_at=known_at, **changes
        )

    def text_vector(self, text: str, encoder: str | None = None) -> NDArray[np.float32]:
        """Return the vector of a text, float32 (d,), for `similar_many`, a head, or a comparison with `embeddings`.

        Args:
            text: words that describe a photo.
            encoder: name of an encoder with a text tower; None: the first of the store.

        Raises:
            PhotogenicError: see `features.text.towers.text_vector`.
        """
        from photogenic.features.text.texts import Text
        from photogenic.features.text.towers import text_encoder, text_vector

        layout, progress = self.store.layout, self.store.progress
        return text_vector(layout, text_encoder(layout, encoder), Text(text), note=progress.note)

    @property
    def searcher(self) -> Searcher:
        """Similarity search of this store; it keeps vectors and indices open between queries."""
        return self._vectors.searcher

    def similar_many(
        self,
        queries: Iterable[Query] | NDArray[np.float32],
        options: SearchOptions | None = None,
        /,
        *,
        unlike: Query | Sequence[Query] = (),
        as_of: Instant | None = None,
        known_at: Instant | None = None,
        strict: bool = False,
        **changes: Unpack[SearchArguments],
    ) -> pl.DataFrame:
        """Find the k nearest photos of each of many photos, files or vectors.

        Args:
            queries: photo ids, paths and vectors, each a query of its own; or vectors float (q, d).
            options: options of the search; None: the defaults.
            unlike: photos that the results of every query should be unlike.
            as_of: only what had happened before this instant. See `sql`.
            known_at: only what had arrived before this instant. See `sql`.
            strict: whether a query with a problem raises an error.
            changes: fields of `options` to replace. See `features.search.options.SearchOptions`.

        Returns:
            query_no (from 1), query, rank, the columns of `similar`, problem, detail. A query without results has one
            row that says why (`features.similar_many.queries.PROBLEMS`).

        Raises:
            InputError: the search is strict, and a query has a problem.
            PhotogenicError: see `features.search.searcher.Searcher.similar`.
        """
        reader = self.similar_stream(
            queries, options, unlike=unlike, as_of=as_of, known_at=known_at, strict=strict, **changes
        )
        with reader:
            return pl.DataFrame(pl.from_arrow(reader.read_all()))

    def similar_stream(
        self,
        queries: Iterable[Query] | NDArray[np.float32],
        options: SearchOptions | None = None,
        /,
        *,
        unlike: Query | Sequence[Query] = (),
        as_of: Instant | None = None,
        known_at: Instant | None = None,
        strict: bool = False,
        **changes: Unpack[SearchArguments],
    ) -> pa.RecordBatchReader:
        """Return the same as `similar_many` as a stream of Arrow; its memory does not depend on the number of queries.

        An iterator of queries is read one block at a time. The metadata of the schema names encoder, generation of the
        index, plan, recall and population.
        """
        from photogenic.features.similar_many.queries import blocks_of
        from photogenic.features.similar_many.search import many_of

        n_queries = len(queries) if isinstance(queries, Sized) else None
        many = many_of(
            self.searcher,
            _chosen(options, changes),
            unlike=unlike,
            as_of=as_of,
            known_at=known_at,
            n_queries=n_queries,
            strict=strict,
        )
        blocks = blocks_of(queries, many.block)
        return pa.RecordBatchReader.from_batches(many.schema, self._answers(many, blocks, n_queries))

    def similar_file(
        self,
        file: str | Path,
        options: SearchOptions | None = None,
        /,
        *,
        unlike: Query | Sequence[Query] = (),
        as_of: Instant | None = None,
        known_at: Instant | None = None,
        strict: bool = False,
        **changes: Unpack[SearchArguments],
    ) -> pa.RecordBatchReader:
        """Do the same as `similar_stream` with the queries of a file.

        Args:
            file: photo ids, paths or vectors, as `features.similar_many.files` describes; `-` is stdin.
            options: as in `similar_many`.
            unlike: as in `similar_many`.
            as_of: as in `similar_many`.
            known_at: as in `similar_many`.
            strict: as in `similar_many`.
            changes: as in `similar_many`.

        Raises:
            InputError: the file cannot be read, or has no column of queries.
        """
        from photogenic.features.similar_many.files import read_queries
        from photogenic.features.similar_many.search import many_of

        many = many_of(
            self.searcher,
            _chosen(options, changes),
            unlike=unlike,
            as_of=as_of,
            known_at=known_at,
            strict=strict,
        )

        def answers(reading: contextlib.ExitStack, blocks: Iterator[QueryBlock]) -> Iterator[pa.RecordBatch]:
            with reading:
                yield from self._answers(many, blocks, None)

        with contextlib.ExitStack() as held:  # errors of the file come now, not with the first batch
            blocks = held.enter_context(read_queries(file, self.store.layout.spill, many.block))
            reading = held.pop_all()
        return pa.RecordBatchReader.from_batches(many.schema, answers(reading, blocks))

    def _answers(
        self, many: ManySearch, blocks: Iterator[QueryBlock], n_queries: int | None
    ) -> Iterator[pa.RecordBatch]:
        """Answer blocks with progress, and end with notes."""
        from photogenic.features.similar_many.search import counted

        with counted(blocks, self.store.progress, n_queries) as each:
            yield from many.batches(each)
        for note in many.notes():
            self.store.progress.note(note)


def _chosen(options: SearchOptions | None, changes: SearchArguments) -> SearchOptions:
    from photogenic.features.search.options import SearchOptions

    return replace(options or SearchOptions(), **changes)

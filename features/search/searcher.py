"""Find the nearest photos of photos, files or vectors, among all photos or those that match a predicate.

1. Resolve each query to a vector: the stored one of a photo, or the embedding of a file (queries.py); several photos,
   and those to be unlike, are combined to one vector (combine.py).
2. Select the photos that may be results (filters.py), with their popularity (popularity.py).
3. Choose how to search (planner.py), search, and order the results without the query photos (ranking.py).
4. Join labels to the results.

The distance depends on the encoder (features/search/exact.py): Euclidean, or 1 - cos. Equal distances are in order of
photo_id. There are always exactly k results, or all matching photos if they are fewer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pl
from photogenic.features.search.cache import CACHE_BYTES, SearchCache
from photogenic.features.search.combine import CombinedQueries, Query, combined, parts_of
from photogenic.features.search.filters import COLUMNS, PhotoFilter
from photogenic.features.search.index_files import Index
from photogenic.features.search.options import SearchArguments, SearchOptions
from photogenic.features.search.planner import Plan
from photogenic.features.search.popularity import FEW, describe
from photogenic.features.search.queries import check_vectors, resolve
from photogenic.features.search.ranking import Ranked, answer, index_pool, rank
from photogenic.features.text.texts import Text
from photogenic.features.text.words import as_vectors, encoder_for, with_text
from photogenic.warehouse import InputError, Store
from photogenic.warehouse.closing import Closing
from photogenic.warehouse.duckdb_store.error_mapping import map_engine_errors
from photogenic.warehouse.moment import Instant, Moments

__all__ = ["Found", "Query", "Searcher", "answer", "search"]


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search.

    Attributes:
        photos: `query` (its number), `rank`, photo_id, user_id, distance, like_ratio, weight, percentile, popular,
            path, and `score` where the order is not that of distance.
        n_matching: photos that match the predicate.
        plan: how the search was carried out.
        recall: 1 when exact, else the index's measured recall@10.
        notes: what a reader of the results should know, in whole sentences.
    """

    photos: pl.DataFrame
    n_matching: int
    plan: Plan
    recall: float
    notes: tuple[str, ...] = ()


class Searcher(Closing):
    """Search in one store, with a cache of indices and filters until the store changes. It is thread-safe.

    Args:
        store: the open store.
        cache_bytes: largest total size of the cached vectors of filters, in bytes.
    """

    def __init__(self, store: Store, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.progress = store.progress
        self.cache = SearchCache(store.database, cache_bytes, note=store.progress.note)

    def close(self) -> None:
        """Close the snapshot and clear the cache."""
        self.cache.close()

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
        """Find the k photos most similar to one, or to several together, without these photos themselves.

        Note to the progress callback when fewer than k photos match, or when the result may not be exact.

        Args:
            query: photo id, path of a picture, or vector float (d,); a sequence of them is one query, their mean.
            options: options of the search; None: the defaults.
            text: words that describe a photo, for encoders with a text tower; with `query` both are one query.
            unlike: photos that the results should be unlike.
            as_of: only what had happened before this instant. None, without `known_at`: the published labels.
            known_at: only what had arrived before this instant. None: everything.
                A photo whose bytes changed since then is left out: there is no vector of its former bytes.
            changes: fields of `options` to replace.

        Returns:
            rank (from 1), photo_id, user_id, distance, like_ratio, weight, percentile, popular, path; and `score` where
            the order is not that of distance.

        Raises:
            InputError: a photo is unknown, a file cannot be embedded, a vector has a wrong shape, or an option is out
                of range.
            QueryError: `where` cannot be evaluated.
            EncoderError: there is a text, and the encoder has no text tower.
            MissingPartError: the encoder needs the extra `text`, which is not installed.
            StoreError: the encoder has no index.
        """
        options = replace(options or SearchOptions(), **changes)
        found = self.find([with_text(query, text)], options, unlike=unlike, as_of=as_of, known_at=known_at)
        if (n_found := len(found.photos)) < options.k:
            limit = "" if options.per_user is None else f" with at most {options.per_user} of each owner"
            self.progress.note(f"{n_found} photos match{limit}; {options.k} were requested.")
        for note in found.notes:
            self.progress.note(note)
        return found.photos.drop("query")

    def find(
        self,
        queries: Sequence[Query | Text | Sequence[Query | Text]] | NDArray[np.float32],
        options: SearchOptions | None = None,
        /,
        *,
        unlike: Query | Sequence[Query] = (),
        as_of: Instant | None = None,
        known_at: Instant | None = None,
        **changes: Unpack[SearchArguments],
    ) -> Found:
        """Do the same as `similar` for many queries at once, and report how the search was carried out.

        Args:
            queries: each a photo id, a path, a vector, a text, or a sequence of them that are one query together; or
                vectors float (q, d).
            options: as in `similar`.
            unlike: as in `similar`; it is that of every query.
            as_of: as in `similar`.
            known_at: as in `similar`.
            changes: as in `similar`.
        """
        options = replace(options or SearchOptions(), **changes)
        moments = Moments.of(as_of, known_at) if as_of is not None or known_at is not None else Moments()
        layout = self.cache.layout
        name = encoder_for(layout, options.encoder, self.cache.default_encoder, queries)
        resolved = as_vectors(layout, name, queries, self.progress.note)
        with map_engine_errors(layout):
            index = self.cache.index(name)
            combined = self._combined(index, resolved, unlike, with_owners=options.other_users)
            candidates = self.cache.photo_filter(name, options.selection, moments=moments)
        return search(candidates, combined, options)

    def _combined(
        self,
        index: Index,
        queries: Sequence[Query | Sequence[Query]] | NDArray[np.float32],
        unlike: Query | Sequence[Query],
        *,
        with_owners: bool,
    ) -> CombinedQueries:
        """Resolve queries and what they should be unlike, each photo once, and combine them."""
        if isinstance(queries, np.ndarray):
            queries = check_vectors(queries, index.manifest.dim)
        groups, others = [parts_of(query) for query in queries], parts_of(unlike)
        if not all(groups):
            raise InputError("A query has no photo.", "a photo id, file or vector", "features similar PHOTO_ID")
        name = index.manifest.encoder
        resolved = resolve(
            self.cache.cursor,
            index,
            lambda paths: self.cache.embed(name, paths),
            queries if isinstance(queries, np.ndarray) and not others else [*chain(*groups), *others],
            models=self.cache.layout.models,
            with_owners=with_owners,
            known=self.cache.known,
        )
        return combined(resolved, [len(group) for group in groups], index.manifest.metric)


def search(candidates: PhotoFilter, queries: CombinedQueries, options: SearchOptions) -> Found:
    """Search among selected photos with resolved queries: steps 3 and 4.

    Args:
        candidates: photos that may be results: those of the selection of the options.
        queries: the queries, of the encoder of the candidates.
        options: options of the search.
    """
    ranked = rank(queries, candidates, options)
    recall = 1.0 if ranked.plan.way == "exact" else candidates.index.manifest.recall_at_10
    return Found(
        _table(candidates, ranked),
        n_matching=len(candidates),
        plan=ranked.plan,
        recall=recall,
        notes=tuple(_notes(candidates, queries, options, recall)),
    )


def _notes(candidates: PhotoFilter, queries: CombinedQueries, options: SearchOptions, recall: float) -> Iterator[str]:
    """Yield what a reader of the results should know."""
    population = options.selection.population
    if options.popular or population is not None:
        yield f"Popular: above the median of {describe(population)}."
    if candidates.n_few:
        yield (
            f"{candidates.n_few:,} labels are in populations of fewer than {FEW} labels, in which popular says little."
        )
    if options.other_users and not all(queries.owners):
        yield "A query has no known owner, so --other-users leaves out no photo for it."
    if recall < 1 and options.is_by_distance:
        yield f"Searched by the index: about {recall:.1%} of the true nearest."
    elif recall < 1:
        yield (
            f"Searched by the index: the order is that of the {index_pool(options.k):,} photos that it finds nearest, "
            f"with about {recall:.1%} of the true nearest. --exact compares all photos."
        )


def _table(candidates: PhotoFilter, ranked: Ranked) -> pl.DataFrame:
    """One row per result, in order of query and rank.

    Columns are put together one by one: for one query that takes a third of the time of a `select`.
    """
    is_found = ranked.rows >= 0
    query, place = np.nonzero(is_found)
    held = candidates.photos[candidates.positions(ranked.rows[is_found])]
    scores = [] if ranked.scores is None else [pl.Series("score", ranked.scores[is_found], pl.Float64)]
    return pl.DataFrame(
        [
            pl.Series("query", query, pl.Int64),
            pl.Series("rank", place + 1, pl.Int64),
            *(held.get_column(name) for name in COLUMNS[:2]),
            pl.Series("distance", ranked.distances[is_found], pl.Float64),
            *(held.get_column(name) for name in COLUMNS[2:]),
            *scores,
        ]
    )

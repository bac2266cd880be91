"""Filter the photos of a search: all photos, or those that match a predicate in SQL.

A predicate is over labels: it names columns of photo_labels, of the photo and of its owner (sql/search/labelled.sql).
It is evaluated on the snapshot, read-only, in one SELECT.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from photogenic import sql
from photogenic._lazy import duckdb, pl
from photogenic.features.search.exact import Metric, merged, nearest
from photogenic.features.search.index_files import Index
from photogenic.features.search.options import PhotoSelection, PopularityBy
from photogenic.features.search.popularity import FEW, popular_within, with_popularity
from photogenic.warehouse.duckdb_store.query import require_labels
from photogenic.warehouse.errors import QueryError
from photogenic.warehouse.sql_guard.guard import parse_read_only

__all__ = [
    "ADDED",
    "COLUMNS",
    "RELATIONS",
    "PhotoFilter",
    "labeled_photos",
    "relations_text",
    "scaled",
    "select_photos",
]

COLUMNS = ("photo_id", "user_id", "like_ratio", "weight", "percentile", "popular", "path")
"""Columns of a search result that describe a photo."""

ADDED = ("popularity",)
"""Columns of a selection besides those of a result, where they were asked for."""

RELATIONS = frozenset({"photo_labels", "photos", "users"})
"""Relations that `select_photos` reads, besides those of the predicate and of the order."""

_BLOCK_BYTES = 64 * 10**6
_FEW_QUERIES = 2


class PhotoFilter:
    """The rows of an index that a search may return, with the labels of their photos.

    Attributes:
        rows: int64 (m,), ascending.
        photos: `COLUMNS` of those rows, in the same order.
        has_all_rows: whether these are all rows of the index.
        n_few: labels whose population has too few labels for its median to say much.
    """

    def __init__(self, index: Index, photos: pl.DataFrame, *, n_few: int = 0) -> None:
        rows = index.rows(photos["photo_id"])
        order = np.argsort(rows, kind="stable")
        order = order[rows[order] >= 0]
        self.index, self.rows, self.photos, self.n_few = index, rows[order], photos[order], n_few
        self.has_all_rows = len(self.rows) == len(index)
        self._matrix: NDArray[np.float32] | None = index.vectors if self.has_all_rows else None
        self._squares: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_bytes(self) -> int:
        """Size of the vectors of these rows."""
        return len(self.rows) * self.index.manifest.dim * 4

    def prepare(self) -> None:
        """Copy the vectors to contiguous memory, so that the next search reads them sequentially."""
        if self._matrix is None:
            self._matrix = np.ascontiguousarray(self.index.vectors[self.rows])
            if self.index.manifest.metric == "l2":
                self._squares = np.einsum("nd,nd->n", self._matrix, self._matrix)

    def nearest(self, Q: NDArray[np.float32], k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Find the exact min(k, m) selected rows nearest to each query; equal distances in order of photo_id.

        Args:
            Q: float32 (q, d).
            k: number of rows.

        Returns:
            distances float64 (q, k) and rows of the index int64 (q, k).
        """
        metric = self.index.manifest.metric
        if self._matrix is not None:
            distances, found = nearest(self._matrix, Q, k, metric, squares=self._squares)
            return distances, self.rows[found]
        return self._in_blocks(Q, k, metric)

    def products(self, Q: NDArray[np.float32]) -> NDArray[np.float32]:
        """Inner products of the selected rows with the queries. float32 (q, m)."""
        if self._matrix is not None:
            return np.stack([self._matrix @ q for q in Q]) if len(Q) <= _FEW_QUERIES else Q @ self._matrix.T
        out = np.empty((len(Q), len(self)), np.float32)
        for start, vectors in self._blocks():
            out[:, start : start + len(vectors)] = Q @ vectors.T
        return out

    @cached_property
    def lengths(self) -> NDArray[np.float32]:
        """Lengths of the selected rows. float32 (m,)."""
        return np.asarray(np.sqrt(self.squares))

    @property
    def squares(self) -> NDArray[np.float32]:
        """Squared lengths of the selected rows. float32 (m,)."""
        if self._squares is None:
            parts = [np.einsum("nd,nd->n", vectors, vectors) for _, vectors in self._blocks()]
            self._squares = np.concatenate(parts) if parts else np.empty(0, np.float32)
        return self._squares

    def vectors(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors at these positions of `rows`."""
        return np.ascontiguousarray(self.index.vectors[self.rows[places]])

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """A number per owner, of each selected photo. int64 (m,)."""
        return self._owner_ids.search_sorted(self.photos["user_id"]).to_numpy().astype(np.int64)

    def owner_numbers(self, user_ids: Collection[str]) -> NDArray[np.int64]:
        """The numbers in `owners` of those of these users who own a selected photo."""
        wanted = pl.Series(sorted(user_ids), dtype=pl.String)
        if not len(self):
            return np.empty(0, np.int64)
        numbers = self._owner_ids.search_sorted(wanted).to_numpy().astype(np.int64)
        known = self._owner_ids.gather(np.minimum(numbers, len(self._owner_ids) - 1)) == wanted
        return np.asarray(numbers[known.to_numpy()])

    @cached_property
    def _owner_ids(self) -> pl.Series:
        return self.photos["user_id"].unique().sort()

    @cached_property
    def popularity(self) -> NDArray[np.float64]:
        """The popularity of each selected photo, where it was asked for. float64 (m,)."""
        return self.photos["popularity"].to_numpy()

    @cached_property
    def _scaled_popularity(self) -> tuple[float, float, NDArray[np.float64]]:
        least, most = float(self.popularity.min()), float(self.popularity.max())
        return least, most, scaled(self.popularity, least, most)

    def scaled_popularity(self, left_out: NDArray[np.int64]) -> NDArray[np.float64]:
        """The popularity, 0 to 1 over the selected photos without those at some positions. float64 (m,)."""
        least, most, held = self._scaled_popularity
        missing = self.popularity[left_out]
        if not ((missing == least) | (missing == most)).any():
            return held
        rest = np.delete(self.popularity, left_out)
        return scaled(self.popularity, float(rest.min()), float(rest.max()))

    def row_mask(self) -> NDArray[np.bool_] | None:
        """Mask of the selected rows, bool (n,) over the rows of the index; None when all are selected."""
        if self.has_all_rows:
            return None
        mask = np.zeros(len(self.index), np.bool_)
        mask[self.rows] = True
        return mask

    def positions(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of these selected rows in `photos`."""
        return rows if self.has_all_rows else np.searchsorted(self.rows, rows)

    def _in_blocks(
        self, Q: NDArray[np.float32], k: int, metric: Metric
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Gather and search a bounded number of rows at a time, and merge the results."""
        found = np.empty((len(Q), 0)), np.empty((len(Q), 0), np.int64)
        for start, vectors in self._blocks():
            distances, places = nearest(vectors, Q, k, metric)
            found = merged(found, (distances, self.rows[start + places]), k)
        return found

    def _blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the first position and the vectors of a bounded number of rows at a time."""
        size = max(_BLOCK_BYTES // (4 * self.index.manifest.dim), 1)
        for start in range(0, len(self), size):
            if self._matrix is not None:
                yield start, self._matrix[start : start + size]
            else:
                yield start, np.ascontiguousarray(self.index.vectors[self.rows[start : start + size]])


def scaled(values: NDArray[np.float64], least: float, most: float) -> NDArray[np.float64]:
    """Scale values so that `least` is 0 and `most` is 1; where these are equal, each is 1."""
    return np.asarray((values - least) / (most - least)) if most > least else np.ones(len(values))


def relations_text(selection: PhotoSelection) -> str:
    """Return a text that names every relation that `select_photos` reads for a selection, as a query would."""
    names = sorted(RELATIONS)
    if selection.popularity_by is not None:
        names += ["like_ratios", "like_ratio_prior"]
    return " ".join([*names, selection.where or "", (selection.population or "").partition(".")[0]])


def select_photos(
    con: duckdb.DuckDBPyConnection,
    index: Index,
    where: str | None = None,
    *,
    popular: bool = False,
    population: str | None = None,
    popularity_by: PopularityBy | None = None,
    past: bool = False,
) -> PhotoFilter:
    """Select the photos of the index that are in the snapshot and match.

    Args:
        con: a reading connection on the snapshot.
        index: index whose rows are selected.
        where: SQL predicate over `sql/search/labelled.sql`; None selects every photo, labeled or not.
        popular: whether to select only popular photos.
        population: population that `popular` compares within (popularity.py), here, in `where` and in the result.
        popularity_by: popularity that is added as the column `popularity`; None: it is not needed.
        past: whether the relations are of another moment; photos whose bytes changed since then are left out.

    Raises:
        InputError: the population is a column that does not exist, or that has several values for a photo.
        QueryError: the predicate is invalid, or names an unknown column or relation.
        StoreError: labels were never built.
    """
    require_labels(con)
    within, n_few = None, 0
    if population is not None:
        within = popular_within(con, population)
        ((n_few,),) = con.execute(f"select count(*) from ({within}) where n_compared < {FEW}").fetchall()
    if where is None and not popular:
        photos, labels = sql.read("search/photos"), "photos"
        found = with_popularity(con, con.sql(_with_population(photos, labels, within)).pl(), popularity_by)
        return _filter(con, index, found, past, n_few)
    found = labeled_photos(con, where, popular=popular, within=within)
    return _filter(con, index, with_popularity(con, found, popularity_by), past, n_few)


def labeled_photos(
    con: duckdb.DuckDBPyConnection, where: str | None, *, popular: bool = False, within: str | None = None
) -> pl.DataFrame:
    """Return the labeled photos that match a predicate, one row per photo with the columns of its newest source.

    Args:
        con: a reading connection on the snapshot.
        where: SQL predicate over `sql/search/labelled.sql`; None: every labeled photo.
        popular: whether to select only popular photos.
        within: query of `popular` within a population (popularity.py); None: as the labels were built.

    Raises:
        QueryError: the predicate is invalid, or names an unknown column or relation.
    """
    predicate = "true" if where is None else where
    if not predicate.strip():
        raise _predicate_error(con, predicate, "It is empty.")
    query = (
        f"select * from ({_with_population(sql.read('search/labelled'), 'labelled', within)}) as labelled"
        f" where (\n{predicate}\n){' and popular' if popular else ''}"
        " qualify row_number() over (partition by photo_id order by source desc) = 1"
    )
    try:
        con.extract_statements(f"select 1 where\n{predicate}\n")  # brackets around it must not end inside it
        found: pl.DataFrame = con.sql(parse_read_only(con, query)).pl()
    except QueryError as error:
        raise _predicate_error(con, predicate, f"{error.what.partition(':')[0]}.") from error
    except duckdb.Error as error:
        raise _predicate_error(con, predicate, str(error).partition("\n")[0]) from error
    return found


def _with_population(query: str, name: str, within: str | None) -> str:
    """A query of labels with `popular` within a population."""
    if within is None:
        return query
    return (
        f"select {name}.* replace (within_population.popular as popular)"
        f" from ({query}) as {name} left join ({within}) as within_population"
        f" on {name}.photo_id = within_population.photo_id and {name}.source = within_population.source"
    )


def _filter(con: duckdb.DuckDBPyConnection, index: Index, found: pl.DataFrame, past: bool, n_few: int) -> PhotoFilter:
    if past:
        found = found.join(con.sql(sql.read("search/unchanged")).pl(), on="photo_id", how="semi", maintain_order="left")
    names = (*COLUMNS, *(name for name in ADDED if name in found.columns))
    return PhotoFilter(index, found.select(names), n_few=n_few)


def _predicate_error(con: duckdb.DuckDBPyConnection, predicate: str, why: str) -> QueryError:
    columns = con.sql(sql.read("search/labelled")).columns
    return QueryError(
        f"The predicate {predicate!r} cannot be evaluated: {why}",
        f"a condition in SQL over {', '.join(columns)}",
        "--where \"gender = 'female' and percentile > 90\"",
    )

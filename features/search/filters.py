"""Filter the photos of a search: all photos, or those that match a predicate in SQL.

A predicate is over labels: it names columns of photo_labels, of the photo and of its owner (sql/search/labelled.sql).
It is evaluated on the snapshot, read-only, in one SELECT.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photogenic import sql
from photogenic._lazy import duckdb, pl
from photogenic.features.search.exact import Metric, nearest
from photogenic.features.search.index_files import Index
from photogenic.warehouse.duckdb_store.query import require_labels
from photogenic.warehouse.errors import QueryError
from photogenic.warehouse.sql_guard.guard import parse_read_only

__all__ = ["COLUMNS", "RELATIONS", "PhotoFilter", "select_photos"]

COLUMNS = ("photo_id", "user_id", "like_ratio", "weight", "percentile", "popular", "path")
"""Columns of a search result that describe a photo."""

RELATIONS = frozenset({"photo_labels", "photos", "users"})
"""Relations that `select_photos` reads, besides those of the predicate."""

_BLOCK_BYTES = 64 * 10**6


class PhotoFilter:
    """The rows of an index that a search may return, with the labels of their photos.

    Attributes:
        rows: int64 (m,), ascending.
        photos: `COLUMNS` of those rows, in the same order.
        has_all_rows: whether these are all rows of the index.
    """

    def __init__(self, index: Index, photos: pl.DataFrame) -> None:
        rows = index.rows(photos["photo_id"])
        order = np.argsort(rows, kind="stable")
        order = order[rows[order] >= 0]
        self.index, self.rows, self.photos = index, rows[order], photos[order]
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
        size = max(_BLOCK_BYTES // (4 * self.index.manifest.dim), 1)
        distances, rows = np.empty((len(Q), 0)), np.empty((len(Q), 0), np.int64)
        for start in range(0, len(self.rows), size):
            block = self.rows[start : start + size]
            near, found = nearest(np.ascontiguousarray(self.index.vectors[block]), Q, k, metric)
            distances, rows = np.hstack([distances, near]), np.hstack([rows, block[found]])
            order = np.lexsort((rows, distances))[:, :k]
            distances, rows = np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)
        return distances, rows


def select_photos(
    con: duckdb.DuckDBPyConnection, index: Index, where: str | None = None, *, popular: bool = False, past: bool = False
) -> PhotoFilter:
    """Select the photos of the index that are in the snapshot and match.

    Args:
        con: a reading connection on the snapshot.
        index: index whose rows are selected.
        where: SQL predicate over `sql/search/labelled.sql`; None selects every photo, labeled or not.
        popular: whether to select only photos above the median of their label set.
        past: whether the relations are of another moment; photos whose bytes changed since then are left out.

    Raises:
        QueryError: the predicate is invalid, or names an unknown column or relation.
        StoreError: labels were never built.
    """
    require_labels(con)
    if where is None and not popular:
        return _filter(con, index, con.sql(sql.read("search/photos")).pl(), past)
    predicate = "true" if where is None else where
    if not predicate.strip():
        raise _predicate_error(con, predicate, "It is empty.")
    query = (
        f"select * from ({sql.read('search/labelled')}) as labelled where (\n{predicate}\n)"
        f"{' and popular' if popular else ''}"
        " qualify row_number() over (partition by photo_id order by source desc) = 1"
    )
    try:
        found = con.sql(parse_read_only(con, query)).pl()
    except QueryError as error:
        raise _predicate_error(con, predicate, f"{error.what.partition(':')[0]}.") from error
    except duckdb.Error as error:
        raise _predicate_error(con, predicate, str(error).partition("\n")[0]) from error
    return _filter(con, index, found, past)


def _filter(con: duckdb.DuckDBPyConnection, index: Index, found: pl.DataFrame, past: bool) -> PhotoFilter:
    if past:
        found = found.join(con.sql(sql.read("search/unchanged")).pl(), on="photo_id", how="semi", maintain_order="left")
    return PhotoFilter(index, found.select(COLUMNS))


def _predicate_error(con: duckdb.DuckDBPyConnection, predicate: str, why: str) -> QueryError:
    columns = con.sql(sql.read("search/labelled")).columns
    return QueryError(
        f"The predicate {predicate!r} cannot be evaluated: {why}",
        f"a condition in SQL over {', '.join(columns)}",
        "--where \"gender = 'female' and percentile > 90\"",
    )

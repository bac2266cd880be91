"""Many queries in blocks: each query is a vector that can be searched with, or has a problem that says why not.

One bad query among many does not lose the others: it gets a code of `PROBLEMS` and a detail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import duckdb
from photogenic.features.search.queries import Embed, check_weights, owners_of
from photogenic.warehouse.errors import InputError

if TYPE_CHECKING:
    from photogenic.features.search.index_files import Index

__all__ = ["PROBLEMS", "PhotoId", "Problem", "QueryBlock", "Usable", "blocks_of", "usable"]

PROBLEMS = {
    "unknown_photo": "The store has no such photo, and there is no file of that name.",
    "deleted_photo": "The photo was deleted.",
    "no_vector": "The photo or file has no vector of the encoder: it cannot be decoded, or does not show one face.",
    "wrong_dimension": "The vector does not have as many numbers as those of the encoder.",
    "not_finite": "The vector has NaN or infinity, or a number beyond float32.",
    "no_query": "The row is blank.",
    "unreadable_row": "The row of the file cannot be read.",
    "cancelled": "The vector and that of the photos to be unlike cancel each other.",
    "no_match": "No photo matches the options, so that the query has no results.",
}
"""Each problem of a query with its meaning. `queries = answered + those with a problem` holds for every search."""

Problem: TypeAlias = tuple[str, str]
"""Code of `PROBLEMS`, and a detail."""

_SHOWN = 80
"""Characters of a query that a detail repeats; the column `query` has all of them."""


class PhotoId(str):
    """The id of a photo: never the path of a file, whatever files there are."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class QueryBlock:
    """Some queries, in order.

    Attributes:
        names: what the column `query` of the answer says: the photo id, the path, or for a vector its number from 1.
        queries: `PhotoId`, str (a photo id, else a path), Path, vector (d,), or None where there is a problem; or
            vectors float (q, d).
        problems: position -> problem of a query that could not be read.
    """

    names: Sequence[str]
    queries: Sequence[Any] | NDArray[np.float32]
    problems: dict[int, Problem] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class Usable:
    """The queries of a block that can be searched with.

    Attributes:
        places: int64 (u,), their positions in the block, ascending.
        vectors: float32 (u, d).
        rows: int64 (u,), the index row of a photo of the store; -1 for others.
        owners: owner of each photo of the store, None for others.
        problems: position -> problem of every other query of the block.
    """

    places: NDArray[np.int64]
    vectors: NDArray[np.float32]
    rows: NDArray[np.int64]
    owners: list[str | None]
    problems: dict[int, Problem]


def blocks_of(queries: object, size: int) -> Iterator[QueryBlock]:
    """Cut queries given in Python into blocks; an iterator is read one block at a time.

    Args:
        queries: vectors float (q, d); or an iterable of photo ids, paths and vectors, such as a list or a column.
        size: number of queries in a block.

    Raises:
        InputError: it is one string, or not iterable.
    """
    if isinstance(queries, np.ndarray):
        if queries.ndim != 2:
            raise InputError(
                f"The queries are an array of shape {queries.shape}.", "(q, d): one vector per query", "queries[None]"
            )
        for at in range(0, len(queries), size):
            part = queries[at : at + size]
            yield QueryBlock([str(number) for number in range(at + 1, at + len(part) + 1)], part)
        return
    if isinstance(queries, (str, bytes, Path)) or not isinstance(queries, Iterable):
        raise InputError(
            f"The queries are one {type(queries).__name__}.",
            "several: a list of photo ids, paths and vectors, or an array (q, d)",
            "store.similar for one query",
        )
    each, at = iter(queries), 0
    while taken := list(islice(each, size)):
        names, found, problems = list[str](), [], dict[int, Problem]()
        for place, query in enumerate(taken):
            name, given, problem = _given(query, at + place + 1)
            names.append(name)
            found.append(given)
            if problem is not None:
                problems[place] = problem
        at += len(taken)
        yield QueryBlock(names, found, problems)


def _given(query: Any, number: int) -> tuple[str, Any, Problem | None]:
    """Name of one query, the query, and its problem."""
    if isinstance(query, str):
        return query, query, None if query.strip() else ("no_query", "an empty text")
    if isinstance(query, Path):
        return str(query), query, None
    if query is None:
        return "", None, ("no_query", "None")
    try:
        vector = np.asarray(query)
        if vector.dtype.kind in "fiu":
            return str(number), vector, None
    except ValueError:  # ragged lists
        pass
    raise InputError(
        f"Query {number} is of type {type(query).__name__}.",
        "a photo id, a path, or a vector of numbers",
        "pass one query per item",
    )


def usable(con: duckdb.DuckDBPyConnection, index: Index, embed: Embed, block: QueryBlock, *, models: Path) -> Usable:
    """Resolve each query of a block to its vector, and find out why others have none.

    Args:
        con: a reading connection on the snapshot.
        index: index of the encoder.
        embed: function from files to vectors of that encoder.
        block: the queries.
        models: folder of the store with fine-tuned encoders.

    Raises:
        StoreError: the index was made with other weights than those of this machine.
    """
    work = _Work(index, block)
    if isinstance(block.queries, np.ndarray):
        work.set_vectors(range(len(block)), block.queries)
    else:
        texts, files, given = list[int](), list[int](), list[int]()
        for place, query in enumerate(block.queries):
            if place not in work.problems:
                (texts if isinstance(query, str) else files if isinstance(query, Path) else given).append(place)
        if texts:
            files += work.set_photos(con, texts)
        if given:
            work.set_ragged(given)
        if files:
            check_weights(index, models)
            work.set_files(embed, sorted(files))
    places = np.array([place for place in range(len(block)) if place not in work.problems], np.int64)
    owners = [work.owners[place] for place in places.tolist()]
    return Usable(places, np.ascontiguousarray(work.vectors[places]), work.rows[places], owners, work.problems)


class _Work:
    """The vectors of one block while they are found.

    Attributes:
        vectors: float32 (q, d); zero where a query has a problem.
        rows: int64 (q,), the index row of a photo of the store; -1 for others.
        owners: owner of each photo of the store, None for others.
        problems: position -> problem.
    """

    def __init__(self, index: Index, block: QueryBlock) -> None:
        self._index, self._queries, self._dim = index, block.queries, index.manifest.dim
        self.vectors, self.rows = np.zeros((len(block), self._dim), np.float32), np.full(len(block), -1)
        self.owners: list[str | None] = [None] * len(block)
        self.problems = dict(block.problems)

    def set_vectors(self, places: Sequence[int], given: NDArray[Any]) -> None:
        """Set vectors of one length; those that cannot be searched with get a problem."""
        if given.shape[1] != self._dim:
            for place in places:
                self.problems.setdefault(place, self._other_length(f"{given.shape[1]:,} numbers"))
            return
        with np.errstate(over="ignore", invalid="ignore"):
            vectors = np.ascontiguousarray(given, np.float32)
        is_finite = np.asarray(np.isfinite(vectors).all(axis=1))
        self.vectors[places] = np.where(is_finite.reshape(-1, 1), vectors, np.float32(0))
        for at in np.flatnonzero(~is_finite).tolist():
            self.problems.setdefault(places[at], ("not_finite", "NaN, infinity, or a number beyond float32"))

    def set_ragged(self, places: list[int]) -> None:
        """Set vectors that were given one by one; each may have another length."""
        right = []
        for place in places:
            shape = self._queries[place].shape
            if shape in ((self._dim,), (1, self._dim)):
                right.append(place)
            else:
                said = f"{shape[0]:,} numbers" if len(shape) == 1 else f"shape {shape}"
                self.problems[place] = self._other_length(said)
        if right:
            self.set_vectors(right, np.stack([self._queries[place].reshape(self._dim) for place in right]))

    def set_photos(self, con: duckdb.DuckDBPyConnection, places: list[int]) -> list[int]:
        """Set the vectors of photos of the store. Return the queries that are files."""
        photo_ids = list(dict.fromkeys(str(self._queries[place]) for place in places))
        present = owners_of(con, photo_ids)
        found = {
            photo_id: row
            for photo_id, row in zip(photo_ids, self._index.rows(photo_ids).tolist(), strict=True)
            if row >= 0 and photo_id in present
        }
        reasons = _reasons(con, self._index, [photo_id for photo_id in photo_ids if photo_id not in found])
        files = []
        for place in places:
            query = self._queries[place]
            row, reason = found.get(str(query), -1), reasons.get(str(query))
            if row >= 0:
                self.rows[place], self.owners[place] = row, present[str(query)]
            elif (
                not isinstance(query, PhotoId) and (reason is None or reason[0] == "deleted_photo") and _is_file(query)
            ):
                files.append(place)
            else:
                what = "no such photo" if isinstance(query, PhotoId) else "no such photo and no such file"
                self.problems[place] = reason or ("unknown_photo", f"{what}: {query[:_SHOWN]!r}")
        is_photo = self.rows >= 0
        self.vectors[is_photo] = self._index.vectors[self.rows[is_photo]]
        return files

    def set_files(self, embed: Embed, places: list[int]) -> None:
        """Set the vectors of files."""
        there = []
        for place in places:
            name = str(self._queries[place])
            if _is_file(name):
                there.append(place)
            else:
                self.problems[place] = "unknown_photo", f"no such file: {name[:_SHOWN]!r}"
        if not there:
            return
        paths = [Path(str(self._queries[place])) for place in there]
        for place, found in zip(there, embed(paths), strict=True):
            if found.embedding is None:
                why = f"{found.status} ({found.detail})" if found.detail else found.status
                self.problems[place] = "no_vector", why
            else:
                self.vectors[place] = found.embedding

    def _other_length(self, found: str) -> Problem:
        return "wrong_dimension", f"{found}; the encoder has {self._dim:,}"


def _reasons(con: duckdb.DuckDBPyConnection, index: Index, photo_ids: list[str]) -> dict[str, Problem]:
    """Why photos cannot be searched with; the store never had the others."""
    if not photo_ids:
        return {}
    given = "with given as (select unnest($1) as photo_id)"
    deleted = con.execute(
        f"{given} select photo_id, deleted_at from deleted_photos semi join given using (photo_id)", [photo_ids]
    )
    reasons = {
        photo_id: ("deleted_photo", f"deleted at {at:%Y-%m-%dT%H:%M:%SZ}") for photo_id, at in deleted.fetchall()
    }
    present = con.execute(
        f"{given} select photo_id, status, (select count(*) from faces where faces.photo_id = photos.photo_id)"
        " from photos semi join given using (photo_id)",
        [photo_ids],
    )
    for photo_id, status, n_faces in present.fetchall():
        reasons[photo_id] = "no_vector", _why_no_vector(index, status, n_faces)
    return reasons


def _why_no_vector(index: Index, status: str | None, n_faces: int) -> str:
    if status != "ok":
        return f"its file is {status or 'not in the store yet'}"
    if index.manifest.input == "face" and n_faces != 1:
        return f"it shows {n_faces} faces"
    return "it is newer than the index, or its numbers are not finite"


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long for a path, or with a NUL
        return False

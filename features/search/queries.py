"""Resolve queries to vectors: photo ids, picture files, or vectors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import duckdb
from photogenic.features.compute.embed_files import Embedded
from photogenic.features.encoders.registry import encoder
from photogenic.features.search.index_files import Index
from photogenic.warehouse import InputError, StoreError

Embed: TypeAlias = "Callable[[Sequence[Path]], list[Embedded]]"
"""Function from files to their vectors."""

Known: TypeAlias = "Callable[[list[str]], dict[str, str | None]]"
"""Function from texts to the owners of those that are photos in the store."""

__all__ = [
    "Embed",
    "Known",
    "Queries",
    "check_vectors",
    "check_weights",
    "owners_of",
    "refuse_unknown",
    "resolve",
    "without_vector",
]


@dataclass(frozen=True, slots=True)
class Queries:
    """Resolved queries.

    Attributes:
        vectors: float32 (q, d).
        rows: int64 (q,), the index row of a query that is a photo of the store; -1 for others.
        owners: owner of each query that is a photo of the store, None for others; empty if they were not asked for.
    """

    vectors: NDArray[np.float32]
    rows: NDArray[np.int64]
    owners: Sequence[str | None] = ()


def resolve(
    con: Callable[[], duckdb.DuckDBPyConnection],
    index: Index,
    embed: Embed,
    queries: Sequence[str | Path | NDArray[np.float32]] | NDArray[np.float32],
    *,
    models: Path,
    with_owners: bool = False,
    known: Known | None = None,
) -> Queries:
    """Resolve each query to its vector, in order.

    A string is a photo id if there is such a photo, else the path of a file.

    Args:
        con: function that opens a reading connection on the snapshot.
        index: index of the encoder.
        embed: function from files to vectors of that encoder.
        queries: mix of photo ids, paths and vectors float (d,); or vectors float (q, d).
        models: folder of the store with fine-tuned encoders.
        with_owners: whether to read the owners of photos.
        known: function that does the same as `owners_of`, from a cache.

    Raises:
        InputError: a photo is unknown or has no vector, a file cannot be embedded, or a vector has a wrong shape.
    """
    dim = index.manifest.dim
    if isinstance(queries, np.ndarray):
        return Queries(check_vectors(queries, dim), np.full(len(queries), -1))
    vectors, rows = np.empty((len(queries), dim), np.float32), np.full(len(queries), -1)
    owners: list[str | None] = [None] * len(queries) if with_owners else []
    texts = [at for at, query in enumerate(queries) if isinstance(query, str)]
    photo_ids = [str(queries[at]) for at in texts]
    there = (owners_of(con(), photo_ids) if known is None else known(photo_ids)) if photo_ids else {}
    rows[texts] = _rows(there, index, photo_ids)
    for at in texts if with_owners else ():
        owners[at] = there.get(str(queries[at]))
    files = []
    for at, query in enumerate(queries):
        if isinstance(query, np.ndarray):
            vectors[at] = check_vectors(query if query.shape == (1, dim) else query[None], dim)[0]
        elif rows[at] >= 0:
            vectors[at] = index.vectors[rows[at]]
        elif isinstance(query, Path) or Path(query).is_file():
            files.append(at)
        else:
            raise _not_found_error(con(), index, query)
    if files:
        vectors[files] = _embed_files([Path(str(queries[at])) for at in files], index, embed, models)
    return Queries(vectors, rows, owners)


def owners_of(con: duckdb.DuckDBPyConnection, photo_ids: list[str]) -> dict[str, str | None]:
    """The owners of the photos that are in the store."""
    if not photo_ids:
        return {}
    if len(photo_ids) == 1:  # DuckDB pushes a constant down to the base table, but not a list
        answer = con.execute("select photo_id, user_id from photos where photo_id = $1", photo_ids)
    else:
        answer = con.execute("select photo_id, user_id from photos where photo_id in (select unnest($1))", [photo_ids])
    return dict(answer.fetchall())


def _rows(known: Collection[str], index: Index, photo_ids: list[str]) -> NDArray[np.int64]:
    """Index rows of the photos; -1 for photos without a vector or no longer in the store."""
    if not photo_ids:
        return np.empty(0, np.int64)
    return np.where([photo_id in known for photo_id in photo_ids], index.rows(photo_ids), -1)


def check_vectors(X: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """Check query vectors, and return them as float32 (q, d).

    Raises:
        InputError: they have a wrong shape or are not finite.
    """
    if X.ndim != 2 or X.shape[1] != dim:
        raise InputError(f"The query vector has shape {X.shape[-1:]}.", f"({dim},)", "embed it with the same encoder")
    with np.errstate(over="ignore"):
        X = np.ascontiguousarray(X, np.float32)
    if not np.isfinite(X).all():
        raise InputError("The query vector is not finite.", "finite numbers of float32", "compute the vector again")
    return X


def check_weights(index: Index, models: Path) -> None:
    """Refuse to compare vectors of files with those of an index that was made with other weights.

    Raises:
        StoreError: the weights of this machine are others.
    """
    known = index.manifest
    now = encoder(known.encoder, models).backbone.weights_sha256()
    if now != known.weights_sha256:
        raise StoreError(
            f"The index of {known.encoder} was made with weights {known.weights_sha256[:12]}.",
            f"{now[:12]}, those of this machine",
            f"features build --encoder {known.encoder}",
        )


def _embed_files(paths: list[Path], index: Index, embed: Embed, models: Path) -> NDArray[np.float32]:

    check_weights(index, models)
    known = index.manifest
    wanted, other = "a picture that can be decoded", "another picture"
    if known.input == "face":
        wanted, other = "a picture with exactly one face", "another picture, or --encoder efficientnet_lite0"
    vectors = np.empty((len(paths), known.dim), np.float32)
    for at, found in enumerate(embed(paths)):
        if found.embedding is None:
            why = f"{found.status} ({found.detail})" if found.detail else found.status
            raise InputError(f"{found.path} has no {known.encoder} vector: {why}.", wanted, other)
        vectors[at] = found.embedding
    return vectors


def _not_found_error(con: duckdb.DuckDBPyConnection, index: Index, query: str | Path) -> InputError:
    known, text = index.manifest, str(query)
    found = con.execute(
        "select status, (select count(*) from faces where photo_id = $1) from photos where photo_id = $1", [text]
    ).fetchall()
    for status, n_faces in found:
        if status != "ok":
            why = f"its file is {status or 'not in the store yet'}"
        elif known.input == "face" and n_faces != 1:
            why = f"it shows {n_faces} faces"
        elif known.n_bad:
            why = "its numbers are not finite (bad_vector), or it is newer than the index"
        else:
            why = "it is newer than the index"
        return InputError(
            f"Photo {text!r} has no {known.encoder} vector: {why}.",
            "a readable photo" + (" with exactly one face" if known.input == "face" else ""),
            f"features build --encoder {known.encoder}, or another --encoder",
        )
    for (deleted_at,) in con.execute("select deleted_at from deleted_photos where photo_id = $1", [text]).fetchall():
        return InputError(
            f"Photo {text!r} was deleted at {deleted_at:%Y-%m-%dT%H:%M:%SZ}.",
            "a photo that is not deleted",
            'features sql "select photo_id from photos limit 10"',
        )
    near = con.execute(
        "select photo_id from photos order by levenshtein(photo_id, $1), photo_id limit 3", [text]
    ).fetchall()
    return InputError(
        f"There is no photo and no file {text!r}.",
        f"a photo id, such as {', '.join(name for (name,) in near)}" if near else "a store with photos",
        'features sql "select photo_id from photos limit 10"',
    )


def without_vector(index: Index, photo_ids: list[str], known: Known) -> set[str]:
    """Return those of the photos that are in the snapshot and have no vector in an index.

    Args:
        index: index of the encoder.
        photo_ids: ids of photos, and other texts.
        known: as in `resolve`.
    """
    there = known(photo_ids)
    return {name for name, row in zip(photo_ids, index.rows(photo_ids), strict=True) if row < 0 and name in there}


def refuse_unknown(
    con: Callable[[], duckdb.DuckDBPyConnection], index: Index, photo_ids: list[str], known: Known
) -> None:
    """Refuse texts that are no photo with a vector. `resolve` takes such a text for the name of a file.

    Args:
        con: function that opens a reading connection on the snapshot.
        index: index of the encoder.
        photo_ids: the texts.
        known: as in `resolve`.

    Raises:
        InputError: a photo is unknown or has no vector.
    """
    for photo_id, row in zip(photo_ids, _rows(known(photo_ids), index, photo_ids), strict=True):
        if row < 0:
            raise _not_found_error(con(), index, photo_id)

"""Training samples: photos with their vectors, inputs, labels, weights and splits, joined by photo id.

gather(store, TARGETS["like_ratio"], "dlib_face", "one_face")                      one encoder
gather(store, TARGETS["like_ratio"], "efficientnet_lite0+dlib_face", "one_face")   vectors joined
gather(store, TARGETS["like_ratio"], "none", "one_face", inputs=refs)              inputs alone

Inputs are columns of relations beside the vectors: the last columns of X, NaN where a value is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from photogenic import sql
from photogenic._lazy import pl
from photogenic.features.vectors import reader
from photogenic.features.vectors.training_set import labelled, training_set
from photogenic.models.data.array_types import Array, Strings
from photogenic.models.data.targets import Target, is_column, target_of
from photogenic.warehouse import Database, InputError, Layout, Store
from photogenic.warehouse.columns import ColumnRef, values
from photogenic.warehouse.duckdb_store.query import require_labels
from photogenic.warehouse.labels.last_build import last_build, next_options

__all__ = [
    "NO_ENCODER",
    "SPLITS",
    "Samples",
    "Standardisation",
    "encoder_parts",
    "gather",
    "input_values",
    "labels_by_name",
    "labels_of",
    "read_rows",
    "read_vectors",
    "with_mirrors",
]

NO_ENCODER = "none"
"""Name, in the place of an encoder, of heads that read inputs alone."""

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one target, encoder and setup.

    Attributes:
        X: vectors, then inputs, float32 (n, d), not standardized; a missing input is NaN.
        y: labels, float32 (n,), 0 to 1; labels of a column that is a number are float64, of any size.
        weight: weights, float32 (n,), above 0: numbers of swipes or of a column, or all 1 if the target has none.
        gender: gender of each owner; '' if unknown.
        split: split of each photo: train, dev or test.
    """

    photo_ids: Strings
    user_ids: Strings
    X: Array
    y: Array
    weight: Array
    gender: Strings
    split: Strings

    def __len__(self) -> int:
        return len(self.photo_ids)

    def part(self, split: str) -> Samples:
        """Return the rows of one split."""
        return self.rows(self.split == split)

    def rows(self, chosen: Any) -> Samples:
        """Return the rows of a mask or of positions, in the order of the positions."""
        columns = {name: getattr(self, name)[chosen] for name in self.__slots__}
        return Samples(**columns)

    def digest(self) -> str:
        """Return a digest of the content, 16 hex digits: rows, vectors, labels and splits."""
        state = hashlib.sha256()
        for name in self.__slots__:
            column = np.ascontiguousarray(getattr(self, name))
            state.update(f"{name}{column.dtype}{column.shape}".encode())
            state.update(column.data if column.dtype.kind == "f" else "\0".join(column.tolist()).encode())
        return state.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Standardisation:
    """Shift and scale of each dimension of the vectors, computed from train only."""

    mean: Array
    scale: Array

    @classmethod
    def of(cls, X: Array) -> Standardisation:
        """Compute mean and standard deviation; a constant dimension is only shifted."""
        mean, scale = X.mean(0, dtype=np.float64), X.std(0, dtype=np.float64)
        return cls(mean.astype(np.float32), np.where(scale > 1e-6, scale, 1.0).astype(np.float32))

    def __call__(self, X: Array) -> Array:
        return np.asarray((X - self.mean) / self.scale, np.float32)


def encoder_parts(encoder: str) -> list[str]:
    """Return the names of the encoders of `a+b`; none of `NO_ENCODER`."""
    return [] if encoder == NO_ENCODER else encoder.split("+")


def gather(
    store: Store,
    target: Target,
    encoder: str,
    setup: str,
    *,
    flip: bool = False,
    inputs: Sequence[ColumnRef] = (),
) -> tuple[Samples, dict[str, int]]:
    """Read the samples of one experiment, and count what was left out. `a+b` keeps the photos that have both vectors.

    Args:
        store: store with labels and vectors.
        target: target that gives y.
        encoder: encoder of the vectors, or `NO_ENCODER`.
        setup: all or one_face.
        flip: whether to read the vectors of the mirror images.
        inputs: columns beside the vectors.

    Returns:
        The samples; and for a column `photos`, the number of photos of the setup, and of these the numbers without a
        value (`no_value`), without a weight above 0 (`no_weight`) and without a vector (`no_vector`).

    Raises:
        InputError: a column has several rows of one photo or user.
        StoreError: there are no labels, or no vectors of an encoder.
    """
    names, rows, counts = encoder_parts(encoder), None, dict[str, int]()
    if target.column is not None:
        rows, counts = labels_of(store.database, target, setup)
    elif not names:
        rows = labelled(store.database, target.name, setup)  # type: ignore[arg-type]
    found = training_set(store, target.name, encoder=names, setup=setup, flip=flip, rows=rows)  # type: ignore[arg-type]
    photo_ids, user_ids = np.asarray(found.photo_ids, np.str_), np.asarray(found.user_ids, np.str_)
    X = found.X
    if inputs:
        X = np.concatenate([X, input_values(store.database, inputs, photo_ids, user_ids)], 1)
    samples = Samples(
        photo_ids=photo_ids,
        user_ids=user_ids,
        X=X,
        y=found.y,
        weight=found.weight if target.weighted else np.ones_like(found.weight),
        gender=np.asarray([gender or "" for gender in found.gender], np.str_),
        split=np.asarray(found.split, np.str_),
    )
    return samples, counts | ({"no_vector": found.n_without_vector} if counts else {})


def labels_of(db: Database, target: Target, setup: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """List the photos of a setup with a value of a column: photo_id, user_id, gender, y, weight, split; by photo_id.

    Returns:
        The photos; and the counts of `gather`, without `no_vector`.

    Raises:
        InputError: a photo or user has several rows, or no photo has a value and a weight above 0.
        StoreError: the store was never built.
    """
    assert target.column is not None
    refs = [target.column] if target.weight is None else [target.column, target.weight]
    query = sql.read("training/photos")
    with db.read(query=f"{query} -- {', '.join(ref.relation for ref in refs)}") as con:
        require_labels(con)
        said = {"setup": setup, "split_seed": next_options(None, last_build(con)).split_seed}
        rows: pl.DataFrame = con.sql(query, params=said).pl()
        found = values(con, refs, rows["photo_id"].to_numpy(), rows["user_id"].to_numpy())
    y, weight = found[0], found[1] if target.weight is not None else np.ones(len(rows))
    has_value, has_weight = np.isfinite(y), weight > 0
    counts = {
        "photos": len(rows),
        "no_value": int(np.sum(~has_value)),
        "no_weight": int(np.sum(has_value & ~has_weight)),
    }
    if not np.any(has_value & has_weight):
        lacking = target.column if not has_value.any() or target.weight is None else target.weight
        raise InputError(
            f"None of the {len(rows):,} photos of setup {setup} has a value of {lacking.name}"
            + (" above 0." if target.weight is not None and lacking is target.weight else "."),
            f"{lacking.key}s of photos with a value"
            + (", in an interval that holds now: valid_to is NULL or in the future" if lacking.intervals else ""),
            f'features sql "from {lacking.relation} limit 3", to see its rows; features build, to update them',
        )
    rows = rows.with_columns(y=pl.Series(y), weight=pl.Series(weight))
    kept = rows.filter(pl.Series(has_value & has_weight))
    return kept.select("photo_id", "user_id", "gender", "y", "weight", "split"), counts


def labels_by_name(db: Database, name: str, setup: str, weight: str | None = None) -> pl.DataFrame | None:
    """Return the rows of `labels_of` for `relation.column`. None: the name is not that of a column.

    Raises:
        InputError: there is no such column, its type does not fit, or a weight is given for another target.
    """
    if not is_column(name):
        if weight is not None:
            raise InputError(
                f"The weight {weight} is for a target that is a column, and {name} is none.",
                "a target such as relation.column",
                "leave out the weight",
            )
        return None
    with db.read(query="from clock") as con:
        target = target_of(con, name, weight=weight)
    return labels_of(db, target, setup)[0]


def input_values(db: Database, inputs: Sequence[ColumnRef], photo_ids: Strings, user_ids: Strings) -> Array:
    """Return the inputs of photos, float32 (n, inputs); NaN where a value is missing or has no float32.

    Raises:
        InputError: a photo or user has several rows.
    """
    with db.read(query=f"from clock -- {', '.join(ref.relation for ref in inputs)}") as con:
        found = values(con, inputs, photo_ids, user_ids)
    with np.errstate(over="ignore"):
        X = np.stack(found, 1).astype(np.float32)
    X[~np.isfinite(X)] = np.nan
    return X


def read_rows(store: Store, encoder: str, inputs: Sequence[ColumnRef]) -> tuple[list[str], Array]:
    """Read all photos that a head can predict, sorted by id, and its X: vectors, then inputs as of now.

    Raises:
        InputError: a photo or user has several rows of an input.
        StoreError: an encoder has no vectors in the store.
    """
    if not inputs:
        return read_vectors(store.layout, encoder)
    owners = dict(store.database.rows(sql.read("training/owners")))
    if encoder == NO_ENCODER:
        ids, X = list(owners), np.empty((len(owners), 0), np.float32)
    else:
        ids, X = read_vectors(store.layout, encoder)
    users = np.asarray([owners.get(photo_id) or "" for photo_id in ids], np.str_)
    return ids, np.concatenate([X, input_values(store.database, inputs, np.asarray(ids, np.str_), users)], 1)


def with_mirrors(samples: Samples, mirrors: Samples) -> Samples:
    """Add to train the mirror image of each train photo that has one; dev and test stay as they are.

    Both copies have the same photo id and owner, so cross-validation keeps them in one fold.
    """
    train = samples.photo_ids[samples.split == "train"]
    copies = mirrors.rows(np.isin(mirrors.photo_ids, train))
    copies = replace(copies, split=np.full(len(copies), "train"))
    columns = {name: np.concatenate([getattr(samples, name), getattr(copies, name)]) for name in Samples.__slots__}
    return Samples(**columns)


def read_vectors(layout: Layout, encoder: str) -> tuple[list[str], Array]:
    """Read all vectors of an encoder (for `a+b`: of photos with both), sorted by id; X float32 (n, d).

    Raises:
        StoreError: an encoder has no vectors in the store.
    """
    ids, X = reader.read(layout, encoder.split("+", maxsplit=1)[0])
    for name in encoder.split("+")[1:]:
        others, Y = reader.read(layout, name)
        _, i, j = np.intersect1d(np.asarray(ids), np.asarray(others), assume_unique=True, return_indices=True)
        ids, X = [ids[at] for at in i], np.concatenate([X[i], Y[j]], 1)
    return ids, X

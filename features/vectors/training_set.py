"""Training data: vectors and labels of the same photos, joined by photo_id, one row per photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from photogenic import sql
from photogenic._lazy import pl
from photogenic.features.vectors import reader
from photogenic.warehouse import Database, InputError, Store
from photogenic.warehouse.duckdb_store.query import require_labels
from photogenic.warehouse.labels.past import MomentDatabase
from photogenic.warehouse.moment import Moments

__all__ = ["Setup", "Source", "Split", "Target", "TrainingSet", "labelled", "training_set"]

Target = Literal["like_ratio", "popular", "gender"]
"""like_ratio: likes per swipe (for posts: per follower). popular: 1 above the median. gender: 1 female, 0 male."""

Setup = Literal["all", "one_face"]
Split = Literal["train", "dev", "test"]
Source = Literal["swipes", "posts"]


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Rows in order of photo_id.

    Attributes:
        target, encoders, setup: the arguments of `training_set`; the target may be a column, `relation.column`.
        photo_ids: str (n,).
        user_ids: str (n,), owners of the photos.
        X: float32 (n, d); vectors of several encoders are concatenated in the order of `encoders`.
        y: float32 (n,); float64 for a column.
        weight: float32 (n,), number of swipes behind a label; 1 for posts.
        gender: str or None (n,), gender of the owner.
        split: str (n,), train, dev or test.
        n_without_vector: labeled photos that were left out because an encoder has no vector for them.
        moments: the moment of the labels; None: the published ones.
    """

    target: str
    encoders: tuple[str, ...]
    setup: Setup
    photo_ids: list[str]
    user_ids: list[str]
    X: NDArray[np.float32]
    y: NDArray[np.floating]
    weight: NDArray[np.float32]
    gender: list[str | None]
    split: list[str]
    n_without_vector: int
    moments: Moments | None = None

    def __len__(self) -> int:
        return len(self.photo_ids)

    def __repr__(self) -> str:
        """Return a line for notebooks; the arrays would fill pages."""
        encoders, (n, d) = "+".join(self.encoders), self.X.shape
        return f"TrainingSet({self.target!r}, encoder={encoders!r}, setup={self.setup!r}: {n:,} rows of {d:,} numbers)"


def training_set(
    store: Store,
    target: str,
    *,
    encoder: str | Sequence[str],
    setup: Setup = "all",
    split: Split | None = None,
    source: Source | None = None,
    flip: bool = False,
    rows: pl.DataFrame | None = None,
) -> TrainingSet:
    """Join the labeled photos of a setup with the vectors of every encoder.

    For `gender`, photos whose owner's gender is unknown or `other` are left out. The rest are the same photos as for
    the other targets, so results can be compared.

    Args:
        store: the open store.
        target: quantity to predict.
        encoder: one encoder, several, or `a+b` for concatenated vectors.
        setup: all photos, or photos with exactly one face.
        split: split to return; None returns all rows.
        source: source of the labels; None takes swipes if there are labels from swipes, else posts.
        flip: whether to use the vectors of the mirror images.
        rows: labels of a column, in the form of `labelled`; `target` is then its name, and no encoder is allowed too.

    Raises:
        InputError: the target, setup, split or source does not exist.
        StoreError: the store has no labels, or no vectors of an encoder.
    """
    names = tuple(encoder.split("+")) if isinstance(encoder, str) else tuple(encoder)
    if not names and rows is None:
        raise InputError("No encoder was given.", "one or more", 'encoder="dlib_face"')
    if split is not None and split not in get_args(Split):
        raise InputError(f"There is no split {split!r}.", f"one of {', '.join(get_args(Split))}", "")
    y_type: type[np.floating] = np.float32 if target in get_args(Target) else np.float64
    rows = labelled(store.database, target, setup, source) if rows is None else rows
    if split is not None:
        rows = rows.filter(rows["split"] == split)
    n_labelled = len(rows)
    moments = store.database.moments if isinstance(store.database, MomentDatabase) else None
    if moments is not None:
        rows = rows.join(
            store.database.frame(sql.read("search/unchanged")), on="photo_id", how="semi", maintain_order="left"
        )
    for name in names:
        rows = rows.filter(rows["photo_id"].is_in(reader.open_vectors(store.layout, name).ids(flip=flip)))
    ids = rows["photo_id"].to_list()
    return TrainingSet(
        target=target,
        encoders=names,
        setup=setup,
        photo_ids=ids,
        user_ids=rows["user_id"].to_list(),
        X=np.hstack(
            [np.empty((len(ids), 0), np.float32)]
            + [reader.read(store.layout, name, ids, flip=flip)[1] for name in names]
        ),
        y=rows["y"].to_numpy().astype(y_type),
        weight=rows["weight"].to_numpy().astype(np.float32),
        gender=rows["gender"].to_list(),
        split=rows["split"].to_list(),
        n_without_vector=n_labelled - len(rows),
        moments=moments,
    )


def labelled(db: Database, target: str, setup: Setup, source: Source | None = None) -> pl.DataFrame:
    """List the photos of a setup with a known `target`: photo_id, user_id, gender, y, weight, split; by photo_id.

    Raises:
        InputError: the target or setup does not exist.
        StoreError: the store has no labels.
    """
    for name, value, kind in (("target", target, Target), ("setup", setup, Setup)):
        if value not in get_args(kind):
            raise InputError(f"There is no {name} {value!r}.", f"one of {', '.join(get_args(kind))}", "")
    rows = _labels(db, setup, source)
    rows = rows.with_columns(y=rows["female" if target == "gender" else target])
    return rows.filter(rows["y"].is_not_null()).select("photo_id", "user_id", "gender", "y", "weight", "split")


def _labels(db: Database, setup: Setup, source: Source | None) -> pl.DataFrame:
    query = sql.read("training/labels")
    with db.read(query=query) as con:
        require_labels(con)
        if source is None:
            ((swipes,),) = con.execute("select count(*) from photo_labels where source = 'swipes'").fetchall()
            source = "swipes" if swipes else "posts"
        frame: pl.DataFrame = con.sql(query, params={"setup": setup, "source": source}).pl()
    return frame

"""What is known of photos: one with everything, many with label and vector, all in an order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from app.serve.errors import ApiError, translated
from app.serve.snapshot import Snapshot
from features import vectors
from warehouse import Layout, PhotogenicError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["everything", "in_order", "label", "looked_up"]

_OWN = ("photo_id", "user_id", "gender", "width", "height", "status", "split_all", "split_one_face")
_SHOWN = ("photo_id", "user_id", "gender", "like_ratio", "weight", "percentile", "popular")


def label(photo: dict[str, Any]) -> dict[str, Any] | None:
    """Source, value, weight, popular, percentile; None for a photo without."""
    if photo["source"] is None:
        return None
    return {
        "source": photo["source"],
        "value": photo["like_ratio"],
        "weight": photo["weight"],
        "popular": photo["popular"],
        "percentile": photo["percentile"],
    }


def everything(snapshot: Snapshot, photo_id: str) -> dict[str, Any]:
    """One photo, with what swipes, faces and heads say of it.

    Raises:
        ApiError: there is none.
    """
    photo = snapshot.photo(photo_id)
    if photo is None:
        raise ApiError(
            "not_found", f"There is no photo {photo_id[:200]!r}.", 'features sql "select photo_id from photos limit 10"'
        )
    known: dict[str, Any] = {name: photo[name] for name in _OWN} | {"label": label(photo)}
    asked = {
        "like_ratios": (
            "select time_window, n_likes, n_swipes, like_ratio, ci_low, ci_high, smoothed_ratio from like_ratios"
            " where photo_id = $id order by time_window"
        ),
        "periods": "select valid_from, valid_to from photo_periods where photo_id = $id order by valid_from",
        "faces": "select x0, y0, x1, y1, confidence from faces where photo_id = $id order by face_no",
        "predictions": (
            "select run_id, target, setup, encoder, head, predictions.split, prediction"
            " from predictions inner join runs using (run_id) where photo_id = $id"
            " order by target = 'gender', target, dev, run_id"
        ),
        "near_duplicates": (
            "select if(photo_id = $id, other_id, photo_id) as photo_id, reason, bits, distance from near_duplicates"
            " where photo_id = $id or other_id = $id order by 1"
        ),
    }
    for name, query in asked.items():
        there = ("photo_periods" if name == "periods" else name) in snapshot.relations
        known[name] = snapshot.ask(query, {"id": photo_id}).to_dicts() if there else []
    return known


def looked_up(
    snapshot: Snapshot, layout: Layout, photo_ids: list[str], encoder: str | None, most: int
) -> dict[str, Any]:
    """Label and vector of many photos, in the order asked; the vectors as numpy rows.

    Args:
        snapshot: where labels are.
        layout: where vectors are.
        photo_ids: whose.
        encoder: None: labels only.
        most: numbers in one answer.

    Raises:
        ApiError: too many numbers, or the encoder has no vectors.
    """
    rows, dim = snapshot.rows(photo_ids), None
    found: dict[str, Any] = {}
    if encoder is not None:
        try:
            held = vectors.opened(layout, encoder)
        except PhotogenicError as error:
            raise translated(error) from error
        dim, there = held.dim, _ids(held)
        with_vector = [name for name, row in zip(photo_ids, rows, strict=True) if row >= 0 and name in there]
        if len(with_vector) * dim > most:
            raise ApiError(
                "not_usable",
                f"{len(with_vector)} vectors of {dim} numbers are too many. Expected: at most {most // dim} photos",
                "ask in several requests",
            )
        found = dict(zip(*held.read(with_vector), strict=True)) if with_vector else {}
    known = iter(snapshot.photos[rows[rows >= 0]].iter_rows(named=True))
    photos: list[dict[str, Any]] = []
    for photo_id, row in zip(photo_ids, rows, strict=True):
        if row < 0:
            photos.append({"photo_id": photo_id, "status": "unknown_photo", "embedding": None, "label": None})
            continue
        status = "ok" if encoder is None or photo_id in found else "no_vector"
        its = label(next(known))
        photos.append({"photo_id": photo_id, "status": status, "embedding": found.get(photo_id), "label": its})
    return {"encoder": encoder, "dim": dim, "photos": photos}


def in_order(snapshot: Snapshot, asked: dict[str, Any], run_id: str | None) -> dict[str, Any]:
    """A stretch of all photos that match, best first or last."""
    order = _Order(run_id=run_id, **{name: asked[name] for name in _Order.__slots__ if name in asked})
    ordered = snapshot.kept(order, lambda: _ordered(snapshot, order))
    shown = ordered.slice(asked["offset"], asked["limit"])
    columns = [*_SHOWN, "prediction"] if run_id is not None else list(_SHOWN)
    return {"n_photos": len(ordered), "photos": shown.select(columns).to_dicts()}


@dataclass(frozen=True, slots=True)
class _Order:
    """Which photos, in which order; as the request says."""

    by: str
    order: str
    gender: str | None
    setup: str
    split: str | None
    popular: bool | None
    least: int
    run_id: str | None


def _ordered(snapshot: Snapshot, wanted: _Order) -> pl.DataFrame:
    """Photos with a picture, filtered and sorted."""
    import polars as pl

    photos = snapshot.photos.filter(pl.col("sha256").is_not_null() & (pl.col("status") == "ok"))
    if wanted.gender == "unknown":
        photos = photos.filter(pl.col("gender").is_null())
    elif wanted.gender is not None:
        photos = photos.filter(pl.col("gender") == wanted.gender)
    split = pl.col(f"split_{wanted.setup}")  # each setup is divided by itself
    if wanted.split is not None:
        photos = photos.filter(split == wanted.split)
    elif wanted.setup == "one_face":
        photos = photos.filter(split.is_not_null())
    if wanted.popular is not None:
        photos = photos.filter(pl.col("popular") == wanted.popular)
    if wanted.least:
        photos = photos.filter(pl.col("weight") >= wanted.least)
    if wanted.run_id is not None:
        said = snapshot.predictions(wanted.run_id)
        photos = photos.join(said, on="photo_id", how="inner" if wanted.by == "prediction" else "left")
    down = [wanted.order == "desc", False]
    return photos.sort([wanted.by, "photo_id"], descending=down, nulls_last=True)


@lru_cache(maxsize=8)
def _ids(held: vectors.VectorSet) -> frozenset[str]:
    return frozenset(held.ids())

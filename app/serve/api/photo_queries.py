"""Queries on photos: all details of one, labels and vectors of many, and pages of the sorted gallery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pl
from photogenic.app.serve.http.errors import ApiError, to_api_error
from photogenic.app.serve.http.photo_urls import no_photo
from photogenic.app.serve.snapshot import Snapshot
from photogenic.features.vectors import reader
from photogenic.warehouse import Layout, PhotogenicError

__all__ = ["gallery_page", "labels_and_vectors", "photo_details", "with_genders"]

_OWN = ("photo_id", "user_id", "gender", "width", "height", "status", "split_all", "split_one_face")
_SHOWN = ("photo_id", "user_id", "gender", "like_ratio", "weight", "percentile", "popular")


def photo_details(snapshot: Snapshot, photo_id: str) -> dict[str, Any]:
    """Return one photo with its label, like ratios, periods, faces, predictions and near duplicates.

    Raises:
        ApiError: There is no such photo.
    """
    photo = snapshot.photo(photo_id)
    if photo is None:
        raise no_photo(photo_id, snapshot.deleted_at(photo_id))
    known: dict[str, Any] = {name: photo[name] for name in _OWN} | {"label": snapshot.label(photo_id)}
    asked = {
        "like_ratios": (
            "select time_window, n_likes, n_swipes, like_ratio, ci_low, ci_high, smoothed_ratio from like_ratios"
            " where photo_id = $id order by time_window"
        ),
        "periods": "select valid_from, valid_to from photo_periods where photo_id = $id order by valid_from",
        "faces": "select x0, y0, x1, y1, confidence from faces where photo_id = $id order by face_no",
        "predictions": (
            "select run_id, target, metric, setup, encoder, head, predictions.split, prediction"
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
        known[name] = snapshot.query(query, {"id": photo_id}).to_dicts() if there else []
    return known


def labels_and_vectors(
    snapshot: Snapshot, layout: Layout, photo_ids: list[str], encoder: str | None, most: int
) -> tuple[list[dict[str, Any]], NDArray[np.float32] | None]:
    """Return labels and vectors of many photos, in the order of `photo_ids`.

    Args:
        snapshot: Snapshot with the labels.
        layout: Folders of the store with the vectors.
        photo_ids: Ids of the photos.
        encoder: Name of the encoder; None: labels only.
        most: Largest number of values in the vectors.

    Returns:
        Id, status, label and `embedding` of each photo, where `embedding` is a row of the vectors or None; and the
        vectors, float32 (n, dim), or None without an encoder.

    Raises:
        ApiError: The vectors have too many values, or the encoder has no vectors.
    """
    rows = snapshot.rows(photo_ids)
    known, found = rows >= 0, None
    places = [-1] * len(photo_ids)
    if encoder is not None:
        try:
            held = reader.open_vectors(layout, encoder)
        except PhotogenicError as error:
            raise to_api_error(error) from error
        positions = held.positions(photo_ids)
        there = known & (positions >= 0)
        n = int(there.sum())
        if n * held.dim > most:
            raise ApiError(
                "not_usable",
                f"{n} vectors of {held.dim} numbers are too many. Expected: at most {most // held.dim} photos",
                "send several requests",
            )
        found = held.at(positions[there])
        places = np.where(there, np.cumsum(there) - 1, -1).tolist()
    labels = iter(snapshot.labels(rows[known]))
    photos: list[dict[str, Any]] = []
    for photo_id, is_known, place in zip(photo_ids, known.tolist(), places, strict=True):
        status = "unknown_photo" if not is_known else "ok" if encoder is None or place >= 0 else "no_vector"
        its = next(labels) if is_known else None
        photos.append({"photo_id": photo_id, "status": status, "embedding": None if place < 0 else place, "label": its})
    return photos, found


def gallery_page(snapshot: Snapshot, params: dict[str, Any], run_id: str | None) -> dict[str, Any]:
    """Return one page of the photos that match the filters, and the number of all that match."""
    order = _GalleryOrder(run_id=run_id, **{name: params[name] for name in _GalleryOrder.__slots__ if name in params})
    ordered = snapshot.cached(order, lambda: _ordered(snapshot, order))
    shown = ordered.slice(params["offset"], params["limit"])
    columns = [*_SHOWN, "prediction"] if run_id is not None else list(_SHOWN)
    return {"n_photos": len(ordered), "photos": shown.select(columns).to_dicts()}


@dataclass(frozen=True, slots=True)
class _GalleryOrder:
    """Filters and order of a gallery request."""

    by: str
    order: str
    gender: str | None
    setup: str
    split: str | None
    popular: bool | None
    population: str
    least: int
    run_id: str | None


def _ordered(snapshot: Snapshot, wanted: _GalleryOrder) -> pl.DataFrame:
    """Return the photos that have a picture, filtered and sorted."""
    photos = snapshot.photos.filter(pl.col("sha256").is_not_null() & (pl.col("status") == "ok"))
    if wanted.population == "gender":
        photos = photos.with_columns(popular="gender_popular", percentile="gender_percentile")
    if wanted.gender == "unknown":
        photos = photos.filter(pl.col("gender").is_null())
    elif wanted.gender is not None:
        photos = photos.filter(pl.col("gender") == wanted.gender)
    split = pl.col(f"split_{wanted.setup}")  # each setup has its own split
    if wanted.split is not None:
        photos = photos.filter(split == wanted.split)
    elif wanted.setup == "one_face":
        photos = photos.filter(split.is_not_null())
    if wanted.popular is not None:
        photos = photos.filter(pl.col("popular") == wanted.popular)
    if wanted.least:
        photos = photos.filter(pl.col("weight") >= wanted.least)
    if wanted.run_id is not None:
        predictions = snapshot.predictions(wanted.run_id)
        photos = photos.join(predictions, on="photo_id", how="inner" if wanted.by == "prediction" else "left")
    down = [wanted.order == "desc", False]
    return photos.sort([wanted.by, "photo_id"], descending=down, nulls_last=True)


def with_genders(snapshot: Snapshot, photos: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the gender of the owner to photos that a search found."""
    genders = snapshot.photos["gender"][snapshot.rows([photo["photo_id"] for photo in photos])]
    return [photo | {"gender": gender} for photo, gender in zip(photos, genders, strict=True)]

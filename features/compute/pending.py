"""List the pending work of a build: photos that were never decoded, and missing vectors and features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from photogenic._lazy import pl
from photogenic.features.compute.preprocess import PhotoTask
from photogenic.features.faces.detections import stored_face
from photogenic.features.pictures.definition import PictureFeature
from photogenic.features.pictures.values import FeatureValues
from photogenic.features.pictures.work import feature_step
from photogenic.features.vectors.writer import VectorWriter

__all__ = ["missing", "sizes", "tasks", "with_faces"]


def missing(
    photos: pl.DataFrame,
    overview: pl.DataFrame,
    writers: Sequence[VectorWriter],
    features: Sequence[FeatureValues] = (),
    *,
    flip: bool,
    retry: bool = False,
) -> pl.DataFrame:
    """List photo bytes with pending work, in order of the first photo with these bytes.

    Args:
        photos: photo_id, sha256 of the photos with bytes.
        overview: overview of the detections.
        writers: vector writers of the encoders.
        features: stored values of the features.
        flip: whether to include mirror images.
        retry: whether to compute features again that failed.

    Returns:
        sha256; `detect` (whether to store its faces); a boolean column per encoder (NAME), its mirror (`NAME|flip`),
        and feature (`feature NAME`).
    """
    work = (
        photos.group_by("sha256")
        .agg(pl.col("photo_id").min())
        .join(overview.select("sha256", "status", "n_faces"), on="sha256", how="left")
        .with_columns(detect=pl.col("status").is_null())
        .sort("photo_id")
    )
    readable = pl.col("detect") | (pl.col("status") == "ok")
    columns = []
    for writer in writers:
        held = writer.stored()
        eligible = readable
        if writer.encoder.input == "face":
            eligible = readable & (pl.col("detect") | (pl.col("n_faces") == 1))
        for mirrored, name in enumerate(writer.columns[: 1 + flip]):
            have = held.filter(flip=bool(mirrored))["sha256"].unique()
            work = work.with_columns((eligible & ~pl.col("sha256").is_in(have.implode())).alias(name))
            columns.append(name)
    for values in features:
        name = feature_step(values.feature.name)
        have = values.computed(failed=not retry)
        work = work.with_columns((readable & ~pl.col("sha256").is_in(have.implode())).alias(name))
        columns.append(name)
    return work.filter(pl.any_horizontal("detect", *columns)).select("sha256", "detect", *columns)


def sizes(n: int, *, width: int, most: int, n_workers: int) -> Iterator[int]:
    """Yield batch sizes that sum to `n` and shrink towards the end, so that all workers finish at about the same time.

    Args:
        n: number of photos.
        width: batch size of the network, to which smaller batches are padded; all sizes but the last are multiples.
        most: largest batch size.
        n_workers: number of workers.
    """
    while n > 0:
        share = n // (2 * n_workers)
        size = min(max(share - share % width, width), most, n)
        yield size
        n -= size


def with_faces(work: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Add the stored faces of photos that are not looked at again. `stored`: sha256, faces."""
    return work.join(stored.select("sha256", "faces"), on="sha256", how="left", maintain_order="left")


def tasks(
    work: pl.DataFrame, sizes: Iterable[int], features: Sequence[PictureFeature] = ()
) -> Iterator[list[PhotoTask]]:
    """Group the rows of `missing` into batches of these sizes; `features` are those among the columns."""
    steps = {feature_step(feature.name): feature for feature in features}
    others = ("sha256", "detect", "faces", *steps)
    keys = [(name, *name.partition("|")[::2]) for name in work.columns if name not in others]
    start = 0
    for size in sizes:
        batch, start = work.slice(start, size), start + size
        yield [_task(row, keys, steps) for row in batch.iter_rows(named=True)]


def _task(
    row: Mapping[str, Any], keys: Sequence[tuple[str, str, str]], steps: Mapping[str, PictureFeature]
) -> PhotoTask:
    wanted = {(name, bool(flip)) for key, name, flip in keys if row[key]}
    chosen = [feature for step, feature in steps.items() if row[step]]
    wanted |= {(feature.name, False) for feature in chosen if feature.network is not None}
    faces = None if row["detect"] or row.get("faces") is None else tuple(stored_face(face) for face in row["faces"])
    by_pixels = frozenset(feature.name for feature in chosen if feature.network is None)
    return PhotoTask(row["sha256"], row["detect"], frozenset(wanted), by_pixels, faces)

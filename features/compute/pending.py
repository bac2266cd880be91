"""List the pending work of a build: photos that were never decoded, and missing vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from photogenic._lazy import pl
from photogenic.features.compute.preprocess import PhotoTask
from photogenic.features.vectors.writer import VectorWriter

__all__ = ["missing", "sizes", "tasks"]


def missing(
    photos: pl.DataFrame, overview: pl.DataFrame, writers: Sequence[VectorWriter], *, flip: bool
) -> pl.DataFrame:
    """List photo bytes with pending work, in order of the first photo with these bytes.

    Args:
        photos: photo_id, sha256 of the photos with bytes.
        overview: overview of the detections.
        writers: vector writers of the encoders.
        flip: whether to include mirror images.

    Returns:
        sha256; `detect` (whether to store its faces); a boolean column per encoder (NAME) and its mirror (`NAME|flip`).
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


def tasks(work: pl.DataFrame, sizes: Iterable[int]) -> Iterator[list[PhotoTask]]:
    """Group the rows of `missing` into batches of these sizes."""
    keys = [(name, *name.partition("|")[::2]) for name in work.columns if name not in ("sha256", "detect")]
    start = 0
    for size in sizes:
        batch, start = work.slice(start, size), start + size
        yield [
            PhotoTask(
                row["sha256"], row["detect"], frozenset((name, bool(flip)) for key, name, flip in keys if row[key])
            )
            for row in batch.iter_rows(named=True)
        ]

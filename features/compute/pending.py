"""What a build has to compute: photos whose bytes were never looked at, and vectors that are not there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from photogenic._lazy import pl
from photogenic.features.compute.preprocess import PhotoTask
from photogenic.features.vectors.writer import VectorWriter

__all__ = ["missing", "sizes", "tasks"]


def missing(
    photos: pl.DataFrame, overview: pl.DataFrame, writers: Sequence[VectorWriter], *, flip: bool
) -> pl.DataFrame:
    """One row per photo bytes with something to do, in order of the first photo that has them.

    Args:
        photos: photo_id, sha256 of the photos that have bytes.
        overview: of the detections.
        writers: the encoders' vectors.
        flip: mirror images as well.

    Returns:
        sha256; `look`; and a boolean column per encoder (its name) and per encoder's mirror (`NAME|flip`).
    """
    work = (
        photos.group_by("sha256")
        .agg(pl.col("photo_id").min())
        .join(overview.select("sha256", "status", "n_faces"), on="sha256", how="left")
        .with_columns(look=pl.col("status").is_null())
        .sort("photo_id")
    )
    readable = pl.col("look") | (pl.col("status") == "ok")
    columns = []
    for writer in writers:
        held = writer.stored()
        eligible = readable
        if writer.encoder.input == "face":
            eligible = readable & (pl.col("look") | (pl.col("n_faces") == 1))
        for mirrored, name in enumerate(writer.columns[: 1 + flip]):
            have = held.filter(flip=bool(mirrored))["sha256"].unique()
            work = work.with_columns((eligible & ~pl.col("sha256").is_in(have.implode())).alias(name))
            columns.append(name)
    return work.filter(pl.any_horizontal("look", *columns)).select("sha256", "look", *columns)


def sizes(n: int, *, width: int, most: int, n_workers: int) -> Iterator[int]:
    """Sizes of batches that hold `n` photos together and shrink to the end, so that all workers end at one time.

    Args:
        n: photos.
        width: of a network's pass, which a smaller batch would pad; all sizes but the last are multiples.
        most: of a batch.
        n_workers: that take one batch after the other.
    """
    while n > 0:
        share = n // (2 * n_workers)
        size = min(max(share - share % width, width), most, n)
        yield size
        n -= size


def tasks(work: pl.DataFrame, sizes: Iterable[int]) -> Iterator[list[PhotoTask]]:
    """The rows of `missing`, so many at a time."""
    keys = [(name, *name.partition("|")[::2]) for name in work.columns if name not in ("sha256", "look")]
    start = 0
    for size in sizes:
        batch, start = work.slice(start, size), start + size
        yield [
            PhotoTask(row["sha256"], row["look"], frozenset((name, bool(flip)) for key, name, flip in keys if row[key]))
            for row in batch.iter_rows(named=True)
        ]

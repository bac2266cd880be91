"""Count the photos of the store that have no vector of an encoder yet."""

from __future__ import annotations

from photogenic._lazy import pl
from photogenic.features.vectors.reader import Manifest
from photogenic.warehouse import Layout

__all__ = ["count_missing"]


def count_missing(layout: Layout, made: Manifest, photos: pl.DataFrame, n_faces: pl.DataFrame) -> int:
    """Count the photos that a build would compute vectors for.

    An encoder of faces has vectors of photos with exactly one face. A photo in which no face was looked for yet counts,
    because it may have one.

    Args:
        layout: paths of the store.
        made: manifest of the encoder.
        photos: photo_id, sha256, status of the photos with bytes.
        n_faces: photo_id, n of the photos with faces.
    """
    folder = layout.embeddings(made.encoder)
    parts = [folder / part.file for part in made.parts]
    missing = photos.filter(pl.col("status") == "ok")
    if parts:
        held = pl.scan_parquet(parts, glob=False).filter(~pl.col("flip")).select("photo_id", "sha256").collect()
        missing = missing.join(held, on=["photo_id", "sha256"], how="anti")
    if made.input == "face" and len(missing):
        detections = sorted(layout.faces.glob("*/*.parquet"))
        missing = missing.join(n_faces, on="photo_id", how="left")
        is_due = pl.col("n") == 1
        if detections:
            looked_at = pl.scan_parquet(detections, glob=False).select("sha256").unique().collect()["sha256"]
            is_due = is_due | ~pl.col("sha256").is_in(looked_at.implode())
        missing = missing.filter(is_due.fill_null(value=False))
    return len(missing)

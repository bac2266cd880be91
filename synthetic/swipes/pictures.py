"""Write the images of the synthetic world as JPEG files, a few of them damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photogenic.synthetic.portraits.portrait import draw_portrait, encode_jpeg
from photogenic.synthetic.swipes.people import People, Photos
from photogenic.warehouse.progress import Progress, no_progress

__all__ = ["DAMAGES", "count_damage", "picture_bytes", "plan_damage", "write_pictures"]

DAMAGES = ("ok", "missing", "truncated", "not_an_image", "empty")
"""Expected statuses of photos. The code of a status is its place in this tuple."""

_PAGE = b"<!doctype html><title>404</title><p>This picture is not here any more.</p>\n"


def plan_damage(n_photos: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Choose one photo in 300, at least one, for each kind of damage. Returns a code of `DAMAGES` per photo."""
    damage = np.zeros(n_photos, np.int8)
    each = max(1, n_photos // 300)
    hit = rng.choice(n_photos, size=min(n_photos, each * (len(DAMAGES) - 1)), replace=False)
    damage[hit] = 1 + np.arange(len(hit)) % (len(DAMAGES) - 1)
    return damage


def count_damage(damage: NDArray[np.int8]) -> dict[str, int]:
    """Count photos by expected status."""
    return dict(zip(DAMAGES, np.bincount(damage, minlength=len(DAMAGES)).tolist(), strict=True))


def picture_bytes(people: People, photos: Photos, row: int, *, size: int, damage: int = 0) -> bytes | None:
    """Return the file of one photo; None: it is missing."""
    kind = DAMAGES[damage]
    if kind in {"missing", "empty"}:
        return None if kind == "missing" else b""
    if kind == "not_an_image":
        return _PAGE
    original = int(photos.original[row])
    jpeg = encode_jpeg(draw_portrait(photos.shot(original, people), seed=original, size=size))
    return jpeg[: len(jpeg) * 2 // 3] if kind == "truncated" else jpeg


def write_pictures(
    folder: Path,
    people: People,
    photos: Photos,
    damage: NDArray[np.int8],
    names: list[str],
    *,
    size: int,
    progress: Progress = no_progress,
) -> None:
    """Draw every photo into `folder/NAME.jpg`."""
    folder.mkdir(parents=True, exist_ok=True)
    with progress.stage("drawing portraits", len(photos), "photos") as advance:
        for row, name in enumerate(names):
            jpeg = picture_bytes(people, photos, row, size=size, damage=int(damage[row]))
            if jpeg is not None:
                (folder / f"{name}.jpg").write_bytes(jpeg)
            advance(1)

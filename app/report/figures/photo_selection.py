"""Selection of the photos that a figure shows, from rows of `predictions_with_labels.sql`.

fig. 1        quantiles of the prediction; each row has photos with similar predictions
top, bottom   the photos with the highest and with the lowest prediction
figs. 2, 3    the photos with the highest log-loss of the gender of the owner

Source: Bogatyy & Tom, figs. 1 to 3; the university project on likability, its galleries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

__all__ = [
    "COLUMNS",
    "ROWS",
    "WORST",
    "Extremes",
    "Mistakes",
    "Quantile",
    "caption",
    "extremes",
    "in_lines",
    "mistakes",
    "quantiles",
    "query",
]

Photo = Mapping[str, Any]

ROWS, COLUMNS = 5, 7
TOP, MANY = 25, 100
WORST = 8


@dataclass(frozen=True, slots=True)
class Quantile:
    """One row of figure 1. `share`: share of test photos with a lower prediction than the middle of the row."""

    share: float
    low: float
    high: float
    photos: list[Photo]


@dataclass(frozen=True, slots=True)
class Extremes:
    """Highest predictions, highest first, and lowest, lowest first.

    Attributes:
        further: Photos after `top`, up to rank 100; empty if they would overlap with `bottom`.
    """

    n_photos: int
    top: list[Photo]
    further: list[Photo]
    bottom: list[Photo]


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Photos with the highest log-loss of gender, highest first. `n_wrong`: number of wrong predictions."""

    n_photos: int
    n_wrong: int
    photos: list[Photo]


def query(name: str) -> str:
    """Read a SQL file of this folder."""
    return files("photogenic.app.report.figures").joinpath(f"{name}.sql").read_text(encoding="utf-8")


def quantiles(ranked: Sequence[Photo]) -> list[Quantile]:
    """Select `ROWS` rows of consecutive photos in the order of predictions, without repeats.

    Args:
        ranked: Photos, highest prediction first. Photos without a file are left out.
    """
    shown = _with_bytes(ranked)
    wide = min(COLUMNS, len(shown) // ROWS)
    if not wide:
        return []
    found = []
    for row in range(ROWS):
        middle = (row + 0.5) / ROWS
        start = min(max(round(middle * len(shown) - wide / 2), row * wide), len(shown) - (ROWS - row) * wide)
        photos = shown[start : start + wide]
        said = [photo["prediction"] for photo in photos]
        found.append(Quantile(1 - middle, min(said), max(said), photos))
    return found


def extremes(ranked: Sequence[Photo]) -> Extremes:
    """Select both ends of the order, each with at most half of the photos."""
    shown = _with_bytes(ranked)
    n = min(TOP, len(shown) // 2)
    many = min(MANY, len(shown) - n)
    return Extremes(len(shown), shown[:n], shown[n:many] if n == TOP else [], shown[::-1][:n])


def mistakes(rows: Sequence[Photo]) -> Mistakes:
    """Select the `WORST` photos of a gender head, each with `loss` in nats and `wrong`."""
    losses = []
    for photo in rows:
        if photo["gender"] not in ("female", "male"):
            continue
        right = photo["prediction"] if photo["gender"] == "female" else 1 - photo["prediction"]
        loss = -math.log(min(max(right, 1e-7), 1.0))
        wrong = (photo["prediction"] >= 0.5) != (photo["gender"] == "female")
        losses.append({**photo, "loss": loss, "wrong": wrong})
    worst = sorted(_with_bytes(losses), key=lambda photo: (-photo["loss"], photo["photo_id"]))[:WORST]
    return Mistakes(len(losses), sum(photo["wrong"] for photo in losses), worst)


def caption(photo: Photo) -> list[str]:
    """Return the caption of a photo, two or three short lines."""
    gender = photo.get("gender") or "gender unknown"
    if "loss" in photo:
        verdict = "wrong" if photo["wrong"] else "right"
        return [gender, f"P(female) {photo['prediction']:.3f}", f"{verdict}, loss {photo['loss']:.2f}"]
    if photo.get("source") == "posts":
        liked = f"{photo['like_ratio']:.3f} likes/follower"
    else:
        liked = f"{photo['like_ratio']:.0%} liked".replace("%", " %")
    lines = [liked, gender]
    if photo.get("prediction") is not None:
        lines[0:0] = [f"predicted {photo['prediction']:.0%}".replace("%", " %")]
    return lines


def in_lines(shown: Sequence[Photo], wide: int = 10) -> list[tuple[str, list[Photo]]]:
    """Arrange photos in the lines of a sheet, without headings."""
    return [("", list(shown[at : at + wide])) for at in range(0, len(shown), wide)]


def _with_bytes(photos: Sequence[Photo]) -> list[Photo]:
    return [photo for photo in photos if photo["sha256"] is not None]

"""The features of a picture that come with the program."""

from __future__ import annotations

from photogenic.features.encoders.base import Encoder
from photogenic.features.pictures.definition import PictureFeature
from photogenic.features.pictures.photo_persons import PHOTO_PERSONS
from photogenic.features.pictures.photo_quality import PHOTO_QUALITY

__all__ = ["SHIPPED", "feature_network"]

SHIPPED: dict[str, PictureFeature] = {entry.name: entry for entry in (PHOTO_QUALITY, PHOTO_PERSONS)}
"""By name."""


def feature_network(name: str) -> Encoder | None:
    """The network of the feature of that name; None: no network computes it, or there is no such feature."""
    return SHIPPED[name].network if name in SHIPPED else None

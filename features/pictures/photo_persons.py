"""The feature `photo_persons`: persons in a photo, found by a detector of objects. It is computed when asked for."""

from __future__ import annotations

from photogenic.features.encoders.published import PERSONS
from photogenic.features.pictures.definition import PictureColumn, PictureFeature

__all__ = ["PHOTO_PERSONS"]

_COLUMNS = (
    ("n_persons", "bigint", "number of persons with a confidence of 0.5 or more"),
    ("person_share", "double", "share of the frame that their boxes cover together, 0 to 1"),
    ("confidence", "double", "highest confidence of a person, 0 to 1, also below 0.5"),
)

PHOTO_PERSONS = PictureFeature(
    name="photo_persons",
    input="photo",
    columns=tuple(PictureColumn(*column) for column in _COLUMNS),
    version=1,
    summary="the persons that a detector of objects finds in each photo.",
    function=None,
    code="",
    is_ours=True,
    network=PERSONS,
)

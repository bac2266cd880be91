"""What a feature of a picture is: a function of pixels, its columns, and the digest of its code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from photogenic.features.encoders.base import Encoder
    from photogenic.features.faces.detector import Face

__all__ = ["TYPES", "PhotoInfo", "PictureColumn", "PictureFeature"]

TYPES = ("double", "bigint", "boolean", "varchar")
"""Types of a column."""


@dataclass(frozen=True, slots=True)
class PictureColumn:
    """A column of the relation; `type` is one of `TYPES`."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class PhotoInfo:
    """What is known of a photo besides its pixels: the second argument of a function.

    Attributes:
        width: width of the upright original in pixels; the pixels may be reduced, both sides by the same factor.
        height: height of the upright original in pixels.
        faces: its faces by falling confidence, in coordinates of the pixels; for a feature of faces, the one face.
    """

    width: int
    height: int
    faces: tuple[Face, ...] = ()


@dataclass(frozen=True, slots=True)
class PictureFeature:
    """A feature of a picture.

    Attributes:
        name: name of the relation.
        input: `photo`, one row per photo, or `face`, one row per face with the pixels of its box.
        columns: columns besides those that every such relation has.
        version: number that the author raises where a change of the code does not show in its source.
        summary: what a row is, one line.
        function: the function; with `is_batch` it takes lists and returns a list. None: a network computes the values,
            or the function is called in another process.
        code: digest of the source of the function.
        home: name of the module of the function.
        takes_photo: whether the function takes a `PhotoInfo` too.
        is_batch: whether the function takes a list of pictures.
        is_ours: whether it comes with the program; the functions of others run in a process of their own.
        seconds: longest time for one picture.
        network: the network that computes the values; its vectors are the columns in their order.
    """

    name: str
    input: Literal["photo", "face"]
    columns: tuple[PictureColumn, ...]
    version: int
    summary: str
    function: Callable[..., Any] | None
    code: str
    home: str = ""
    takes_photo: bool = False
    is_batch: bool = False
    is_ours: bool = False
    seconds: float = 60.0
    network: Encoder | None = None

    @property
    def uses_faces(self) -> bool:
        """Whether the values depend on the faces found."""
        return self.input == "face" or self.takes_photo

    @property
    def types(self) -> Mapping[str, str]:
        """Column -> type."""
        return {column.name: column.type for column in self.columns}

    def digest(self, faces: str) -> str:
        """16 hex digits that identify everything that decides a value besides the picture.

        Args:
            faces: digest of the face detector and of the least confidence of a face; it counts where faces do.
        """
        made = self.network.digest() if self.network is not None else self.code
        parts = (self.name, self.input, tuple(self.types.items()), self.version, self.is_batch, made)
        text = repr((*parts, faces if self.uses_faces else ""))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

"""Photos of a report: each is read from the store once, and shown as a card with a caption."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from photogenic._lazy import Image
from photogenic.app.report.figures import contact_sheets, photo_selection
from photogenic.warehouse import Layout

__all__ = ["Album", "Mosaic"]

_CELL = 48
"""Side of a picture on a map, in pixels."""


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Many small pictures in one: `base64` is a JPEG for the page, `png` a file for the folder."""

    base64: str
    png: bytes


class Album:
    """Small pictures of the photos of a store, cached by digest."""

    CROWD = (26, 16)
    """Columns and rows of the grid of a photo map."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._squares: dict[str, Image.Image | None] = {}
        self._jpegs: dict[str, str] = {}

    def cards(self, shown: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return each photo with JPEG and caption; photos without a readable file are left out."""
        found = []
        for photo in shown:
            square = self._square(photo["sha256"])
            if square is not None:
                if photo["sha256"] not in self._jpegs:
                    self._jpegs[photo["sha256"]] = base64.b64encode(contact_sheets.jpeg(square)).decode()
                jpeg = self._jpegs[photo["sha256"]]
                found.append({"photo_id": photo["photo_id"], "jpeg": jpeg, "says": _caption(photo)})
        return found

    def sheet(self, title: str, lines: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> bytes:
        """Return a PNG with rows of (heading, photos)."""
        made = []
        for heading, shown in lines:
            pairs = [(square, _caption(p)) for p in shown if (square := self._square(p["sha256"])) is not None]
            if pairs:
                made.append(contact_sheets.Line(heading, pairs))
        return contact_sheets.sheet(title, made)

    def mosaic(self, cells: Sequence[tuple[Mapping[str, Any], int, int]]) -> Mosaic:
        """Return photos on the grid `CROWD`, given as (photo, column, row)."""
        pictures = [
            (contact_sheets.square(self._layout.photo(p["sha256"]), _CELL), column, row) for p, column, row in cells
        ]
        there = [(picture, column, row) for picture, column, row in pictures if picture is not None]
        page = contact_sheets.mosaic(there, *self.CROWD, _CELL)
        buffer = io.BytesIO()
        page.save(buffer, "PNG")
        return Mosaic(base64.b64encode(contact_sheets.jpeg(page, 72)).decode(), buffer.getvalue())

    def _square(self, sha256: str | None) -> Image.Image | None:
        if sha256 is None:
            return None
        if sha256 not in self._squares:
            self._squares[sha256] = contact_sheets.square(self._layout.photo(sha256))
        return self._squares[sha256]


def _caption(photo: Mapping[str, Any]) -> list[str]:
    """Return the lines that a photo brings with it as `says`, else those of its label and prediction."""
    return list(photo["says"]) if "says" in photo else photo_selection.caption(photo)

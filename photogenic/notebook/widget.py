"""A widget for notebooks that scrolls through the photos of a frame, and gives back those that were selected.

The frame stays in Python. The page asks for the rows that it shows, some dozens at a time, and gets their thumbnails.
widget.js and widget.css are all that the browser loads; nothing comes from a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from photogenic._lazy import pl
from photogenic.notebook.pictures import PhotoStore, frame_of, id_columns, pictures_of
from photogenic.warehouse.errors import InputError, MissingPartError

try:
    import anywidget
    import traitlets
except ModuleNotFoundError as error:
    raise MissingPartError(
        "The widget needs the package anywidget.", "the extra notebook", "pip install 'photogenic[notebook]'"
    ) from error

__all__ = ["PhotoBrowser", "browse"]

_HERE = Path(__file__).parent
_MOST_ROWS = 120
"""Rows of one answer."""

_LONGEST = 200


def browse(store: PhotoStore, frame: Any, *, captions: str | Sequence[str] | None = None) -> PhotoBrowser:
    """Return a widget that shows the photos of a frame in its order.

    Args:
        store: the store of the photos.
        frame: a frame of polars, pandas or Arrow with a column `photo_id`.
        captions: columns whose values are written below the photos. None: the first two other columns.

    Raises:
        InputError: it is no frame, or has no such column.
    """
    found = frame_of(frame)
    ids = id_columns(found)
    if not ids:
        raise InputError(
            f"The frame has no column of photo ids: it has {', '.join(found.columns[:20]) or 'no columns'}.",
            "a column photo_id of texts",
            "store.sql('select photo_id, value from photo_labels')",
        )
    if captions is None:
        captions = [name for name in found.columns if name not in ids and not found.schema[name].is_nested()][:2]
    captions = [captions] if isinstance(captions, str) else list(captions)
    if wrong := [name for name in captions if name not in found.columns]:
        raise InputError(f"The frame has no column {wrong[0]}.", f"some of {', '.join(found.columns)}", "")
    return PhotoBrowser(store, found, ids[0], captions)


class PhotoBrowser(anywidget.AnyWidget):
    """Photos of a frame, to scroll and select.

    Attributes:
        frame: the frame.
        selected: numbers of the selected rows, from 0, in their order.
        selection: the selected rows, as a frame.
    """

    _esm = _HERE / "widget.js"
    _css = _HERE / "widget.css"
    n_rows = traitlets.Int(0).tag(sync=True)
    selected = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(self, store: PhotoStore, frame: pl.DataFrame, ids: str, captions: Sequence[str]) -> None:
        self.frame, self._store, self._ids, self._captions = frame, store, ids, tuple(captions)
        super().__init__(n_rows=frame.height)
        self.on_msg(self._answer)

    def __repr__(self) -> str:
        return f"PhotoBrowser of {self.frame.height:,} photos, {len(self.selected):,} selected"

    @property
    def selection(self) -> pl.DataFrame:
        """The selected rows, in the order of the frame."""
        return self.frame[self.selected]

    def select(self, rows: Iterable[int]) -> None:
        """Select rows by their numbers, instead of those that are selected now."""
        self.selected = list(rows)

    @traitlets.validate("selected")
    def _sound(self, proposal: dict[str, Any]) -> list[int]:
        """Keep each number of a row once, in order; the numbers come from a browser."""
        return sorted({row for row in proposal["value"] if 0 <= row < self.frame.height})

    def _answer(self, _: object, content: object, buffers: object) -> None:
        """Send the rows that the page asks for: `{"kind": "rows", "from": 0, "to": 60}`."""
        del buffers
        if not isinstance(content, dict) or content.get("kind") != "rows":
            return
        first, last = content.get("from"), content.get("to")
        if not isinstance(first, int) or not isinstance(last, int) or isinstance(first, bool) or first < 0:
            return
        rows = self.frame[first : min(last, first + _MOST_ROWS)] if last > first else self.frame[:0]
        pictures = pictures_of(self._store, rows[self._ids].to_list())
        found, jpegs = list[dict[str, Any]](), list[bytes]()
        for row in rows.iter_rows(named=True):
            photo_id = row[self._ids]
            picture = pictures.get(photo_id)
            about: dict[str, Any] = {
                "photo_id": None if photo_id is None else _short(photo_id),
                "captions": [f"{_short(name)} {_text(row[name])}" for name in self._captions],
                "absent": "no photo" if picture is None else picture.absent,
                "picture": None,
            }
            if picture is not None and picture.jpeg is not None:
                about["picture"] = len(jpegs)
                jpegs.append(picture.jpeg)
            found.append(about)
        self.send({"kind": "rows", "from": first, "rows": found}, jpegs)


def _text(value: object) -> str:
    return "null" if value is None else f"{value:,.4g}" if isinstance(value, float) else _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"

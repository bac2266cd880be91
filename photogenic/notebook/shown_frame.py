"""A frame as a table of HTML with thumbnails. Every text in it is escaped: ids and values come from strangers."""

from __future__ import annotations

import base64
import html
from typing import Any

from photogenic._lazy import pl
from photogenic.notebook.pictures import PhotoStore, Picture, frame_of, id_columns, pictures_of
from photogenic.warehouse.errors import InputError

__all__ = ["ShownFrame", "show"]

ROWS, MOST_ROWS = 20, 500
_MOST_COLUMNS = 40
_LONGEST = 120
"""Characters of a value."""

_MOST_BYTES = 4_000_000
"""Bytes of the pictures of one table; the notebook file keeps them."""

_STYLE = """
<style>
.photogenic-frame table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.photogenic-frame th, .photogenic-frame td { padding: 4px 10px; text-align: left; vertical-align: middle;
  border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent);
  max-width: 24em; overflow-wrap: anywhere; }
.photogenic-frame td.n { text-align: right; }
.photogenic-frame img { width: 96px; height: 96px; object-fit: cover; border-radius: 4px; display: block; }
.photogenic-frame .absent, .photogenic-frame .type, .photogenic-frame .null { opacity: .65; font-size: .9em; }
.photogenic-frame caption { caption-side: bottom; text-align: left; padding-top: 6px; opacity: .8; }
</style>
"""


def show(store: PhotoStore, frame: Any, *, rows: int = ROWS) -> ShownFrame:
    """Return a frame that a notebook shows as a table with the thumbnails of its photos.

    Args:
        store: the store of the photos.
        frame: a frame of polars, pandas or Arrow with a column `photo_id`.
        rows: number of rows to show.

    Raises:
        InputError: it is no frame, it has no column of photo ids, or too many rows are asked for.
    """
    if not 0 <= rows <= MOST_ROWS:
        raise InputError(f"rows is {rows}.", f"a number from 0 to {MOST_ROWS}", "notebook.browse(store, frame)")
    found = frame_of(frame)
    if not id_columns(found):
        raise InputError(
            f"The frame has no column of photo ids: it has {', '.join(found.columns[:20]) or 'no columns'}.",
            "a column photo_id of texts",
            "store.sql('select photo_id, value from photo_labels')",
        )
    return ShownFrame(store, found, rows)


class ShownFrame:
    """A frame with thumbnails, for the last line of a cell.

    Attributes:
        frame: the frame itself.
    """

    def __init__(self, store: PhotoStore, frame: pl.DataFrame, rows: int) -> None:
        self._store, self.frame, self._rows = store, frame, rows

    def __repr__(self) -> str:
        return repr(self.frame)

    def _repr_html_(self) -> str:
        """Return the table; IPython calls it."""
        shown = self.frame.head(self._rows)[:, :_MOST_COLUMNS]
        ids = id_columns(shown)
        pictures = pictures_of(self._store, [one for name in ids for one in shown[name]])
        left = _MOST_BYTES
        cells = []
        for row in shown.iter_rows(named=True):
            line = []
            for name in shown.columns:
                text = _cell(row[name])
                if name in ids and row[name] is not None:
                    picture = pictures[row[name]]
                    size = len(picture.jpeg or b"")
                    if size > left:
                        picture = Picture(None, f"no room: the pictures above have {_MOST_BYTES // 10**6} MB")
                    left -= size if picture.jpeg is not None else 0
                    text = _picture(picture, row[name]) + text
                is_number = isinstance(row[name], int | float) and not isinstance(row[name], bool)
                line.append(f'<td class="n">{text}</td>' if is_number else f"<td>{text}</td>")
            cells.append(f"<tr>{''.join(line)}</tr>")
        heads = "".join(
            f'<th scope="col">{html.escape(_short(name))}<div class="type">{html.escape(_short(str(kind)))}</div></th>'
            for name, kind in shown.schema.items()
        )
        return (
            f'{_STYLE}<div class="photogenic-frame"><table><caption>{self._caption(shown)}</caption>'
            f"<thead><tr>{heads}</tr></thead><tbody>{''.join(cells)}</tbody></table></div>"
        )

    def _caption(self, shown: pl.DataFrame) -> str:
        n, width = self.frame.height, self.frame.width
        said = f"{n:,} {'row' if n == 1 else 'rows'}"
        if shown.height < n:
            said += f", of which the first {shown.height:,} are shown; store.browse(frame) scrolls through all"
        if shown.width < width:
            said += f"; {shown.width} of {width} columns are shown"
        return said


def _picture(picture: Picture, photo_id: str) -> str:
    if picture.jpeg is None:
        return f'<span class="absent">{html.escape(picture.absent)}</span><br>'
    data = base64.b64encode(picture.jpeg).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="photo {html.escape(_short(photo_id))}">'


def _cell(value: object) -> str:
    if value is None:
        return '<span class="null">null</span>'
    if isinstance(value, float):
        return html.escape(f"{value:,.6g}")
    if isinstance(value, pl.Series | list):
        items = [f"{item:.4g}" if isinstance(item, float) else str(item) for item in list(value[:4])]
        more = f", … {len(value):,} values" if len(value) > 4 else ""
        return html.escape(_short(f"[{', '.join(items)}{more}]"))
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    return html.escape(_short(str(value)))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"

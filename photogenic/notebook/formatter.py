"""Show every frame with photo ids with thumbnails, in the running notebook, until it is switched off."""

from __future__ import annotations

import sys
from typing import Any

from photogenic._lazy import pl
from photogenic.notebook.pictures import PhotoStore, id_columns
from photogenic.notebook.shown_frame import ROWS, show
from photogenic.warehouse.errors import InputError, PhotogenicError

__all__ = ["disable", "enable"]


def enable(store: PhotoStore, *, rows: int = ROWS) -> None:
    """Show every polars frame that has a column `photo_id` with thumbnails. Other frames stay as they are.

    Args:
        store: the store of the photos.
        rows: number of rows to show.

    Raises:
        InputError: no IPython runs here.
    """

    def formatted(frame: pl.DataFrame) -> str:
        if not id_columns(frame):
            return str(frame._repr_html_())
        try:
            return show(store, frame, rows=rows)._repr_html_()
        except PhotogenicError:  # a store that was closed or removed takes no frame from the reader
            return str(frame._repr_html_())

    _html_formatter().for_type(pl.DataFrame, formatted)


def disable() -> None:
    """Show polars frames as polars does again.

    Raises:
        InputError: no IPython runs here.
    """
    formatter = _html_formatter()
    if pl.DataFrame in formatter.type_printers:
        formatter.pop(pl.DataFrame)


def _html_formatter() -> Any:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None:
        raise InputError("No IPython runs here.", "a notebook", "notebook.show(store, frame)")
    return shell.display_formatter.formatters["text/html"]

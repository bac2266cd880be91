"""Notebooks: frames with thumbnails, a widget for browsing and selecting photos, and progress bars.

from photogenic import notebook

notebook.show(store, frame)      a table with thumbnails
notebook.enable(store)           every polars frame that has a column photo_id is shown so
notebook.browse(store, frame)    a widget to scroll and select; needs the extra `notebook`
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photogenic.notebook.formatter import disable, enable
    from photogenic.notebook.shown_frame import ShownFrame, show
    from photogenic.notebook.widget import PhotoBrowser, browse

__all__ = ["PhotoBrowser", "ShownFrame", "browse", "disable", "enable", "show"]

_HOMES = {"disable": "formatter", "enable": "formatter", "ShownFrame": "shown_frame", "show": "shown_frame"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"photogenic.notebook.{_HOMES.get(name, 'widget')}"), name)

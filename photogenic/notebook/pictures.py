"""The pictures of the photos in a frame, as the thumbnails that the server shows too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from photogenic._lazy import pa, pl
from photogenic.features.images.thumbnails import read_or_make
from photogenic.warehouse import Store
from photogenic.warehouse.errors import InputError

__all__ = ["PhotoStore", "Picture", "frame_of", "id_columns", "pictures_of"]


class PhotoStore(Protocol):
    """What is needed of a `FeatureStore`."""

    store: Store

    def sql(self, query: str, *, frames: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the result of one SELECT."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What there is to see of a photo.

    Attributes:
        jpeg: the thumbnail; None: there is none.
        absent: why there is none.
    """

    jpeg: bytes | None
    absent: str = ""


def frame_of(given: Any) -> pl.DataFrame:
    """Return a frame of polars, pandas or Arrow as one of polars.

    Raises:
        InputError: it is no frame.
    """
    if isinstance(given, pl.DataFrame):
        return given
    try:
        if type(given).__module__.partition(".")[0] == "pandas":
            given = pa.Table.from_pandas(given, preserve_index=False)
        if hasattr(given, "__arrow_c_stream__"):
            return pl.DataFrame(given)
    except (pa.ArrowException, pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise InputError(f"The frame cannot be read: {error}", "a frame of polars, pandas or Arrow", "") from error
    raise InputError(
        f"A {type(given).__name__} cannot be shown.", "a frame of polars, pandas or Arrow", "store.sql('from photos')"
    )


def id_columns(frame: pl.DataFrame) -> list[str]:
    """Return the columns of texts with ids of photos, by their names: `photo_id`, `photo_id_1`, `near_photo_id`."""
    return [name for name, kind in frame.schema.items() if "photo_id" in name.lower() and kind == pl.String]


def pictures_of(store: PhotoStore, photo_ids: Sequence[str | None]) -> dict[str, Picture]:
    """Return the picture of each photo by its id. Thumbnails that are not there yet are made.

    Raises:
        StoreError: there is no store.
    """
    ids = pl.DataFrame({"photo_id": list(dict.fromkeys(one for one in photo_ids if one is not None))})
    ids = ids.cast(pl.String)
    found = store.sql(
        "select photo_id, photos.sha256, photos.status from asked inner join photos using (photo_id)",
        frames={"asked": ids},
    )
    pictures = dict.fromkeys(ids["photo_id"], Picture(None, "no photo of this store"))
    for photo_id, sha256, status in found.iter_rows():
        if sha256 is None or status not in (None, "ok"):
            pictures[photo_id] = Picture(None, f"no picture: {status or 'not fetched'}")
            continue
        jpeg, _ = read_or_make(store.store.layout, sha256, "thumb")
        pictures[photo_id] = Picture(jpeg, "" if jpeg is not None else "no picture: missing or damaged")
    return pictures

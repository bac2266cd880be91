"""Addresses of photos: the id is the last part of the path, or `?photo_id=` for the ids `.` and `..`."""

from __future__ import annotations

import datetime as dt
from urllib.parse import quote

from aiohttp import web

from photogenic.app.serve.http.errors import ApiError

__all__ = ["PHOTO", "address", "no_photo", "photo_id"]

PHOTO = (r"{photo_id:[\s\S]+}", "")
"""Ends of the routes of one photo. An id may contain any character, including line breaks and slashes."""


def address(photo_id: str) -> str:
    """Return the part of an address after `/photos/`. Browsers resolve `.` and `..` as folders even if encoded."""
    return f"?photo_id={photo_id}" if photo_id in (".", "..") else quote(photo_id, safe="")


def photo_id(request: web.Request) -> str:
    """Return the photo id in the address of a request.

    Raises:
        ApiError: The address has no photo id.
    """
    named = request.match_info.get("photo_id") or request.query.get("photo_id")
    if not named:
        raise ApiError("not_found", "The address has no photo id.", "/photos/PHOTO_ID")
    return named


def no_photo(photo_id: str, deleted_at: dt.datetime | None = None) -> ApiError:
    """Make the error for a photo that is not in the store, or was deleted."""
    if deleted_at is not None:
        message = f"Photo {photo_id[:200]!r} was deleted at {deleted_at:%Y-%m-%dT%H:%M:%SZ}."
        return ApiError("not_found", message, 'features sql "from deleted_photos limit 10"')
    message = f"There is no photo {photo_id[:200]!r}."
    return ApiError("not_found", message, 'features sql "select photo_id from photos limit 10"')

"""The address of a photo: its id as the last part of a path, or where no path can end so, as `?photo_id=`."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from photogenic.app.serve.http.errors import ApiError

__all__ = ["PHOTO", "address", "photo_id"]

PHOTO = (r"{photo_id:[\s\S]+}", "")
"""Ends of routes that lead to one photo. An id may hold anything, line breaks and slashes too."""


def address(photo_id: str) -> str:
    """What comes after `/photos/`. Browsers take `.` and `..` for folders, however they are written."""
    return f"?photo_id={photo_id}" if photo_id in (".", "..") else quote(photo_id, safe="")


def photo_id(request: web.Request) -> str:
    """The photo that a request is about.

    Raises:
        ApiError: none is named.
    """
    named = request.match_info.get("photo_id") or request.query.get("photo_id")
    if not named:
        raise ApiError("not_found", "No photo is named.", "/photos/PHOTO_ID")
    return named

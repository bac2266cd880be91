"""What went wrong, as an answer: a status, and one JSON shape of code, message and remedy."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import orjson
from aiohttp import web

from photogenic.features.encoders import weights
from photogenic.warehouse import (
    EncoderError,
    InputError,
    LockedError,
    PhotogenicError,
    QueryError,
    StoreError,
    WeightsError,
)
from photogenic.warehouse.processes import launch

__all__ = ["CODES", "ApiError", "error_response", "hide", "translated"]

CODES: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request is not as described."),
    "query_refused": (400, "The database refused the query."),
    "unauthorized": (401, "A token is needed."),
    "foreign_origin": (403, "The request comes from another site."),
    "not_found": (404, "There is no such thing."),
    "method_not_allowed": (405, "The address takes another method."),
    "too_slow": (408, "The request took too long to arrive."),
    "too_large": (413, "The request has too many bytes."),
    "unknown_expectation": (417, "The request expects what nobody knows here."),
    "unsupported_type": (415, "The request is in another form than described."),
    "wrong_host": (421, "The request is meant for another host."),
    "not_usable": (422, "What was sent cannot be used."),
    "time_limit": (422, "The query took too long, and was ended."),
    "memory_limit": (422, "The query took too much memory, and was ended."),
    "busy": (429, "Too many queries at once."),
    "internal": (500, "A fault of ours."),
    "not_ready": (409, "The store lacks what is needed."),
}
"""code -> status and meaning; the whole vocabulary."""


class ApiError(Exception):
    """An answer that is no success.

    Args:
        code: one of `CODES`.
        message: what happened, and what was expected.
        remedy: what to do now.
        headers: further ones.
    """

    def __init__(self, code: str, message: str, remedy: str = "", headers: Mapping[str, str] | None = None) -> None:
        # A header's bytes need not be UTF-8; what is told must be.
        message = message.encode("utf-8", "backslashreplace").decode()
        self.code, self.message, self.remedy, self.headers = code, message, remedy, headers
        super().__init__(code, message, remedy)

    @property
    def status(self) -> int:
        return CODES[self.code][0]


def translated(error: PhotogenicError, missing: str = "not_ready") -> ApiError:
    """An error of the rooms below as an answer."""
    if isinstance(error, QueryError):
        code = "memory_limit" if error.expected == "an answer that fits the memory limit" else "query_refused"
    elif isinstance(error, InputError):
        code = "not_usable"
    elif isinstance(error, (StoreError, LockedError, EncoderError, WeightsError)):
        code = missing
    else:
        code = "internal"
    message = error.what + (f" Expected: {error.expected}" if error.expected else "")
    return ApiError(code, _without_folders(message), _without_folders(error.remedy))


_hidden: set[str] = set()


def hide(*folders: str) -> None:
    """From here on no error tells where these folders are."""
    _hidden.update(folders)


@functools.cache
def _always_hidden() -> frozenset[str]:
    """Folders of this machine that messages of the rooms below name."""
    named = [weights.cache(), Path(os.environ.get("FEATURES_WEIGHTS") or weights.cache()).absolute()]
    return frozenset(map(str, [*named, Path.home(), Path(sys.prefix), Path(tempfile.gettempdir()), Path(launch.HOME)]))


def _without_folders(text: str) -> str:
    for folder in sorted((_hidden | _always_hidden()) - {"/"}, key=len, reverse=True):
        text = text.replace(folder, folder.rpartition("/")[2] if folder in _hidden else "...")
    return text


def error_response(error: ApiError) -> web.Response:
    """In JSON."""
    body = orjson.dumps({"code": error.code, "message": error.message, "remedy": error.remedy})
    return web.Response(body=body, status=error.status, content_type="application/json", headers=error.headers)

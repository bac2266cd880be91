"""Errors of the API: an HTTP status, and a JSON object with code, message and remedy."""

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
    MissingPartError,
    PhotogenicError,
    QueryError,
    QueryMemoryError,
    StoreError,
    WeightsError,
)
from photogenic.warehouse.processes import launch

__all__ = ["CODES", "ApiError", "error_response", "hide_folders", "to_api_error"]

CODES: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request does not match its description."),
    "query_refused": (400, "The database refused the query."),
    "unauthorized": (401, "A token is needed."),
    "foreign_origin": (403, "The request comes from another site."),
    "not_found": (404, "The resource does not exist."),
    "method_not_allowed": (405, "The address does not support this method."),
    "too_slow": (408, "The request took too long to arrive."),
    "too_large": (413, "The request has too many bytes."),
    "unknown_expectation": (417, "The server does not support the Expect header of the request."),
    "unsupported_type": (415, "The content type of the request is not supported."),
    "wrong_host": (421, "The request is meant for another host."),
    "not_usable": (422, "The values of the request cannot be used."),
    "time_limit": (422, "The query exceeded the time limit and was stopped."),
    "memory_limit": (422, "The query exceeded the memory limit and was stopped."),
    "busy": (429, "Too many queries are waiting."),
    "internal": (500, "The server failed."),
    "not_ready": (409, "The store lacks data that the request needs."),
}
"""Code -> HTTP status and meaning, for all codes of the API."""


class ApiError(Exception):
    """An error that the server answers with.

    Args:
        code: One of `CODES`.
        message: What happened, and what was expected.
        remedy: What to do.
        headers: Additional response headers.
    """

    def __init__(self, code: str, message: str, remedy: str = "", headers: Mapping[str, str] | None = None) -> None:
        # The bytes of a request header need not be UTF-8, but the bytes of the answer must be.
        message = message.encode("utf-8", "backslashreplace").decode()
        self.code, self.message, self.remedy, self.headers = code, message, remedy, headers
        super().__init__(code, message, remedy)

    @property
    def status(self) -> int:
        return CODES[self.code][0]


def to_api_error(error: PhotogenicError) -> ApiError:
    """Convert an error of the packages below to an error of the API."""
    if isinstance(error, QueryMemoryError):
        code = "memory_limit"
    elif isinstance(error, QueryError):
        code = "query_refused"
    elif isinstance(error, InputError):
        code = "not_usable"
    elif isinstance(error, (StoreError, LockedError, EncoderError, WeightsError, MissingPartError)):
        code = "not_ready"
    else:
        code = "internal"
    message = error.what + (f" Expected: {error.expected}" if error.expected else "")
    return ApiError(code, _without_folders(message), _without_folders(error.remedy))


_hidden: set[str] = set()


def hide_folders(*folders: str) -> None:
    """Remove the paths of these folders from all later error messages."""
    _hidden.update(folders)


@functools.cache
def _always_hidden() -> frozenset[str]:
    """Return folders of this machine that error messages can contain."""
    named = [weights.cache(), Path(os.environ.get("FEATURES_WEIGHTS") or weights.cache()).absolute()]
    return frozenset(map(str, [*named, Path.home(), Path(sys.prefix), Path(tempfile.gettempdir()), Path(launch.HOME)]))


def _without_folders(text: str) -> str:
    for folder in sorted((_hidden | _always_hidden()) - {"/"}, key=len, reverse=True):
        text = text.replace(folder, folder.rpartition("/")[2] if folder in _hidden else "...")
    return text


def error_response(error: ApiError) -> web.Response:
    """Return an error as a JSON response."""
    body = orjson.dumps({"code": error.code, "message": error.message, "remedy": error.remedy})
    return web.Response(body=body, status=error.status, content_type="application/json", headers=error.headers)

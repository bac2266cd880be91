"""Uploaded pictures: read in pieces, checked by their content, and never stored.

The networks read files. A picture is therefore copied to an in-memory file (memfd_create) that is closed at the end of
the `with` block.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiDict

from photogenic.app.serve.http.errors import ApiError
from photogenic.app.serve.http.limits import Limits
from photogenic.ingest.images.image_header import inspect_bytes

__all__ = ["Upload", "as_memory_files", "read_body", "read_form", "within_time_limit"]

_PIECE = 1 << 16
_FIELDS = 96
"""Fields of a form besides its pictures."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One picture.

    Attributes:
        name: File name that the client sent. It is only shown, never opened.
        data: Bytes of the file.
        status: Status as in `photos.status`; only `ok` is decoded.
        detail: Detail of the status.
    """

    name: str
    data: bytes
    status: str
    detail: str


async def read_form(
    request: web.Request, field: str, limits: Limits, *, most: int, repeated: tuple[str, ...] = ()
) -> tuple[list[Upload], MultiDict[str]]:
    """Read the pictures of a multipart request and its other fields.

    Args:
        request: The request.
        field: Name of the field of a picture.
        limits: Limits of the server.
        most: Largest number of pictures.
        repeated: Names of fields that may be sent several times.

    Raises:
        ApiError: There are too many pictures or none, one is too large, or the request is not a multipart form.
    """
    if request.content_type != "multipart/form-data":
        raise ApiError(
            "unsupported_type",
            f"The request is {request.content_type}. Expected: multipart/form-data",
            f"curl -F {field}=@portrait.jpg",
        )
    pictures: list[Upload] = []
    fields: MultiDict[str] = MultiDict()
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise ApiError("bad_request", "A part of the form has no name.", f"name it {field}")
            if part.name == field:
                if len(pictures) == most:
                    raise ApiError(
                        "bad_request", f"There are more than {most} pictures.", "send them in several requests"
                    )
                pictures.append(
                    _check_upload(part.filename or "picture", await _read(part, limits.upload_bytes), limits)
                )
            elif (part.name in fields and part.name not in repeated) or len(fields) >= _FIELDS:
                raise ApiError(
                    "bad_request", f"The field {part.name[:80]!r} is repeated, or the form has too many fields.", ""
                )
            else:
                fields.add(part.name, (await _read(part, 20_000)).decode("utf-8", "strict"))
    except (HttpProcessingError, ValueError, AssertionError, LookupError) as error:
        raise ApiError("bad_request", f"The form cannot be read: {error}", f"curl -F {field}=@portrait.jpg") from error
    if not pictures:
        raise ApiError("bad_request", f"The form has no field {field!r}.", f"curl -F {field}=@portrait.jpg")
    return pictures, fields


async def read_body(request: web.Request, limits: Limits, most: int) -> bytes:
    """Read the body of a request.

    Raises:
        ApiError: The body has more than `most` bytes, or does not arrive in time.
    """
    data = bytearray()
    async with within_time_limit(limits):
        async for piece in request.content.iter_chunked(_PIECE):
            data += piece
            if len(data) > most:
                raise ApiError("too_large", f"The request has more than {most:,} bytes.", "send several requests")
    return bytes(data)


@contextlib.asynccontextmanager
async def within_time_limit(limits: Limits) -> AsyncIterator[None]:
    """Limit the time for reading a request.

    Raises:
        ApiError: The request does not arrive in time.
    """
    try:
        async with asyncio.timeout(limits.body_s):
            yield
    except TimeoutError:
        raise ApiError(
            "too_slow",
            f"The request did not arrive within {limits.body_s:g} s.",
            "send it again over a faster connection",
        ) from None


async def _read(part: BodyPartReader, most: int) -> bytes:
    data = bytearray()
    while piece := await part.read_chunk(_PIECE):
        data += piece
        if len(data) > most:
            raise ApiError("too_large", f"{part.name} has more than {most:,} bytes.", "send something smaller")
    return bytes(data)


def _check_upload(name: str, data: bytes, limits: Limits) -> Upload:
    header = inspect_bytes(data, max_pixels=limits.upload_pixels)
    plain = Path(name).name[:200].encode("utf-8", "replace").decode()
    return Upload(plain, data, header.status, header.detail)


@contextlib.contextmanager
def as_memory_files(pictures: Sequence[Upload]) -> Iterator[list[Path]]:
    """Yield the paths of in-memory files with the pictures."""
    held: list[int] = []
    try:
        for picture in pictures:
            fd = os.memfd_create("picture", os.MFD_CLOEXEC)
            held.append(fd)
            view = memoryview(picture.data)
            while view:
                view = view[os.write(fd, view) :]
        yield [Path(f"/proc/self/fd/{fd}") for fd in held]
    finally:
        for fd in held:
            os.close(fd)

"""Pictures that came with a request: read piece by piece, judged by their own bytes, never stored.

The networks read files, so a picture becomes one that exists in memory alone (memfd_create) and is gone when
the `with` ends.
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

from photogenic.app.serve.http.errors import ApiError
from photogenic.app.serve.http.limits import Limits
from photogenic.ingest.images.image_header import inspect_bytes

__all__ = ["Upload", "in_memory", "in_time", "received", "whole_body"]

_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Upload:
    """One picture.

    Attributes:
        name: as the sender calls it; shown, never opened.
        status: as `photos.status`; only `ok` is worth decoding.
    """

    name: str
    data: bytes
    status: str
    detail: str


async def received(
    request: web.Request, field: str, limits: Limits, *, most: int
) -> tuple[list[Upload], dict[str, str]]:
    """The pictures of a multipart request, and its plain fields.

    Raises:
        ApiError: too many, too large, no picture, or no multipart form at all.
    """
    if request.content_type != "multipart/form-data":
        raise ApiError(
            "unsupported_type",
            f"The request is {request.content_type}. Expected: multipart/form-data",
            f"curl -F {field}=@portrait.jpg",
        )
    pictures: list[Upload] = []
    fields: dict[str, str] = {}
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise ApiError("bad_request", "A part of the form has no name.", f"call it {field}")
            if part.name == field:
                if len(pictures) == most:
                    raise ApiError(
                        "bad_request", f"There are more than {most} pictures.", "send them in several requests"
                    )
                pictures.append(_judged(part.filename or "picture", await _read(part, limits.upload_bytes), limits))
            elif part.name in fields or len(fields) >= 16:
                raise ApiError("bad_request", f"The field {part.name[:80]!r} comes twice, or too many do.", "")
            else:
                fields[part.name] = (await _read(part, 20_000)).decode("utf-8", "strict")
    except (HttpProcessingError, ValueError, AssertionError, LookupError) as error:
        raise ApiError("bad_request", f"The form cannot be read: {error}", f"curl -F {field}=@portrait.jpg") from error
    if not pictures:
        raise ApiError("bad_request", f"The form has no field {field!r}.", f"curl -F {field}=@portrait.jpg")
    return pictures, fields


async def whole_body(request: web.Request, limits: Limits, most: int) -> bytes:
    """All bytes of a request.

    Raises:
        ApiError: there are more than `most`, or they do not come in time.
    """
    data = bytearray()
    async with in_time(limits):
        async for piece in request.content.iter_chunked(_PIECE):
            data += piece
            if len(data) > most:
                raise ApiError("too_large", f"The request has more than {most:,} bytes.", "ask in several requests")
    return bytes(data)


@contextlib.asynccontextmanager
async def in_time(limits: Limits) -> AsyncIterator[None]:
    """Raises: ApiError, the request has not arrived when its time is over."""
    try:
        async with asyncio.timeout(limits.body_s):
            yield
    except TimeoutError:
        raise ApiError(
            "too_slow", f"The request did not arrive within {limits.body_s:g} s.", "send it again, faster"
        ) from None


async def _read(part: BodyPartReader, most: int) -> bytes:
    data = bytearray()
    while piece := await part.read_chunk(_PIECE):
        data += piece
        if len(data) > most:
            raise ApiError("too_large", f"{part.name} has more than {most:,} bytes.", "send something smaller")
    return bytes(data)


def _judged(name: str, data: bytes, limits: Limits) -> Upload:
    header = inspect_bytes(data, max_pixels=limits.upload_pixels)
    plain = Path(name).name[:200].encode("utf-8", "replace").decode()
    return Upload(plain, data, header.status, header.detail)


@contextlib.contextmanager
def in_memory(pictures: Sequence[Upload]) -> Iterator[list[Path]]:
    """The pictures as files that are on no disk."""
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

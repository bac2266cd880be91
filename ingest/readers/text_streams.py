"""Open text files as streams of UTF-8 bytes: decompressed, without byte order mark, converted from other encodings."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Literal, Protocol

from photogenic._lazy import pa
from photogenic.warehouse.errors import InputError

__all__ = ["Compression", "TextStream", "open_text", "read_head"]

_HEAD = 1 << 20

Compression = Literal["gzip", "zstd"]


class TextStream(Protocol):
    """A stream from which text is read."""

    def read(self, size: int, /) -> bytes:
        """Read up to about `size` bytes; empty at the end."""

    def close(self) -> None: ...


def open_text(path: Path, compression: Compression | None, encoding: str | None = None) -> TextStream:
    """Open a text file.

    Args:
        path: path of the file.
        compression: compression of the file. Its end is checked: a truncated file raises OSError when it is read.
        encoding: encoding to convert to UTF-8. None: UTF-16 if the byte order mark says so, else no conversion.

    Raises:
        OSError: the file cannot be read.
    """
    raw: TextStream = pa.input_stream(str(path), compression=compression, buffer_size=1 << 20)
    head = raw.read(4)
    if encoding is None and head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    if head.startswith(codecs.BOM_UTF8):
        head = head[len(codecs.BOM_UTF8) :]
    return _Stream(raw, head, encoding)


class _Stream:
    """Returns the bytes of the head again, and converts an encoding to UTF-8 if one is given."""

    def __init__(self, raw: TextStream, head: bytes, encoding: str | None) -> None:
        self._raw, self._head = raw, head
        self._decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None

    def read(self, size: int, /) -> bytes:
        while True:
            data = self._head or self._raw.read(size)
            self._head = b""
            if self._decoder is None:
                return data
            text = self._decoder.decode(data, final=not data)
            if text or not data:
                return text.encode()

    def close(self) -> None:
        self._raw.close()


def read_head(name: str, path: Path, magic: bytes, compression: Compression | None) -> str:
    """Read the first megabyte as text, up to a line's end. If it is not UTF-8, it is read as Latin-1."""
    stream = open_text(path, compression)
    try:
        data, more = b"", b"-"
        while more and len(data) <= _HEAD:
            more = stream.read(_HEAD)
            data += more
    finally:
        stream.close()
    if more:
        data = data[: max(data.rfind(b"\n"), data.rfind(b"\r")) + 1] or data[:_HEAD]
    if encoding := _unmarked_encoding(magic) or _unmarked_encoding(data):
        raise InputError(
            f"{name} is {encoding}.",
            "UTF-8, Latin-1, or UTF-16 that begins with a byte order mark",
            f"iconv -f {encoding} -t UTF-8",
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _unmarked_encoding(data: bytes) -> str | None:
    """The encoding of text with two or four bytes per character and without a byte order mark that we read."""
    start = data[:64]
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, b"\0\0\0")) or start[1:4] == b"\0\0\0":
        return "UTF-32"
    for encoding, nothing, something in (("UTF-16LE", start[1::2], start[::2]), ("UTF-16BE", start[::2], start[1::2])):
        if len(start) > 3 and not any(nothing) and all(something):
            return encoding
    return None

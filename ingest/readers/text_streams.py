"""Open text files as streams of UTF-8 bytes: decompressed, without byte order mark, converted from other encodings."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Literal, Protocol

from photogenic._lazy import pa

__all__ = ["Compression", "TextStream", "open_text"]

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

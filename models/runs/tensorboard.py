"""Write curves to a file that TensorBoard reads: `tensorboard --logdir store/models`.

The format is a few protocol buffers in records with checksums, so it is written without a package. A run that continues
after a kill truncates the file to its checkpoint first, so no step occurs twice.

Source: TensorFlow's record_writer.h (records, masked CRC-32C), event.proto and summary.proto.
"""

from __future__ import annotations

import functools
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["Scalars", "crc32c", "record", "scalar_event", "version_event"]

FILE = "events.out.tfevents.0.photogenic"


class Scalars:
    """One event file, open for appending.

    Args:
        folder: folder of the event file.
        size: size in bytes of the valid part of the file; 0: a new file.
        clock: function that returns seconds since 1970.
    """

    def __init__(self, folder: Path, size: int = 0, *, clock: Callable[[], float] = time.time) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._clock, path = clock, folder / FILE
        self._file = path.open("r+b" if size and path.exists() else "wb")
        self._file.truncate(size)
        self._file.seek(0, os.SEEK_END)
        if not self._file.tell():
            self._file.write(record(version_event(clock())))

    def add(self, tag: str, value: float, step: int) -> None:
        """Add one point to the curve `tag`."""
        self._file.write(record(scalar_event(tag, value, step, self._clock())))

    def keep(self) -> int:
        """Write added points to disk durably; return the size of the file in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def __enter__(self) -> Scalars:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def version_event(at: float) -> bytes:
    """Return the event that begins every file."""
    return b"\x09" + struct.pack("<d", at) + b"\x1a" + _sized(b"brain.Event:2")


def scalar_event(tag: str, value: float, step: int, at: float) -> bytes:
    """Return an Event (wall_time, step, summary) with one Summary.Value (tag, simple_value)."""
    point = b"\x0a" + _sized(tag.encode()) + b"\x15" + struct.pack("<f", value)
    summary = b"\x0a" + _sized(point)
    return b"\x09" + struct.pack("<d", at) + b"\x10" + _varint(step) + b"\x2a" + _sized(summary)


def record(data: bytes) -> bytes:
    """Return a record: length and data, each with its masked checksum."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def crc32c(data: bytes) -> int:
    """Return the CRC-32C checksum (Castagnoli)."""
    value, table = 0xFFFFFFFF, _table()
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    value = crc32c(data)
    return struct.pack("<I", (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


@functools.cache
def _table() -> tuple[int, ...]:
    found = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901
        found.append(value)
    return tuple(found)


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])

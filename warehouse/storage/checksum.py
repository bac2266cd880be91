"""A quick look for damage whenever a file is opened; `features doctor --thorough` compares the SHA-256.

The sum of all 64-bit words, modulo 2^64: no flipped bit leaves it as it was, and it takes half the time of SHA-256.
It is no defence against somebody who changes files on purpose; who may write to a store is trusted.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

import numpy as np

__all__ = ["checksum", "differs", "digest"]

_BLOCK = 1 << 25


def checksum(path: Path) -> str:
    """Of a file; 16 hex digits. An odd end counts as if zeros followed. Remembered while the file is unchanged."""
    stat = path.stat()
    return _checksum(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def differs(path: Path, expected: str) -> bool:
    """Whether a file is not what it was; False where nobody wrote down what that is."""
    return bool(expected) and checksum(path) != expected


@functools.lru_cache(maxsize=256)
def _checksum(path: Path, _inode: int, _size: int, _mtime_ns: int) -> str:
    total = 0
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        words = np.empty(min(_BLOCK, size + 7) // 8, np.uint64)
        data = memoryview(words.data).cast("B") if len(words) else memoryview(b"")
        left = size
        while left > 0:
            n = file.readinto(data[: min(left, len(data))])
            if not n:
                break
            if n % 8 and n != left:  # a short read in the middle: fill the word
                rest = file.read(8 - n % 8) or b""
                data[n : n + len(rest)] = rest
                n += len(rest)
            full = -(-n // 8)
            data[n : 8 * full] = bytes(8 * full - n)
            total = (total + int(words[:full].sum(dtype=np.uint64))) % (1 << 64)
            left -= n
    return f"{total:016x}"


def digest(path: Path) -> str:
    """The SHA-256 of a file, hex. Remembered while the file is unchanged."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

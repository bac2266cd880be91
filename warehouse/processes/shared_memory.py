"""Memory that a process shares with its children through a file descriptor."""

from __future__ import annotations

import os
import tempfile

__all__ = ["shared_memory"]


def shared_memory(size: int) -> int:
    """A file descriptor of memory that children can share; it belongs to no file, and nothing of it stays.

    Where the system has no such memory, it is a temporary file without a name.
    """
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("photogenic")
    else:
        with tempfile.TemporaryFile() as file:
            handle = os.dup(file.fileno())
    os.truncate(handle, size)
    return handle

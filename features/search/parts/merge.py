"""Merge the parts of an index to one file of lists by FAISS, in a process of its own.

FAISS writes the merged lists through a mapping. On a full disk, a write to a mapping ends the process, so the space is
checked first, and the merge runs in a child process, whose end is reported as an error.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from photogenic._lazy import faiss
from photogenic.features.search.parts.sharded import open_cells
from photogenic.warehouse.processes.launch import child_environment, python_command

__all__ = ["child_main", "merge"]


def merge(cells: Path, parts: Sequence[Path], path: Path, list_bytes: int) -> None:
    """Merge parts to `path`, and the lists to the file `*.ivfdata` beside it.

    Args:
        cells: file of the trained cells.
        parts: files of the parts.
        path: file to write.
        list_bytes: size of all lists.

    Raises:
        OSError: the disk is full, or the child process failed.
    """
    data = path.with_suffix(".ivfdata")
    try:
        with data.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(list_bytes, 1))
    finally:
        data.unlink(missing_ok=True)
    asked = {
        "cells": str(cells.absolute()),
        "parts": [str(part.absolute()) for part in parts],
        "path": str(path.absolute()),
    }
    done = subprocess.run(
        python_command(f"{__name__}:{child_main.__name__}"),
        input=json.dumps(asked),
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        env=child_environment(),
    )
    if done.returncode == -signal.SIGBUS:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(data))
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"the process of the merge ended with {done.returncode}"]
        raise OSError(errno.EIO, said[-1], str(data))


def child_main() -> None:
    """Merge the parts that standard input names."""
    from faiss.contrib.ondisk import merge_ondisk  # the lazy module does not reach modules this deep

    asked = json.load(sys.stdin)
    index, path = open_cells(Path(asked["cells"])), Path(asked["path"])
    os.chdir(path.parent)  # the index records the name of its data, which must not depend on the folder
    merge_ondisk(index, asked["parts"], path.with_suffix(".ivfdata").name)
    faiss.write_index(index, path.name)

"""One object of an object store, or one file of a web server, that is read as a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from photogenic.ingest.readers.folders import Partition
from photogenic.warehouse.filesystems import Location

__all__ = ["RemoteFile"]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file elsewhere.

    Attributes:
        name: address to print and store, without secrets.
        place: where it lies: a location, or the address of a web server, which may hold a secret.
        n_bytes: its size; None: it is not known before it is read.
        state: what changes with its content, as JSON values: size and time of change, as listed.
        partitions: columns in the names of its folders.
        notes: what the account says besides the counts.
    """

    name: str
    place: Location | str = field(repr=False)
    n_bytes: int | None
    state: Mapping[str, Any]
    partitions: tuple[Partition, ...] = ()
    notes: tuple[str, ...] = ()

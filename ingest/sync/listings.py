"""List files, objects and tables of a lake, and find those that are new or not as they were.

A file or an object is known by its size and the time of its last change, a table by its version. One that was changed a
moment ago may change again within the same tick of the clock: its state says so, and the next sync looks at its bytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from photogenic.ingest.lake import lake
from photogenic.ingest.readers.input_files import AbsentError, InputFile, Spool, find
from photogenic.ingest.sources.objects import list_objects, open_all
from photogenic.ingest.sources.remote import RemoteFile
from photogenic.ingest.sync.progress import Progress
from photogenic.ingest.sync.source import SyncSource
from photogenic.warehouse import InputError
from photogenic.warehouse.filesystems import is_remote, printable_address

__all__ = ["Listed", "Listing", "list_changed", "printable_source"]

_FRESH_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Listed:
    """One file or object.

    Attributes:
        part: its name in the position of the source: the absolute path, or the address without secrets.
        state: what changes with its content: size, time of change, version of a table.
        n_bytes: its size; None: it is not known before it is read.
        open: function that returns it as files to read, of which copies exist as long as the spool, and its state then.
    """

    part: str
    state: Mapping[str, Any]
    n_bytes: int | None
    open: Callable[[Spool], tuple[list[InputFile], Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Listing:
    """What is new of a source.

    Attributes:
        changed: files and objects that are new or not as they were.
        notes: what the account says besides the counts.
    """

    changed: list[Listed]
    notes: list[str]


def list_changed(source: SyncSource, progress: Progress, spool: Spool) -> Listing:
    """List the files and objects of a source that are new or not as they were.

    They are in the order of the addresses, then of the names. An address of which nothing is left is fine if something
    of the source was read before: files are moved away after they were read.

    Args:
        source: the source; it has no query.
        progress: its position.
        spool: copies of pipes, which are read whole.

    Raises:
        InputError: there is nothing of that name, or it may not be listed.
        NetworkError: a server cannot be reached.
    """
    found: dict[str, Listed] = {}
    notes = list[str]()
    for address in source.addresses:
        try:
            for listed in _list(address, progress.objects, spool):
                found.setdefault(listed.part, listed)
        except AbsentError as error:
            if not progress.objects:
                raise
            notes.append(error.what.rstrip("."))
    changed = [listed for listed in found.values() if _is_changed(listed, progress.objects.get(listed.part))]
    return Listing(changed, notes)


def _is_changed(listed: Listed, held: Mapping[str, Any] | None) -> bool:
    return held is None or {key: value for key, value in held.items() if key != "ingests"} != listed.state


def printable_source(source: SyncSource) -> str:
    """Where a source comes from, without secrets."""
    return ", ".join(printable_address(one) for one in source.given)


def _list(address: str, held: Mapping[str, Mapping[str, Any]], spool: Spool) -> Iterator[Listed]:
    """List what an address names.

    Args:
        address: path, glob or address.
        held: state of each part when it was read.
        spool: copies of pipes.
    """
    if lake.is_table(address) or address.lower().startswith("iceberg:"):
        table = lake.open_table(address)
        former = held.get(table.name, {}).get("version")
        yield Listed(table.name, {"version": table.version}, None, _Table(address, former))
    elif is_remote(address) or address.lower().startswith(("https://", "http://")):
        for remote in list_objects(address):
            yield Listed(remote.name, remote.state, remote.n_bytes, _Object(remote))
    else:
        for file in find([address], spool):
            if file.is_stream:
                raise InputError(f"{file.name} is a pipe.", "files, which can be listed", "features ingest KIND PIPE")
            stat = file.path.stat()
            state: dict[str, Any] = {"size": stat.st_size, "changed_ns": stat.st_mtime_ns}
            if abs(time.time_ns() - stat.st_mtime_ns) < _FRESH_NS:
                state["is_fresh"] = True
            yield Listed(os.path.abspath(file.path), state, stat.st_size, _Given(file, state))  # noqa: PTH100


@dataclass(frozen=True, slots=True)
class _Given:
    """A file that is read where it lies."""

    file: InputFile
    state: Mapping[str, Any]

    def __call__(self, _spool: Spool) -> tuple[list[InputFile], Mapping[str, Any]]:
        return [self.file], self.state


@dataclass(frozen=True, slots=True)
class _Object:
    """An object that is copied."""

    remote: RemoteFile

    def __call__(self, spool: Spool) -> tuple[list[InputFile], Mapping[str, Any]]:
        return open_all([self.remote], spool), self.remote.state


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a lake, of which the rows are copied that came since the version `former`."""

    address: str
    former: dict[str, Any] | None

    def __call__(self, spool: Spool) -> tuple[list[InputFile], Mapping[str, Any]]:
        files, version = lake.open_changes(self.address, self.former, spool)
        return files, {"version": version}

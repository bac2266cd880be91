"""Open what the user names as a source of rows, each kind in its own module.

| source | module |
|---|---|
| path, glob, folder, pipe, `-` | `ingest.readers.input_files` |
| folder of Delta Lake or Iceberg, `iceberg://` | `lake` |
| `postgresql://`, `sqlite:`, `mysql://` | `database` |
| `s3://`, `gs://`, `az://`, `https://` | `objects` |
| polars, pandas, Arrow, list of dicts | `frames` |
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from photogenic.ingest.databases import database
from photogenic.ingest.lake import lake
from photogenic.ingest.options import Rowlike, SourceOptions
from photogenic.ingest.readers.input_files import InputFile, Spool, find
from photogenic.ingest.sources import frames, objects
from photogenic.ingest.sources.remote import RemoteFile
from photogenic.warehouse import InputError

__all__ = ["group_sources", "open_sources"]

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)(://|:)", re.IGNORECASE)
_MODULES = {
    "postgresql": "database",
    "postgres": "database",
    "sqlite": "database",
    "mysql": "database",
    "s3": "objects",
    "s3a": "objects",
    "gs": "objects",
    "az": "objects",
    "abfs": "objects",
    "https": "objects",
    "http": "objects",
    "iceberg": "lake",
}
"""Kind of source of each scheme of an address."""

_OPEN: dict[str, Callable[[Any, Spool, SourceOptions], list[InputFile]]] = {
    "database": database.open_source,
    "frames": frames.open_source,
    "lake": lake.open_source,
    "objects": objects.open_source,
}

_GROUP_BYTES, _GROUP_FILES = 4 << 30, 500
"""Size and number of the objects that are copied before their rows are loaded."""


def open_sources(
    given: Sequence[Rowlike | InputFile | RemoteFile], spool: Spool, options: SourceOptions
) -> list[InputFile]:
    """Open sources in their order.

    Args:
        given: what the user names: paths, addresses, frames; or files that are open already.
        spool: where streams are copied to.
        options: options of sources other than files.

    Raises:
        InputError: one is missing, or cannot be read; or there is a query, and no database.
        MissingPartError: a package that reads one is not installed.
    """
    if not given:
        return find((), spool)
    modules = [_module_of(source) for source in given]
    if options.query is not None and "database" not in modules:
        raise InputError(
            "There is a query, and no database.",
            "a query with the address of a database: postgresql://, sqlite: or mysql://",
            "features ingest swipes ADDRESS --query QUERY",
        )
    found: list[InputFile] = []
    paths: list[Any] = []
    if remote := [source for source in given if isinstance(source, RemoteFile)]:  # a group: all are of one kind
        return objects.open_all(remote, spool)
    for source, module in zip(given, modules, strict=True):
        if isinstance(source, InputFile):
            found.append(source)
            continue
        if module is None:
            paths.append(source)
            continue
        if paths:
            found += find(paths, spool)
            paths = []
        found += _OPEN[module](source, spool, options)
    return found + (find(paths, spool) if paths else [])


def group_sources(
    given: Sequence[Rowlike | InputFile], options: SourceOptions, *, in_parts: bool
) -> list[Sequence[Rowlike | InputFile | RemoteFile]]:
    """Split sources into groups that are read one after the other, so that the copies of one are held at a time.

    Args:
        given: what the user names.
        options: options of sources other than files.
        in_parts: whether the objects of an object store may be several groups: events are, and descriptions are not,
            since whether one is known depends on those after it.

    Raises:
        InputError: objects are missing, or may not be listed.
        NetworkError: a server cannot be reached.
    """
    if not in_parts or options.query is not None or "objects" not in (modules := [_module_of(one) for one in given]):
        return [given]
    groups: list[list[Rowlike | InputFile | RemoteFile]] = []
    room = n_open = 0
    for source, module in zip(given, modules, strict=True):
        listed: Sequence[Rowlike | InputFile | RemoteFile] = [source]
        if module == "objects":
            listed = objects.list_objects(str(source))
        for file in listed:
            size = (file.n_bytes or 0) if isinstance(file, RemoteFile) else 0
            if not groups or size > room or n_open >= _GROUP_FILES or type(groups[-1][-1]) is not type(file):
                groups.append([])
                room, n_open = _GROUP_BYTES, 0
            groups[-1].append(file)
            room, n_open = room - size, n_open + 1
    return list(groups)


def _module_of(source: Any) -> str | None:
    """Return the module that opens a source; None: it is a path."""
    if isinstance(source, InputFile):
        return None
    if not isinstance(source, str | os.PathLike):
        return "frames"
    address = _ADDRESS.match(source) if isinstance(source, str) else None
    module = _MODULES.get(address[1].lower()) if address else None
    return "lake" if module in {None, "objects"} and lake.is_table(os.fspath(source)) else module

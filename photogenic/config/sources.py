"""What an ingest or a sync reads: the files of the call, else the sources of `photogenic.toml`, with their mappings."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from photogenic.config.file import NAME
from photogenic.config.values import ConfigFile
from photogenic.ingest.options import Rowlike
from photogenic.ingest.sync.source import SyncSource
from photogenic.ingest.tabular.mapping_file import FileMapping
from photogenic.ingest.tabular.schemas import Kind
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.toml_file import shown

__all__ = ["Files", "files_to_ingest", "sources_to_sync"]


@dataclass(frozen=True, slots=True)
class Files:
    """Files that are read alike.

    Attributes:
        files: files, folders, globs, addresses, frames.
        mapping: how their columns and values are read.
        images: for photos: folder that paths of pictures start from; None: the folder of each file.
    """

    files: Sequence[Rowlike]
    mapping: FileMapping
    images: Path | str | None = None


def files_to_ingest(
    config: ConfigFile, kind: str, files: Sequence[Rowlike], mapping: FileMapping, images: str | Path | None
) -> list[Files]:
    """Return what to read. What the call says of a column replaces what the file says of it.

    Args:
        config: values of `photogenic.toml`.
        kind: kind of the rows.
        files: sources of the call; empty: the sources of the file.
        mapping: mapping of the call.
        images: folder of the call.

    Raises:
        InputError: there are neither files nor sources; or the sources are for `features sync` only.
    """
    if files:
        return [Files(files, config.mapping(kind) | mapping, images)]
    sources = [source for source in config.sources_of(kind) if not source.only_new]
    if not sources and config.sources_of(kind):
        names = " ".join(source.name for source in config.sources_of(kind))
        raise InputError(
            f"No file was named, and the sources of kind {kind} in {NAME} are read by what is new in them.",
            "features sync, or one or more files or globs",
            f"features sync {names}",
        )
    if not sources:
        raise InputError(
            "No file was named.",
            f"one or more files or globs, or [[sources]] of kind {kind} in {NAME}",
            f"features ingest {kind.replace('_', '-')} FILE",
        )
    return [
        Files(source.files, config.mapping(kind, source.mapping) | mapping, images or source.images)
        for source in sources
    ]


def sources_to_sync(config: ConfigFile, names: Sequence[str]) -> list[SyncSource]:
    """Return the sources of the file with these names; without names, all of them.

    Raises:
        InputError: there is no source, or none of that name.
    """
    if not config.sources:
        raise InputError(
            f"{NAME} has no [[sources]]." if config.path else f"There is no {NAME}.",
            f"[[sources]] with kind and from in {NAME}",
            "features config prints which file is read",
        )
    known = {source.name: source for source in config.sources}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1) or list(known)[:1]
            raise InputError(
                f"{NAME} has no source {shown(name)}.", f"one of {', '.join(known)}", f"features sync {near[0]}"
            )
    return [
        SyncSource(
            name=source.name,
            kind=cast(Kind, source.kind),
            given=source.files,
            mapping=config.mapping(source.kind, source.mapping),
            images=source.images,
            retract=source.retract,
            query=source.query,
            watermark=source.watermark,
            lookback=source.lookback,
        )
        for source in (known[name] for name in dict.fromkeys(names or known))
    ]

"""What an ingest reads: the files of the call, else the sources of `photogenic.toml`, each with its mapping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from photogenic.config.file import NAME
from photogenic.config.values import ConfigFile
from photogenic.ingest.tabular.mapping_file import FileMapping
from photogenic.warehouse.errors import InputError

__all__ = ["Files", "files_to_ingest"]


@dataclass(frozen=True, slots=True)
class Files:
    """Files that are read alike.

    Attributes:
        files: files, folders and globs.
        mapping: how their columns and values are read.
        images: for photos: folder that paths of pictures start from; None: the folder of each file.
    """

    files: Sequence[str | Path]
    mapping: FileMapping
    images: Path | None = None


def files_to_ingest(
    config: ConfigFile, kind: str, files: Sequence[str | Path], mapping: FileMapping, images: Path | None
) -> list[Files]:
    """Return what to read. What the call says of a column replaces what the file says of it.

    Args:
        config: values of `photogenic.toml`.
        kind: kind of the rows.
        files: files of the call; empty: the sources of the file.
        mapping: mapping of the call.
        images: folder of the call.

    Raises:
        InputError: there are neither files nor sources.
    """
    if files:
        return [Files(files, config.mapping(kind) | mapping, images)]
    sources = config.sources_of(kind)
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

"""Hold the store's files of one moment open while the store changes.

The files that a writer replaces are opened first: the snapshot, and the parts that manifests list. If no manifest and
no snapshot changed meanwhile, these open files are one state, even if they are replaced or removed later. Files that
are only added (pictures, finished runs) need not be open.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from photogenic.features.search import index_files
from photogenic.ingest.download.file_limits import raise_limit
from photogenic.warehouse import Layout, StoreError
from photogenic.warehouse.storage import training_set_files
from photogenic.warehouse.storage.manifest import parse_object, read_limited
from photogenic.warehouse.storage.parquet_parts import MANIFEST, read_manifest

__all__ = ["Frozen", "OpenFile", "freeze", "immutable_files"]

_ATTEMPTS = 100
_SPARE = 64
"""Number of open files besides those of the store."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """One open file.

    Attributes:
        path: path in the store.
        sha256: SHA-256 of its bytes, where a manifest names it.
    """

    path: str
    file: BufferedReader
    sha256: str | None = None


@dataclass(slots=True)
class Frozen:
    """The files of one moment.

    Attributes:
        snapshot: snapshot of the warehouse.
        folders: folder of parts or of an index -> the files that count, manifest last.
        damaged: folders whose manifest and files do not agree, with the reason.
    """

    snapshot: OpenFile
    folders: dict[str, list[OpenFile]] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def freeze(layout: Layout) -> Iterator[Frozen]:
    """Open the files of the store as it is now.

    Raises:
        StoreError: there is no store, or it changed at every attempt.
    """
    raise_limit(_SPARE + sum(len(list(folder.rglob("*"))) for folder in _folders(layout)))
    for _ in range(_ATTEMPTS):
        with contextlib.ExitStack() as files:
            before = _state(layout)
            frozen = _open_files(layout, files)
            if _state(layout) == before:
                yield frozen
                return
        time.sleep(0.02)
    raise StoreError(
        f"The store {layout.root} changed at each of {_ATTEMPTS} looks.",
        "a moment without a write",
        "run the same command again",
    )


def immutable_files(layout: Layout) -> Iterator[tuple[Path, str | None]]:
    """Files that are never replaced, with their SHA-256 where a manifest names it: finished runs, the taste, reports,
    tombstones, files of the demo.
    """
    for run in sorted(layout.models.glob("*/")):
        digests = _weights_of(run)
        if digests is not None or run.name == "taste":
            for path in _visible(run, without={"lock", "work", "checkpoint"}):
                yield path, (digests or {}).get(path.name)
    for folder in (layout.reports, layout.erased, layout.root / "demo"):
        for path in _visible(folder, without={layout.erase_journal.name, "work"}):
            yield path, None


def _open_files(layout: Layout, files: contextlib.ExitStack) -> Frozen:
    def hold(path: Path, sha256: str | None = None) -> OpenFile:
        return OpenFile(str(path.relative_to(layout.root)), files.enter_context(path.open("rb")), sha256)

    frozen = Frozen(hold(layout.snapshot))
    for folder in _folders(layout):
        name = str(folder.relative_to(layout.root))
        try:
            listed = _listed(layout, folder)
            if listed is not None:
                opened = [hold(folder / file, sha256) for file, sha256 in listed.items()]
                frozen.folders[name] = [*opened, hold(folder / MANIFEST)]
        except StoreError as error:
            frozen.damaged[name] = error.what
        except FileNotFoundError as error:  # replaced meanwhile, and then the state has changed; or lost
            frozen.damaged[name] = f"{error.filename} is not there"
    return frozen


def _listed(layout: Layout, folder: Path) -> Mapping[str, str] | None:
    """The files that the folder's manifest lists, with their digests. None: without a manifest nothing in it counts."""
    if folder.parent != layout.root / "indices":
        facts = read_manifest(folder)
        return None if facts is None else {part.file: part.sha256 for part in facts["parts"]}
    index = index_files.read_manifest(layout, folder.name)
    return None if index is None else {f"{index.generation}/{name}": sha256 for name, sha256 in index.files.items()}


def _folders(layout: Layout) -> list[Path]:
    """The folders that may have a manifest."""
    within = (layout.faces, layout.pictures, layout.root / "embeddings", layout.root / "indices")
    found = [path for folder in within for path in sorted(folder.glob("*/"))]
    found += [path for _, _, path in training_set_files.folders(layout)]
    return [*found, layout.hashes] if layout.hashes.is_dir() else found


def _state(layout: Layout) -> list[tuple[str, int, int, int]]:
    """A state that changes whenever something is published."""
    paths = [layout.snapshot, *(folder / MANIFEST for folder in _folders(layout))]
    states = [(path, path.stat()) for path in paths if path.exists()]
    return [(str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in states]


def _weights_of(run: Path) -> dict[str, str] | None:
    """The digests in the manifests of a finished run, by file. None: the run is not finished."""
    digests: dict[str, str] = {}
    for manifest, file in (("manifest.json", "weights.safetensors"), ("encoder.json", "network.safetensors")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            digests[file] = str(parse_object(read_limited(run / manifest))["weights_sha256"])
    return digests if (run / "manifest.json").exists() else None


def _visible(folder: Path, *, without: set[str]) -> Iterator[Path]:
    """All files in the folder, except temporary ones and those named."""
    for path in sorted(folder.rglob("*")):
        names = path.relative_to(folder).parts
        if path.is_file() and not any(name.startswith(".") or name in without for name in names):
            yield path

"""A store as it is at one instant, held open while it goes on changing.

What a writer replaces is opened first: the snapshot, and the parts that manifests list. If no manifest and no snapshot
changed meanwhile, these open files are one state, whatever is renamed over them or removed later. What is only ever
added (pictures, finished runs) needs no holding.
"""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from photogenic.features.search import index_files
from photogenic.warehouse import Layout, StoreError
from photogenic.warehouse.storage.manifest import parse_object, read_limited
from photogenic.warehouse.storage.parquet_parts import MANIFEST, read_manifest

__all__ = ["Frozen", "Held", "freeze", "lasting"]

_LOOKS = 100
_SPARE = 64
"""Open files beside those that are held."""


@dataclass(frozen=True, slots=True)
class Held:
    """One open file.

    Attributes:
        path: in the store.
        sha256: of what it should hold, where something says so.
    """

    path: str
    file: BufferedReader
    sha256: str | None = None


@dataclass(slots=True)
class Frozen:
    """The files of one instant.

    Attributes:
        snapshot: of the warehouse.
        folders: of parts or of an index -> what counts in it, manifest last.
        damaged: folders whose manifest and files do not agree, with the reason.
    """

    snapshot: Held
    folders: dict[str, list[Held]] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def freeze(layout: Layout) -> Iterator[Frozen]:
    """Hold the store as it is now.

    Raises:
        StoreError: there is none, or it changed at every look.
    """
    _allow(_SPARE + sum(len(list(folder.rglob("*"))) for folder in _folders(layout)))
    for _ in range(_LOOKS):
        with contextlib.ExitStack() as files:
            before = _state(layout)
            frozen = _opened(layout, files)
            if _state(layout) == before:
                yield frozen
                return
        time.sleep(0.02)
    raise StoreError(
        f"The store {layout.root} changed at each of {_LOOKS} looks.",
        "a moment without a publication",
        "run the same command again",
    )


def lasting(layout: Layout) -> Iterator[tuple[Path, str | None]]:
    """Files that nobody replaces while they count, and what they should hold where something says so: finished runs,
    what was learned of taste, reports, tombstones, the demo's own.
    """
    for run in sorted(layout.models.glob("*/")):
        said = _weights_of(run)
        if said is not None or run.name == "taste":
            for path in _visible(run, without={"lock", "work", "checkpoint"}):
                yield path, (said or {}).get(path.name)
    for folder in (layout.reports, layout.erased, layout.root / "demo"):
        for path in _visible(folder, without={layout.erase_journal.name, "work"}):
            yield path, None


def _opened(layout: Layout, files: contextlib.ExitStack) -> Frozen:
    def held(path: Path, sha256: str | None = None) -> Held:
        return Held(str(path.relative_to(layout.root)), files.enter_context(path.open("rb")), sha256)

    frozen = Frozen(held(layout.snapshot))
    for folder in _folders(layout):
        name = str(folder.relative_to(layout.root))
        try:
            listed = _listed(layout, folder)
            if listed is not None:
                opened = [held(folder / file, sha256) for file, sha256 in listed.items()]
                frozen.folders[name] = [*opened, held(folder / MANIFEST)]
        except StoreError as error:
            frozen.damaged[name] = error.what
        except FileNotFoundError as error:  # replaced between two looks, and then the state is another one; or lost
            frozen.damaged[name] = f"{error.filename} is not there"
    return frozen


def _listed(layout: Layout, folder: Path) -> Mapping[str, str] | None:
    """What the folder's manifest lists, by digest; None: there is none, so nothing in it counts."""
    if folder.parent.name != "indices":
        facts = read_manifest(folder)
        return None if facts is None else {part.file: part.sha256 for part in facts["parts"]}
    index = index_files.read_manifest(layout, folder.name)
    return None if index is None else {f"{index.generation}/{name}": sha256 for name, sha256 in index.files.items()}


def _folders(layout: Layout) -> list[Path]:
    """Those that may have a manifest."""
    within = (layout.faces, layout.root / "embeddings", layout.root / "indices")
    found = [path for folder in within for path in sorted(folder.glob("*/"))]
    return [*found, layout.hashes] if layout.hashes.is_dir() else found


def _state(layout: Layout) -> list[tuple[str, int, int, int]]:
    """Changes whenever something is published."""
    paths = [layout.snapshot, *(folder / MANIFEST for folder in _folders(layout))]
    told = [(path, path.stat()) for path in paths if path.exists()]
    return [(str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in told]


def _weights_of(run: Path) -> dict[str, str] | None:
    """The digests that a finished run names, by file; None: it is not finished."""
    said: dict[str, str] = {}
    for manifest, file in (("manifest.json", "weights.safetensors"), ("encoder.json", "network.safetensors")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said[file] = str(parse_object(read_limited(run / manifest))["weights_sha256"])
    return said if (run / "manifest.json").exists() else None


def _visible(folder: Path, *, without: set[str]) -> Iterator[Path]:
    """Every file below, but for files on their way and those named."""
    for path in sorted(folder.rglob("*")):
        names = path.relative_to(folder).parts
        if path.is_file() and not any(name.startswith(".") or name in without for name in names):
            yield path


def _allow(n: int) -> None:
    """So many open files, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < n:
        resource.setrlimit(resource.RLIMIT_NOFILE, (n if hard == resource.RLIM_INFINITY else min(n, hard), hard))

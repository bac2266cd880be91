"""Check what was computed from photos and facts: faces, hashes, vectors, features, indices, models.

A build computes all but the models again, so a damaged file may be removed; only its content is then computed again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from photogenic.features.search import index, index_files
from photogenic.maintenance.doctor.finding import Finding
from photogenic.warehouse import Layout, StoreError
from photogenic.warehouse.errors import PhotogenicError
from photogenic.warehouse.storage import parquet_parts
from photogenic.warehouse.storage.checksum import digest
from photogenic.warehouse.storage.manifest import load_with_digest, read_limited

__all__ = ["examine_artifacts"]


def examine_artifacts(layout: Layout, *, thorough: bool, fix: bool) -> Iterator[Finding]:
    """Check each set of parts, each index, and the models.

    Args:
        layout: paths of the store.
        thorough: whether to read every byte.
        fix: whether to remove what is damaged and can be computed again. The caller holds the lock.
    """
    folders = {f"faces {folder.name}": folder for folder in sorted(layout.faces.glob("*/"))}
    if layout.hashes.is_dir():
        folders["hashes"] = layout.hashes
    folders |= {f"vectors {folder.name}": folder for folder in sorted(layout.embeddings("any").parent.glob("*/"))}
    folders |= {f"feature {folder.name}": folder for folder in sorted(layout.pictures.glob("*/"))}
    for name, folder in folders.items():
        yield _parts(name, folder, layout, thorough=thorough, fix=fix)
    for folder in sorted(layout.index("any").parent.glob("*/")):
        yield _index(layout, folder, thorough=thorough, fix=fix)
    runs = _runs(layout)
    if runs is not None:
        yield runs


def _parts(name: str, folder: Path, layout: Layout, *, thorough: bool, fix: bool) -> Finding:
    """Check the parts of a manifest, and the parts that a killed run left for the next one."""
    damaged: list[Path] = []
    try:
        facts = parquet_parts.read_manifest(folder)
    except StoreError as error:
        facts, what, remedy = None, error.what, error.remedy
        damaged.append(folder / parquet_parts.MANIFEST)
    else:
        what = remedy = ""
    if thorough or (fix and damaged):
        for path in sorted(folder.glob("*.parquet")):
            try:
                parquet_parts.verify(path)
            except StoreError as error:
                damaged.append(path)
                what, remedy = what or error.what, remedy or error.remedy
    if damaged and fix:
        # Without the manifest the undamaged parts are saved work, which the next build uses.
        for path in {*damaged, folder / parquet_parts.MANIFEST}:
            path.unlink(missing_ok=True)
        if folder.parent == layout.embeddings("any").parent:
            shutil.rmtree(layout.index(folder.name), ignore_errors=True)  # its vectors were removed
        return Finding(name, "fixed", f"{what} Removed", "features build: it computes these again")
    if damaged:
        return Finding(name, "fault", what, f"features doctor --thorough --fix --store {layout.root}")
    if facts is None:
        return Finding(name, "note", "no manifest: a build was interrupted", "features build")
    flips = f", {facts['n_flips']:,} mirror images" if "n_flips" in facts else ""
    return Finding(name, "ok", f"{facts['n_photos']:,} photos{flips}")


def _index(layout: Layout, folder: Path, *, thorough: bool, fix: bool) -> Finding:
    """Check an index. It is a cache: a damaged one is removed, and the next build makes it again."""
    name = f"index {folder.name}"
    try:
        known = index_files.read_manifest(layout, folder.name)
        if known is None and (folder / "manifest.json").exists():
            raise index_files.mismatch(
                folder.name, "its manifest is not what was written", "a manifest of this version"
            )
        if known is None:
            return Finding(name, "note", "not finished", "features build --only index")
        encoder = known.encoder
        loaded = index.verify(layout, encoder) if thorough else index.load(layout, encoder).manifest
    except (PhotogenicError, OSError, ValueError, KeyError, TypeError) as error:
        if fix:
            shutil.rmtree(folder)
            return Finding(name, "fixed", f"{_first(error)} Removed", "features build --only index makes it again")
        return Finding(name, "fault", _first(error), f"features doctor --fix --store {layout.root}")
    if loaded.vectors_content != index.vectors_content(layout, encoder):
        return Finding(name, "note", "does not match the vectors", "features build")
    summary = f"{loaded.kind}, recall@10 {loaded.recall_at_10:.4f}"
    if loaded.n_bad:
        left_out = f"{summary}; {loaded.n_bad:,} photos left out (bad_vector): their numbers are not finite"
        remedy = f"repair the encoder, then rm -r {layout.embeddings(encoder)} and features build --encoder {encoder}"
        return Finding(name, "note", left_out, remedy)
    return Finding(name, "ok", summary)


def _runs(layout: Layout) -> Finding | None:
    """Check heads and fine-tuned networks. They are small, and only training makes them again: every byte is read."""
    folders = sorted(path.parent for path in layout.models.glob("*/manifest.json"))
    wrong: dict[Path, str] = {}
    for folder in folders:
        for manifest, weights in (("manifest.json", "weights.safetensors"), ("encoder.json", "network.safetensors")):
            if not (folder / manifest).exists():
                continue
            try:
                facts = load_with_digest(read_limited(folder / manifest))
                written = facts.get("weights_sha256")
                if written and (folder / weights).exists() and digest(folder / weights) != written:
                    wrong[folder] = f"{folder / weights} is not what was written"
            except (OSError, ValueError) as error:
                wrong[folder] = f"{folder / manifest}: {error}"
    if wrong:
        folder, why = next(iter(wrong.items()))
        return Finding("models", "fault", f"{len(wrong)} of {len(folders)}: {why}", f"rm -r {folder}, then train again")
    return Finding("models", "ok", f"{len(folders):,} as they were written") if folders else None


def _first(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__

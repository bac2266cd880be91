"""Find, list, export, verify and remove the versions of named training sets."""

from __future__ import annotations

import difflib
import glob
import json
import os
import shlex
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from photogenic._lazy import duckdb, pa, pq
from photogenic.warehouse import InputError, Store, StoreError
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.option_ranges import check
from photogenic.warehouse.storage.layout import sync_directory
from photogenic.warehouse.storage.parquet_parts import MANIFEST
from photogenic.warehouse.storage.training_set_files import (
    Manifest,
    check_files,
    check_name,
    damaged,
    read_manifest,
)

__all__ = ["Checked", "export", "find", "listed", "remove", "summary", "verify"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What `verify` found of one version.

    Attributes:
        state: ok; damaged; erased: it still holds rows of erased people, which an erase did not reach.
        found: what was found.
        remedy: what to do; empty if it is ok.
    """

    name: str
    version: int
    state: str
    found: str
    remedy: str = ""


def listed(store: Store, name: str | None = None) -> list[tuple[str, int]]:
    """Return name and version of every version, sorted; of one set, if it is named."""
    query = "select name, version from training_sets where status <> 'removed' order by name, version"
    return [(one, version) for one, version in store.database.rows(query) if name in (None, one)]


def find(store: Store, name: str, version: int | None = None) -> tuple[Path, Manifest]:
    """Return folder and manifest of a version; None: the newest one.

    Raises:
        InputError: there is no such set or version.
        StoreError: it is damaged.
    """
    check(version=version)
    there = listed(store)
    versions = [number for one, number in there if one == name]
    if not versions:
        known = sorted({one for one, _ in there})
        near = difflib.get_close_matches(str(name), known, 3) or known[:3]
        raise InputError(
            f"There is no training set {str(name)[:80]!r}.",
            f"one of {', '.join(near)}" if near else "a set that was created",
            "features training-set list" if known else "features training-set create NAME ...",
        )
    chosen = versions[-1] if version is None else version
    if chosen not in versions:
        raise InputError(
            f"Training set {name} has no version {chosen}.",
            f"one of {', '.join(map(str, versions))}",
            f"features training-set show {name}",
        )
    folder = store.layout.training_set(name, chosen)
    manifest = read_manifest(folder)
    if manifest is None:
        raise damaged(folder, "it has no manifest")
    return folder, manifest


def export(store: Store, name: str, folder: str | Path, version: int | None = None) -> list[Path]:
    """Copy the files of a version, and its manifest, into a folder, which must be empty or new.

    The copies are outside of the store: an erase does not reach them.

    Raises:
        InputError: there is no such set, or the folder holds something.
        StoreError: the version is damaged, or the folder cannot be written.
    """
    source, manifest = find(store, name, version)
    check_files(source, manifest, thorough=True)
    target = Path(folder)
    root = store.layout.root.resolve()
    if target.resolve() == root or root in target.resolve().parents:
        raise InputError(
            f"{target} is inside the store.",
            "a folder outside of the store",
            f"features training-set export {name} ../{name}",
        )
    made = target.absolute().with_name(f".{target.absolute().name}.tmp")
    try:
        if os.path.lexists(target) and (not target.is_dir() or any(target.iterdir())):
            raise InputError(
                f"{target} holds something.",
                "a folder that is empty or does not exist yet",
                f"features training-set export {name} {shlex.quote(str(target / name))}",
            )
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        for file in [*(part.file for part in manifest.parts), MANIFEST]:
            shutil.copyfile(source / file, made / file)
        check_files(made, manifest, thorough=True)
        if target.exists():
            target.rmdir()
        made.rename(target)
        sync_directory(target.parent)
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written: {error.strerror or error}",
            "a writable folder with free disk",
            f"df -h {target}",
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return sorted(target.iterdir())


def verify(store: Store, name: str | None = None, version: int | None = None) -> list[Checked]:
    """Check every byte of versions, their rows against their manifests, and that no erased person is in them.

    Raises:
        InputError: there is no such set or version.
    """
    check(version=version)
    chosen = listed(store, name) if version is None else [(str(name), version)]
    if name is not None:
        check_name(name)
        if version is not None or not chosen:
            find(store, name, version)
    tombstones = Tombstones(store.layout)
    with store.progress.stage("verify", len(chosen), "training sets") as advance:
        found = []
        for one, number in chosen:
            found.append(_verify(store, one, number, tombstones))
            advance(1)
    return found


def _verify(store: Store, name: str, version: int, tombstones: Tombstones) -> Checked:
    try:
        folder, manifest = find(store, name, version)
        check_files(folder, manifest, thorough=True)
        wrong = _differences(store, manifest, folder)
        n_erased = _count_erased(manifest, folder, tombstones)
    except StoreError as error:
        return Checked(name, version, "damaged", error.what, error.remedy)
    if wrong:
        return Checked(name, version, "damaged", wrong, damaged(folder, wrong).remedy)
    if n_erased:
        remedy = f"features training-set remove {name} --version {version}"
        return Checked(name, version, "erased", f"{n_erased:,} ids are of erased people", remedy)
    return Checked(name, version, "ok", f"{manifest.n_rows:,} rows, every byte as written")


def _differences(store: Store, manifest: Manifest, folder: Path) -> str:
    """Return what the files, the manifest and the relation `training_sets` disagree on; empty: nothing."""
    rows = 0
    for part in manifest.parts:
        try:
            with pq.ParquetFile(folder / part.file) as file:
                rows += file.metadata.num_rows
                names = file.schema_arrow.names
        except (OSError, pa.ArrowException) as error:
            return f"{part.file} cannot be read: {str(error).splitlines()[0]}"
        if names != [column.name for column in manifest.columns]:
            return f"{part.file} has other columns than the manifest"
    if rows != manifest.n_rows:
        return f"the files have {rows:,} rows, and the manifest says {manifest.n_rows:,}"
    query = "select n_rows, digests from training_sets where name = $1 and version = $2"
    ((n_rows, digests),) = store.database.rows(query, [manifest.name, manifest.version])
    files = {part.file: part.sha256 for part in manifest.parts}
    if n_rows != manifest.n_rows or json.loads(digests)["files"] != files:
        return "the relation training_sets has other files"
    return ""


def _count_erased(manifest: Manifest, folder: Path, tombstones: Tombstones) -> int:
    if not len(tombstones):
        return 0
    ids = [column.name for column in manifest.columns if column.role == "key"]
    n = 0
    with duckdb.connect() as con:
        tombstones.prepare(con)
        for part in manifest.parts:
            for name in ids:
                kind = "photo" if name.endswith("photo_id") else "user"
                quoted = '"' + name.replace('"', '""') + '"'
                ids_in = f"select distinct {quoted} as id from read_parquet($1)"
                query = f"select count(*) from ({ids_in}) where was_erased($2, id)"
                ((found,),) = con.execute(query, [glob.escape(str(folder / part.file)), kind]).fetchall()
                n += found
    return n


def remove(store: Store, name: str, version: int | None = None) -> list[int]:
    """Remove a version, or without one the whole set. The numbers of removed versions are not used again.

    Raises:
        InputError: there is no such set or version.
        LockedError: another process writes.
    """
    check(version=version)
    store.database.require()
    check_name(name)
    with store.database.write("features training-set remove") as con:
        query = "select version from facts.training_sets where name = $1 and status <> 'removed' order by version"
        there = [number for (number,) in con.execute(query, [name]).fetchall()]
        chosen = there if version is None else [number for number in there if number == version]
        if not chosen:
            what = f"training set {name}" if version is None else f"version {version} of {name}"
            raise InputError(f"There is no {what}.", "a version that exists", "features training-set list")
        con.begin()
        con.execute(
            "update facts.training_sets set status = 'removed' where name = $1 and list_contains($2, version)",
            [name, chosen],
        )
        con.commit()
        for number in chosen:  # a folder that is not listed is removed by the next creation too
            shutil.rmtree(store.layout.training_set(name, number), ignore_errors=True)
        if not any(store.layout.training_sets.glob(f"{name}/v*")):
            shutil.rmtree(store.layout.training_sets / name, ignore_errors=True)
    return chosen


def summary(manifest: Manifest) -> dict[str, Any]:
    """Return the manifest as values of JSON, for `show`."""
    return {**asdict(manifest), "status": manifest.status}

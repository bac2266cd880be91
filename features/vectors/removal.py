"""Remove the vectors of an encoder that nobody needs any more: vectors, index, neighbors and their rows.

Runs that were trained on the vectors keep their weights, figures and predictions, and still predict new pictures, whose
vectors the network computes. Near-duplicates stay until the next build, which compares by another encoder. Frozen
training sets have their own copies.

Manifests are removed first, then rows, then folders. A killed removal leaves no encoder whose vectors are there in
part: the same call again, or a build, completes it.
"""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from photogenic.features.build import held_encoders
from photogenic.features.encoders.registry import DEFAULT
from photogenic.warehouse import InputError, Layout, Store
from photogenic.warehouse.storage.parquet_parts import MANIFEST

__all__ = ["Removal", "plan_removal", "remove_vectors"]

_TABLES = ("embeddings", "neighbours", "neighbour_sets")


@dataclass(frozen=True, slots=True)
class Removal:
    """What the removal of an encoder's vectors takes away, and what it leaves.

    Attributes:
        n_photos: photos that lose their vector of this encoder.
        n_files, n_bytes: files of vectors and index.
        n_neighbours: rows of the relation `neighbours`.
        runs: runs that were trained on the vectors; they stay.
        promoted: targets that one of these runs is promoted for.
        computed_again: why the next build would compute the vectors again; empty: it would not.
        near_duplicates: whether the next build finds near-duplicates again, since they were found by this encoder.
    """

    encoder: str
    n_photos: int
    n_files: int
    n_bytes: int
    n_neighbours: int
    runs: tuple[str, ...]
    promoted: tuple[str, ...]
    computed_again: str
    near_duplicates: bool


def plan_removal(store: Store, name: str) -> Removal:
    """Return what `remove_vectors` would remove, and change nothing.

    Raises:
        InputError: the store has no vectors of that name.
    """
    store.database.require()
    there = held_encoders(store.layout)
    if name not in there and not _folders(store.layout, name):  # a killed removal leaves folders without a manifest
        near = difflib.get_close_matches(name, there, 1)
        raise InputError(
            f"The store has no vectors of {name[:80]!r}.",
            f"one of {', '.join(there)}" if there else "a store with vectors",
            near[0] if near else 'features sql "select encoder from embeddings"',
        )
    files = [path for folder in _folders(store.layout, name) for path in folder.rglob("*") if path.is_file()]
    ((n_photos,),) = store.database.rows("select coalesce(sum(n_photos), 0) from embeddings where encoder = $1", [name])
    ((n_near,),) = store.database.rows("select count(*) from neighbours where encoder = $1", [name])
    runs = store.database.rows(
        "select run_id, target, promoted from runs where list_contains(string_split(encoder, '+'), $1) order by run_id",
        [name],
    )
    again = "it is one of the default encoders: name the others in [build] of photogenic.toml, encoders = [...]"
    return Removal(
        encoder=name,
        n_photos=int(n_photos),
        n_files=len(files),
        n_bytes=sum(path.stat().st_size for path in files),
        n_neighbours=n_near,
        runs=tuple(run_id for run_id, _, _ in runs),
        promoted=tuple(sorted({target for _, target, is_promoted in runs if is_promoted})),
        computed_again=again if name in DEFAULT else "",
        near_duplicates=_finds_duplicates(store, name),
    )


def remove_vectors(store: Store, names: Sequence[str], *, force: bool = False) -> list[Removal]:
    """Remove the vectors of encoders. May be killed and started again at any time.

    Args:
        store: the open store.
        names: encoders that the store has vectors of.
        force: whether to remove vectors that a promoted run reads.

    Raises:
        InputError: the store has no vectors of one of the names, or a promoted run reads them; nothing was removed.
        LockedError: another process writes.
    """
    with store.database.lock("features vectors remove"):
        plans = [plan_removal(store, name) for name in dict.fromkeys(names)]
        for one in plans:
            if one.promoted and not force:
                raise InputError(
                    f"A run on {one.encoder} is promoted for {', '.join(one.promoted)}.",
                    "an encoder that no promoted run reads, because new photos of the store would get no prediction",
                    f"features runs promote RUN, features runs demote {one.promoted[0]}, or --force",
                )
        with store.progress.stage("vectors", len(plans), "encoders") as advance:
            for one in plans:
                _remove(store, one.encoder)
                advance(1)
    return plans


def _remove(store: Store, name: str) -> None:
    layout = store.layout
    for path in (layout.index(name) / "manifest.json", layout.embeddings(name) / MANIFEST):
        path.unlink(missing_ok=True)
    with store.database.write("features vectors remove") as con:
        con.begin()
        for table in _TABLES:
            con.execute(f"delete from facts.{table} where encoder = $1", [name])
        con.commit()
    for folder in _folders(layout, name):
        shutil.rmtree(folder, ignore_errors=True)


def _folders(layout: Layout, name: str) -> list[Path]:
    """Return the folders of index and vectors of an encoder; none for a name such as `..`."""
    asked = layout.index(name), layout.embeddings(name)
    roots = layout.index("any").parent, layout.embeddings("any").parent
    return [folder for folder, root in zip(asked, roots, strict=True) if folder in set(root.glob("*/"))]


def _finds_duplicates(store: Store, name: str) -> bool:
    """Whether the near-duplicates of the store were found by the vectors of an encoder."""
    ((recorded,),) = store.database.rows(
        "select comment from system.main.duckdb_tables() where schema_name = 'facts' and table_name = 'near_duplicates'"
    )
    return bool(recorded) and json.loads(recorded).get("encoder") == name

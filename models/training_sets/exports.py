"""What `features export` can name: relations, vectors, training sets and a query."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from photogenic._lazy import pa, pq
from photogenic.models.training_sets.versions import find
from photogenic.warehouse import Store
from photogenic.warehouse.catalog import catalog_of
from photogenic.warehouse.errors import ConflictError, InputError
from photogenic.warehouse.export.run import Source, relations_of
from photogenic.warehouse.storage.training_set_files import Manifest, check_files

__all__ = ["sources"]

_SET = "training-set:"


def sources(
    store: Store, names: Sequence[str], query: str | None, params: Mapping[str, Any], *, has_moment: bool
) -> list[Source]:
    """Return what these names stand for, each once.

    Args:
        store: the open store.
        names: relations; `all`; training-set:NAME or training-set:NAME:VERSION.
        query: one SELECT; None: none.
        params: values of its parameters, by name.
        has_moment: whether the rows are those of another moment.

    Raises:
        ConflictError: a training set of another moment, or parameters without a query.
        InputError: there is no such relation, set or version.
        StoreError: there is no store, or a training set is damaged.
    """
    relations = [name for name in names if not name.startswith(_SET)]
    with store.database.read() as con:
        known = store.database.with_added(catalog_of(con)).names
    found = {source.item: source for source in relations_of(relations, known)}
    for name in names:
        if name.startswith(_SET):
            if has_moment:
                raise ConflictError(
                    f"{name} was frozen when it was created, and has no other moment.",
                    "--as-of and --known-at for relations",
                    f"features export {name} without them",
                )
            found[name] = _training_set(store, name)
    if query is not None:
        found["query"] = Source(item="query", table="query", query=query, params=params)
    elif params:
        raise ConflictError("--param gives a value to a query, and there is none.", "--query", "--query 'select ...'")
    return list(found.values())


def _training_set(store: Store, item: str) -> Source:
    name, _, number = item.removeprefix(_SET).partition(":")
    if number and not number.isdecimal():
        raise InputError(f"{item[:80]!r} has no number of a version.", "training-set:NAME:2", f"{_SET}{name}")
    folder, manifest = find(store, name, int(number) if number else None)
    check_files(folder, manifest, thorough=True)
    files = [part.sha256 for part in manifest.parts]
    return Source(
        item=f"{_SET}{name}:{manifest.version}",
        table=name,
        reader=lambda: _reader(folder, manifest),
        digest=hashlib.sha256(json.dumps(files).encode()).hexdigest(),
        n_rows=manifest.n_rows,
        about={"training_set": json.dumps(dataclasses.asdict(manifest))},
    )


def _reader(folder: Path, manifest: Manifest) -> pa.RecordBatchReader:
    """Read the rows; memory holds one batch."""

    def batches() -> Iterator[pa.RecordBatch]:
        for part in manifest.parts:
            with pq.ParquetFile(folder / part.file) as file:
                yield from file.iter_batches()

    return pa.RecordBatchReader.from_batches(pq.read_schema(folder / manifest.parts[0].file), batches())

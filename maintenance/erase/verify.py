"""Search a store for traces of erased users. The search does not depend on the code that removed them.

1. SQL: every column of every table.
2. Parquet: every file, its columns decoded.
3. Indices: their ids, and that they have as many vectors as ids.
4. Bytes: the content and the name of every file.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from photogenic._lazy import duckdb, pa, pc
from photogenic.features.search import index
from photogenic.features.search.index_files import read_manifest
from photogenic.warehouse import Layout, Store
from photogenic.warehouse.erasure.delete_rows import (
    LEAST_BYTES,
    ErasedRecords,
    find_mentions,
    find_remains,
    sought_ids,
)

__all__ = ["search_for_remains"]

_BLOCK = 8 << 20


def search_for_remains(store: Store, gone: ErasedRecords) -> tuple[dict[str, Any], list[str]]:
    """Search for traces. Returns how much was searched, and the places of what was found.

    Ids shorter than six bytes, and those that are part of ids, paths or hashtags of other users, are searched for in
    columns only: in bytes they prove nothing.

    Args:
        store: the open store.
        gone: users to search for, with their photos, pictures and targets.
    """
    layout = store.layout

    ids = {*gone.users, *gone.photos, *gone.targets}
    with store.database.read() as con:
        found = [f"snapshot {what}" for what in find_remains(con, gone)]
        others = find_mentions(con, sorted(ids), themselves=not gone.purge)
        ids_of = sought_ids(con, gone)
    if not store.database.is_published():  # readers and the writer would see different people
        found.append(f"{layout.snapshot} is not a copy of {layout.warehouse.name}")
    sought = {id_ for id_ in ids - others if len(id_.encode()) >= LEAST_BYTES} | {*gone.sha256s}
    files = list(_files(layout))
    tables = [path for path in files if path.suffix == ".parquet"]
    for path in tables:
        with duckdb.connect() as con:
            found += _in_parquet(con, path, lambda column: [*gone.sha256s, *ids_of(column)])
    n_indices = 0
    for folder in layout.index("any").parent.glob("*/"):
        known = read_manifest(layout, folder.name)
        if known is not None:
            n_indices += 1
            found += _in_index(layout, known.encoder, {*gone.photos})
    n_bytes = 0
    with store.progress.stage("search for remains", len(files), "files") as advance:
        for path in files:
            n_bytes += path.stat().st_size
            here = sought
            if gone.purge and path in {layout.warehouse, layout.snapshot}:
                here = {*gone.sha256s}  # the ids are in it, as history; their columns were searched
            if _has_any(path, here) or any(id_ in path.name for id_ in sought):
                found.append(str(path))
            advance(1)
    looked = {
        "parquet_files": len(tables),
        "indices": n_indices,
        "files": len(files),
        "bytes": n_bytes,
        "ids_sought_in_bytes": len(sought),
        "ids_sought_in_columns_only": len(ids) - len(sought - {*gone.sha256s}),
    }
    return looked, found


def _files(layout: Layout) -> Iterator[Path]:
    """The files of the store, except the journal and the lock of the erase."""
    own = {layout.erase_journal, layout.lock}
    for path in sorted(layout.root.rglob("*")):
        if path.is_file() and path not in own:
            yield path


def _in_parquet(con: Any, path: Path, sought: Callable[[str], list[str]]) -> Iterator[str]:
    """Text columns, and lists of text, that have one of the values that are sought in a column of that name."""
    columns = con.execute("describe select * from read_parquet($1)", [glob.escape(str(path))]).fetchall()
    for column, kind, *_ in columns:
        if kind in ("VARCHAR", "VARCHAR[]"):
            quoted = '"' + column.replace('"', '""') + '"'
            value = f"unnest({quoted})" if kind.endswith("[]") else quoted
            query = f"""
                select count(*) from (select {value} as value from read_parquet($1))
                where value in (select unnest($2::varchar[]))
            """
            ((n,),) = con.execute(query, [glob.escape(str(path)), sought(column)]).fetchall()
            if n:
                yield f"{path} column {column}: {n}"


def _in_index(layout: Layout, encoder: str, photos: set[str]) -> Iterator[str]:
    held = index.load(layout, encoder)
    n = len(set(held.ids.to_list()) & photos)
    if n:
        yield f"index of {encoder}: {n}"
    n_vectors = {len(held.ids), held.manifest.n_photos, len(held.vectors)}
    if held.ivf is not None:
        n_vectors.add(int(held.ivf.index.ntotal))
    if len(n_vectors) > 1:
        yield f"index of {encoder}: {sorted(n_vectors)} ids and vectors"


def _has_any(path: Path, sought: set[str]) -> bool:
    """Whether the bytes of a file contain one of these texts."""
    if not sought:
        return False
    pattern = "|".join(_as_bytes(text) for text in sorted(sought))
    overlap = max(len(text.encode()) for text in sought)
    with path.open("rb") as file:
        tail = b""
        while block := file.read(_BLOCK):
            window: pa.Array = pa.array([tail + block], pa.large_binary())
            if pc.match_substring_regex(window, pattern)[0].as_py():
                return True
            tail = block[-overlap:]
    return False


def _as_bytes(text: str) -> str:
    r"""A regular expression that matches exactly these bytes: `\x6d\x65`."""
    return "".join(f"\\x{byte:02x}" for byte in text.encode())

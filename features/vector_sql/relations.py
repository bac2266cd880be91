"""The relations `vectors_<encoder>` and the list `vectors()`, read where the vectors lie.

The floats of a row group are one uncompressed page of a Parquet part (features/vectors/reader.py). DuckDB gets them as
an Arrow table over the mapped file: nothing is copied before a query reads it, and SQL has no access to any file.
Vectors of float16, which DuckDB has no type for, are converted when a query reads them, a chunk of rows at a time.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from dataclasses import dataclass

import numpy as np

from photogenic._lazy import pa
from photogenic.features.search.index_files import read_manifest
from photogenic.features.vectors import reader
from photogenic.warehouse.catalog import Column, Relation
from photogenic.warehouse.errors import StoreError
from photogenic.warehouse.storage.layout import Layout
from photogenic.warehouse.storage.parquet_parts import MANIFEST

__all__ = ["PREFIX", "Rows", "described", "encoders_by_relation", "list_of_vectors", "rows_of"]

PREFIX = "vectors_"
"""Beginning of the names of the relations."""

_OTHER = re.compile(r"[^a-z0-9_]")


def encoders_by_relation(layout: Layout) -> dict[str, str]:
    """Return the relation of each encoder with vectors: relation -> encoder, sorted.

    Characters of an encoder's name other than a-z, 0-9 and _ are _ in that of its relation. If two encoders would have
    the same relation, the later ones have a number after it.
    """
    found: dict[str, str] = {}
    folder = layout.embeddings("any").parent
    for name in sorted(_encoder_in(layout, path.parent.name) for path in folder.glob(f"*/{MANIFEST}")):
        plain = relation = PREFIX + _OTHER.sub("_", name.lower())
        number = 2
        while relation in found:
            relation, number = f"{plain}_{number}", number + 1
        found[relation] = name
    return dict(sorted(found.items()))


def _encoder_in(layout: Layout, folder: str) -> str:
    """Return the encoder whose vectors are in a folder: the name of the folder has no : and no /."""
    try:
        return reader.manifest(layout, folder).encoder
    except StoreError:
        return folder


@dataclass(frozen=True, slots=True)
class Rows:
    """The vectors of one encoder as DuckDB reads them.

    Attributes:
        table: photo_id and, for float32, `embedding`; otherwise `row`, the place of the vector in `vectors`.
        vectors: the set; it keeps the files mapped.
        is_direct: whether the table has the vectors themselves.
    """

    table: pa.Table
    vectors: reader.VectorSet
    is_direct: bool


def rows_of(layout: Layout, encoder: str) -> Rows:
    """Return the vectors of an encoder.

    Raises:
        StoreError: the store has no such vectors, or they are damaged.
    """
    vectors = reader.open_vectors(layout, encoder)
    held = _HELD.get((layout, encoder))
    if held is None or held.vectors is not vectors:
        _HELD.pop((layout, encoder), None)
        held = _HELD[layout, encoder] = _rows(vectors)
        for former in list(_HELD)[:-_MOST_HELD]:
            _HELD.pop(former, None)
    return held


_MOST_HELD = 16
_HELD: dict[tuple[Layout, str], Rows] = {}
"""The newest relation of each encoder: a former one would keep its files mapped."""


def _rows(vectors: reader.VectorSet) -> Rows:
    is_direct = vectors.manifest.dtype == "float32"
    if not is_direct:
        ids = vectors.ids()
        table = pa.table({"photo_id": pa.array(ids, pa.string()), "row": pa.array(np.arange(len(ids)), pa.int64())})
        return Rows(table, vectors, is_direct)
    return Rows(pa.concat_tables(_mapped(vectors)), vectors, is_direct)


def _mapped(vectors: reader.VectorSet) -> list[pa.Table]:
    kind = pa.list_(pa.float32(), vectors.dim)
    made = [pa.table({"photo_id": pa.array([], pa.string()), "embedding": pa.array([], kind)})]
    for keys, matrix in vectors.groups():
        table = pa.table(
            {
                "photo_id": keys["photo_id"].cast(pa.string()),
                "embedding": pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), type=kind),
            }
        )
        flip = keys["flip"].to_numpy()
        if not flip.any():
            made.append(table)
            continue
        # Vectors of mirror images stand beside the others; slices between them share the mapped file.
        edges = np.flatnonzero(np.diff(np.concatenate([[True], flip, [True]]).astype(np.int8)))
        made += [table.slice(start, end - start) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return made


def described(relation: str, known: reader.Manifest) -> Relation:
    """Return the contract of the vectors of an encoder."""
    what = "face in a photo" if known.input == "face" else "photo"
    n_bytes = "float16, converted to float" if known.dtype == "float16" else "float32"
    columns = (
        Column("photo_id", "varchar", "id of the photo"),
        Column("embedding", f"float[{known.dim}]", f"vector of the {what}, as {known.encoder} computed it"),
    )
    text = f"""-- {relation}: a photo of the store with its {known.encoder} vector
--
-- grain: photo_id
-- reads: photos
-- time: not applicable; as of a moment, only photos whose bytes are those of now
-- source: features build --encoder {known.encoder}
--
-- The vectors are read where they lie, in embeddings/{known.encoder}/ ({n_bytes}), and are not in the DuckDB files.
-- Distances: {_DISTANCE[known.metric]}. License of the weights: {known.licence}.
select
    cast(vectors.photo_id as varchar) as photo_id,  -- {columns[0].comment}
    cast(vectors.embedding as float[{known.dim}]) as embedding  -- {columns[1].comment}
from vectors
semi join photos on vectors.photo_id = photos.photo_id
"""
    return Relation(
        name=relation,
        text=text,
        summary=f"a photo of the store with its {known.encoder} vector",
        grain="photo_id",
        reads=("photos",),
        time="not applicable; as of a moment, only photos whose bytes are those of now",
        source=f"features build --encoder {known.encoder}",
        parameters=(),
        notes="",
        columns=columns,
    )


_DISTANCE = {"l2": "array_distance", "cosine": "array_cosine_distance"}


def list_of_vectors(layout: Layout) -> pa.Table:
    """Return one row per encoder with vectors: the rows of `vectors()`."""
    rows = []
    for relation, encoder in encoders_by_relation(layout).items():
        try:
            known = reader.manifest(layout, encoder)
        except StoreError:
            continue  # features doctor reports it
        made = read_manifest(layout, encoder)
        rows.append(
            {
                "encoder": encoder,
                "relation": relation,
                "dim": known.dim,
                "input": known.input,
                "metric": known.metric,
                "n_photos": known.n_photos,
                "index_kind": made and made.kind,
                "recall_at_10": made and made.recall_at_10,
                "licence": known.licence,
                "weights_sha256": known.weights_sha256,
                "created_at": dt.datetime.fromisoformat(known.created_at).astimezone(dt.UTC).replace(tzinfo=None),
            }
        )
    return pa.Table.from_pylist(rows, schema=_listed())


@functools.cache
def _listed() -> pa.Schema:
    text, whole = pa.string(), pa.int64()
    return pa.schema(
        [
            ("encoder", text),
            ("relation", text),
            ("dim", whole),
            ("input", text),
            ("metric", text),
            ("n_photos", whole),
            ("index_kind", text),
            ("recall_at_10", pa.float64()),
            ("licence", text),
            ("weights_sha256", text),
            ("created_at", pa.timestamp("us")),
        ]
    )

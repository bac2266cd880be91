"""Search every file of a folder for byte patterns, without knowledge of how the program uses the file.

Each file is searched as raw bytes. Parquet, DuckDB, gzip, zstandard and zip files are also unpacked and searched by
column and by member, regardless of their names.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["found", "patterns"]


def patterns(vector: np.ndarray) -> list[bytes]:
    """Return the possible bytes of a vector: float16, 32 and 64; as it is, and of length one."""
    wide = vector.astype(np.float64)
    length = np.float32(np.linalg.norm(vector.astype(np.float32)))
    forms = [vector.astype(np.float32), wide / np.linalg.norm(wide), vector.astype(np.float32) / length]
    return list({form.astype(kind).tobytes() for form in forms for kind in ("<f2", "<f4", "<f8")})


def found(root: Path, needles: Mapping[str, list[bytes]]) -> dict[str, set[str]]:
    """Return needle -> files whose name or content has one of its patterns."""
    hits: dict[str, set[str]] = {name: set() for name in needles}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        data = path.read_bytes()
        for piece in (str(path.relative_to(root)).encode(), data, *_taken_apart(path, data)):
            for name, forms in needles.items():
                if any(form in piece for form in forms):
                    hits[name].add(str(path.relative_to(root)))
    return hits


def _taken_apart(path: Path, data: bytes) -> Iterator[bytes]:
    if data[:4] == b"PAR1":
        file = pq.ParquetFile(io.BytesIO(data))
        for column in file.read().columns:
            yield _flat(column)
        yield repr([file.metadata.row_group(n).to_dict() for n in range(file.metadata.num_row_groups)]).encode()
    elif data[8:12] == b"DUCK":
        with duckdb.connect(path, read_only=True) as con:
            for schema, table in con.execute("select schema_name, table_name from duckdb_tables()").fetchall():
                for column in con.sql(f'from "{schema}"."{table}"').to_arrow_table().columns:
                    yield _flat(column)
            yield repr(con.execute("from duckdb_tables()").fetchall()).encode()
    elif data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    elif data[:4] == b"\x28\xb5\x2f\xfd":
        yield pa.decompress(data, codec="zstd", asbytes=True)
    elif data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield archive.read(name)


def _flat(column: pa.ChunkedArray) -> bytes:
    """Concatenate the values of a column of any type: text and bytes as they are, numbers as in memory."""
    parts = []
    for chunk in column.chunks:
        values = chunk
        while pa.types.is_nested(values.type) and not pa.types.is_struct(values.type):
            values = values.flatten()
        if pa.types.is_struct(values.type):
            parts.append(b"\0".join(_flat(pa.chunked_array([values.field(n)])) for n in range(values.type.num_fields)))
        elif pa.types.is_floating(values.type):
            numbers = values.to_numpy(zero_copy_only=False)
            parts += [numbers.astype(kind).tobytes() for kind in ("<f2", "<f4", "<f8")]
        else:
            values = values.drop_null().to_pylist()
            parts.append(b"\0".join(v if isinstance(v, bytes) else str(v).encode() for v in values))
    return b"\0".join(parts)

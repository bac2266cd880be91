"""Write the rows of a join into Parquet, and count them on the way: one pass, few rows in memory at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa, pc, pq
from photogenic.features.vectors.reader import VectorSet
from photogenic.models.training_sets.join import Join, quoted
from photogenic.warehouse.errors import InputError

__all__ = ["Written", "write_rows"]

ROW_GROUP = 122_880
"""Rows of a row group."""

_SAMPLE = 20_000
"""About how many rows the audit samples."""


@dataclass(slots=True)
class Written:
    """What was written.

    Attributes:
        n_rows: rows in the file.
        without_target: rows that were left out because the target is missing.
        duplicate_keys: rows whose ids and instant are those of another row; they are kept.
        matched: rows for which each relation had a row.
        missing: rows without a value, by column.
        splits: rows by split.
        content: checksum of the rows that does not depend on their order.
        sample: rows for the audit.
        schema: columns of the file.
    """

    n_rows: int = 0
    without_target: int = 0
    duplicate_keys: int = 0
    matched: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    content: str = ""
    sample: pa.Table | None = None
    schema: pa.Schema | None = None


def write_rows(join: Join, path: Path, n_entity: int, encoders: Mapping[str, VectorSet] | None = None) -> Written:
    """Run the join and write the file.

    Args:
        join: the join, whose tables are all there.
        path: file to write.
        n_entity: about how many rows it gives.
        encoders: vectors by the name of their column, for which the join gives positions.

    Raises:
        InputError: no row is left.
    """
    found, keys, total = Written(), list[NDArray[np.uint64]](), 0
    # A vector belongs to its photo and its encoder, whose digest is part of the content.
    vectors = {want.name for want in join.sources.features if not want.relation}
    names = [name for name in join.con.sql(join.query()).columns if name not in vectors]
    query = f"select *, hash({', '.join(map(quoted, names))}) as _row from ({join.query()}) as rows"
    reader = join.con.sql(query).to_arrow_reader(ROW_GROUP)
    shown = [name for name in reader.schema.names if not name.startswith("_")]
    kinds = {name: pa.list_(pa.float32(), held.dim) for name, held in (encoders or {}).items()}
    found.schema = pa.schema(
        [pa.field(name, kinds[name]) if name in kinds else reader.schema.field(name) for name in shown]
    )
    step, sampled = max(n_entity // _SAMPLE, 1), list[pa.RecordBatch]()
    repeated = [
        name for name in shown if name not in join.sources.entity.ids and _repeats(found.schema.field(name).type)
    ]
    with pq.ParquetWriter(path, found.schema, compression="zstd", use_dictionary=repeated) as writer:
        for whole in reader:
            batch = _with_target(whole, found)
            if not len(batch):
                continue
            hashes = batch["_row"].to_numpy()
            total = (total + int(hashes.sum(dtype=np.uint64))) % 2**64
            keys.append(batch["_key"].to_numpy())
            _count(batch, found)
            chosen = np.flatnonzero(hashes % np.uint64(step) == 0)
            if len(chosen):
                sampled.append(batch.take(pa.array(chosen)))
            columns = [
                _vectors(batch[name], encoders[name]) if encoders and name in kinds else batch[name] for name in shown
            ]
            writer.write_batch(pa.record_batch(columns, schema=found.schema))
    if not found.n_rows:
        raise InputError(
            "No row of the set is left.",
            "rows with ids, an instant, and a target",
            f"features sql 'from {join.sources.entity.relation.name} limit 5', and the same for the target",
        )
    every = np.sort(np.concatenate(keys))
    found.duplicate_keys = int(np.count_nonzero(every[1:] == every[:-1]))
    found.content = f"{total:016x}"
    found.sample = pa.Table.from_batches(sampled, reader.schema).select([n for n in reader.schema.names if n != "_row"])
    return found


def _vectors(positions: pa.Array, held: VectorSet) -> pa.Array:
    """Return the vectors at these positions; NULL where there is none."""
    at = pc.fill_null(positions, 0).to_numpy()
    X = held.at(at) if len(held.ids()) else np.zeros((len(at), held.dim), np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(X.reshape(-1)), held.dim, mask=pc.is_null(positions))


def _repeats(kind: pa.DataType) -> bool:
    """Whether values of a type are likely to be few, so that a dictionary of them is worth its cost."""
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind))


def _with_target(batch: pa.RecordBatch, found: Written) -> pa.RecordBatch:
    """Return the rows that have a target."""
    n_without = batch["target"].null_count
    if not n_without:
        return batch
    found.without_target += n_without
    return batch.filter(pc.is_valid(batch["target"]))


def _count(batch: pa.RecordBatch, found: Written) -> None:
    found.n_rows += len(batch)
    for name, column in _columns(batch):
        if name.startswith("_has_"):
            found.matched[name.removeprefix("_has_")] += pc.sum(column).as_py() or 0
        elif not name.startswith("_") and column.null_count:
            found.missing[name] += column.null_count
    for entry in pc.value_counts(batch["split"]).to_pylist():
        found.splits[str(entry["values"])] += entry["counts"]


def _columns(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.Array]]:
    return zip(batch.schema.names, batch.columns, strict=True)

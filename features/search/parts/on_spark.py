"""Encode the parts of an index on Spark: each task reads its slice of the stored vectors and writes one part.

The store lies on storage that the workers see under the same path: they read vectors from the Parquet parts, and the
trained cells from the folder of the parts, into which they write. A task that fails is tried again by Spark. A part has
its name only when it is complete, so a task that died leaves nothing that counts.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import faiss, pa, pl
from photogenic.features.compute.spark import program_archive
from photogenic.features.search.exact import unit_rows
from photogenic.features.search.parts.encode import Recipe, encode
from photogenic.features.vectors.reader import map_vectors
from photogenic.warehouse.processes import launch
from photogenic.warehouse.spark.session import Cluster, require_spark, run_on_spark, session

__all__ = ["StoredRows", "encode_on_spark"]


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Where the vectors of the rows of an index are stored.

    Attributes:
        folder: folder of the Parquet parts.
        files: name and number of rows of each part, in the order of the manifest.
        digest, dim, dtype: as in the manifest of the vectors.
        is_unit: whether rows are divided by their length.
        places: file of an int64 array (n,): the stored row of each photo, counted over all files.
    """

    folder: str
    files: tuple[tuple[str, int], ...]
    digest: str
    dim: int
    dtype: str
    is_unit: bool
    places: str

    def read(self, first: int, end: int) -> NDArray[np.float32]:
        """The vectors of the rows from `first` to `end`. float32 (end - first, dim)."""
        places = np.asarray(np.load(self.places, mmap_mode="r")[first:end])
        X, start = np.empty((len(places), self.dim), np.float32), 0
        for name, n_rows in self.files:
            if ((places >= start) & (places < start + n_rows)).any():
                at = start
                for group in map_vectors(Path(self.folder) / name, self.digest, self.dim, self.dtype):
                    (here,) = np.nonzero((places >= at) & (places < at + len(group)))
                    X[here] = group[places[here] - at]
                    at += len(group)
            start += n_rows
        return unit_rows(X) if self.is_unit else X


def encode_on_spark(
    cluster: Cluster, recipe: Recipe, slices: Sequence[tuple[int, int]], stored: StoredRows
) -> list[str]:
    """Write the parts of these slices of rows, and return their file names.

    Raises:
        InputError: Spark cannot be reached, or its workers fail, for example because they cannot read the store.
        MissingPartError: pyspark, pandas or Java is missing.
    """
    require_spark(cluster, "pandas")
    spark = session(cluster)
    if not cluster.is_here:
        run_on_spark(cluster, lambda: spark.addArtifacts(str(program_archive()), pyfile=True))
    folders = tuple(launch.module_folders()) if cluster.is_here else ()
    work = functools.partial(_work, recipe, stored, folders)
    rows = pa.table({"first": [first for first, _ in slices], "end": [end for _, end in slices]})

    def run() -> pa.Table:
        frame = spark.createDataFrame(rows, schema="first long, end long").repartition(len(slices))
        return frame.mapInArrow(work, "first long, name string").toArrow()

    made = pl.DataFrame(run_on_spark(cluster, run)).sort("first")
    return made["name"].to_list()


def _work(
    recipe: Recipe, stored: StoredRows, folders: tuple[str, ...], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Encode slices on a worker, on one core per task."""
    launch.append_module_folders([folder for folder in folders if folder not in sys.path])
    faiss.omp_set_num_threads(1)
    for batch in batches:
        for row in batch.to_pylist():
            name = encode(recipe, row["first"], row["end"], stored.read)
            yield pa.RecordBatch.from_pylist([{"first": row["first"], "name": name}])

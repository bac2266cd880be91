"""A version of a training set, read from its files.

held = load(store, "may")
held.frame()                   polars; held.frame(lazy=True) scans the files
held.to_torch()                tensors by column, which share the memory of held.to_arrow() where they can
held.files                     for datasets.load_dataset("parquet", data_files=held.files)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, overload

from photogenic._lazy import pa, pc, pl, pq, torch
from photogenic.models.data.array_types import Array
from photogenic.models.training_sets.versions import find
from photogenic.warehouse import InputError, Store
from photogenic.warehouse.errors import MissingPartError
from photogenic.warehouse.storage.training_set_files import Manifest, SetColumn, check_files

__all__ = ["NamedTrainingSet", "load"]

Split = Literal["train", "dev", "test"]


@dataclass
class NamedTrainingSet:
    """One version of a named training set, whose checksums were verified.

    Attributes:
        manifest: what it is.
        folder: its files.
    """

    manifest: Manifest
    folder: Path
    _table: pa.Table | None = field(default=None, repr=False)

    @classmethod
    def open(cls, folder: Path, manifest: Manifest) -> NamedTrainingSet:
        """Verify the checksums and open the version.

        Raises:
            StoreError: a file is damaged.
        """
        check_files(folder, manifest)
        return cls(manifest, folder)

    def __repr__(self) -> str:
        return f"NamedTrainingSet({self.name!r}, version={self.version}, n_rows={len(self):,})"

    def __len__(self) -> int:
        return self.manifest.n_rows

    @property
    def name(self) -> str:
        """Name of the set."""
        return self.manifest.name

    @property
    def version(self) -> int:
        """Number of the version."""
        return self.manifest.version

    @property
    def columns(self) -> tuple[SetColumn, ...]:
        """Its columns, each with type, role and source."""
        return self.manifest.columns

    @property
    def features(self) -> list[str]:
        """Names of the columns that are features."""
        return [column.name for column in self.columns if column.role == "feature"]

    @property
    def files(self) -> list[str]:
        """Paths of the Parquet files."""
        return [str(self.folder / part.file) for part in self.manifest.parts]

    @overload
    def frame(self, *, split: Split | None = None, lazy: Literal[False] = False) -> pl.DataFrame: ...
    @overload
    def frame(self, *, split: Split | None = None, lazy: Literal[True]) -> pl.LazyFrame: ...
    def frame(self, *, split: Split | None = None, lazy: bool = False) -> pl.DataFrame | pl.LazyFrame:
        """Return the rows as a polars frame.

        Args:
            split: train, dev or test. Default: all rows.
            lazy: whether to return a scan of the files instead, which reads only what a query needs.
        """
        _check_split(split)
        if lazy:
            scan = pl.scan_parquet(self.files, glob=False)
            return scan if split is None else scan.filter(pl.col("split") == split)
        found = pl.from_arrow(self.to_arrow(split=split))
        assert isinstance(found, pl.DataFrame)
        return found

    def to_arrow(self, *, split: Split | None = None) -> pa.Table:
        """Return the rows as an Arrow table with one chunk per column; it is read once, and kept."""
        _check_split(split)
        if self._table is None:
            self._table = pa.concat_tables([pq.read_table(file) for file in self.files]).combine_chunks()
        if split is None:
            return self._table
        return self._table.filter(pc.equal(self._table["split"], split)).combine_chunks()

    def to_pandas(self, *, split: Split | None = None) -> Any:
        """Return the rows as a pandas DataFrame; a vector is an array.

        Raises:
            MissingPartError: pandas is not installed.
        """
        table = self.to_arrow(split=split)
        try:
            return table.to_pandas()
        except ImportError as error:
            raise MissingPartError("pandas is not installed.", "the package pandas", "pip install pandas") from error

    def to_torch(
        self, *, columns: str | Sequence[str] | None = None, split: Split | None = None
    ) -> dict[str, torch.Tensor]:
        """Return tensors by column: numbers (n,), booleans (n,), vectors of encoders (n, d).

        A tensor of a column without missing values shares the memory of `to_arrow()`, except for booleans, which Arrow
        packs into bits. It must not be written to. Missing values are NaN, which needs a copy, as does one split.

        Args:
            columns: names of columns. Default: target, weight, and every feature that is a number, boolean or vector.
            split: train, dev or test. Default: all rows.

        Raises:
            InputError: a column does not exist, or cannot be a tensor.
        """
        table = self.to_arrow(split=split)
        return {name: _tensor(table[name]) for name in self._columns(table, columns)}

    def arrays(
        self, *, features: str | Sequence[str] | None = None, split: Split | None = None
    ) -> tuple[Array, Array, Array]:
        """Return X, y and weight as arrays of NumPy: float32 (n, d), float32 (n,), float32 (n,); missing is NaN.

        X has the features side by side, in the order of `features`. If that is a single encoder, X shares the memory
        of `to_arrow()`.

        Raises:
            InputError: a feature does not exist, or cannot be a number.
        """
        names = [features] if isinstance(features, str) else features
        table = self.to_arrow(split=split)
        chosen = [name for name in self._columns(table, names) if names is not None or name in self.features]
        parts = [_tensor(table[name]) for name in chosen]
        if not parts:
            raise InputError(f"{self} has no feature that is a number.", "numbers, booleans or vectors", "")
        wide = [(part if part.ndim == 2 else part[:, None]).to(torch.float32) for part in parts]
        X = wide[0] if len(wide) == 1 else torch.cat(wide, 1)
        return X.numpy(), _tensor(table["target"]).float().numpy(), _tensor(table["weight"]).float().numpy()

    def _columns(self, table: pa.Table, columns: str | Sequence[str] | None) -> list[str]:
        names = [columns] if isinstance(columns, str) else columns
        if names is None:
            roles = ("target", "weight", "feature")
            return [
                column.name
                for column in self.columns
                if column.role in roles and _can_be_tensor(table.schema.field(column.name).type)
            ]
        for name in names:
            if name not in table.schema.names:
                raise InputError(
                    f"{self.name} v{self.version} has no column {name[:80]!r}.",
                    f"one of {', '.join(table.schema.names)}",
                    "",
                )
            if not _can_be_tensor(table.schema.field(name).type):
                raise InputError(
                    f"Column {name} of {self.name} is of type {table.schema.field(name).type}.",
                    "numbers, booleans, instants or vectors",
                    "use frame() or to_arrow()",
                )
        return list(names)


def _can_be_tensor(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_timestamp(kind)
        or (types.is_fixed_size_list(kind) and types.is_floating(kind.value_type))
    )


def _tensor(column: pa.ChunkedArray) -> torch.Tensor:
    """Return a column as a tensor, in place where it has no missing values."""
    chunk: Any = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks) if len(column) else None
    if chunk is None:
        chunk = pa.array([], column.type)
    kind = chunk.type
    if pa.types.is_timestamp(kind):  # microseconds since 1970, UTC
        chunk, kind = chunk.cast(pa.timestamp("us")).view(pa.int64()), pa.int64()
    if pa.types.is_fixed_size_list(kind):
        if chunk.null_count:
            missing = pa.scalar([float("nan")] * kind.list_size, kind)
            chunk = pa.array([value if value.is_valid else missing for value in chunk], kind)
        return torch.utils.dlpack.from_dlpack(chunk.flatten()).reshape(len(chunk), kind.list_size)
    if pa.types.is_boolean(kind):
        if chunk.null_count:
            return torch.utils.dlpack.from_dlpack(pc.fill_null(chunk.cast(pa.float32()), float("nan")))
        return torch.utils.dlpack.from_dlpack(chunk.cast(pa.uint8())).bool()
    if chunk.null_count:
        if not pa.types.is_floating(kind):
            chunk = chunk.cast(pa.float64())
        chunk = pc.fill_null(chunk, float("nan"))
    return torch.utils.dlpack.from_dlpack(chunk)


def _check_split(split: object) -> None:
    if split not in (None, "train", "dev", "test"):
        raise InputError(f"There is no split {str(split)[:40]!r}.", "train, dev or test", 'split="train"')


def load(store: Store, name: str, version: int | None = None) -> NamedTrainingSet:
    """Return a version of a training set; None: its newest one. See `versions.find`."""
    return NamedTrainingSet.open(*find(store, name, version))

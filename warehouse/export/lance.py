"""Write Lance data sets: each export of an item is one version, which readers see as a whole.

Vectors are lists of a fixed size, so that Lance can search them. The version has the digest of the item in its
transaction, and a data set is unchanged if its newest version has the same digest.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from photogenic._lazy import pa
from photogenic.warehouse.errors import InputError, StoreError
from photogenic.warehouse.export.delta import client_address, load_part, storage_options
from photogenic.warehouse.export.options import ExportOptions
from photogenic.warehouse.export.writer import Counted, Exported, Target
from photogenic.warehouse.filesystems import local_path, open_location

__all__ = ["LanceWriter"]

_DIGEST = "photogenic.digest"
_MARK = b"photogenic.item"
"""Key in the metadata of the schema of a data set that an export made."""


class LanceWriter:
    """A writer of Lance data sets below one folder or address: `NAME.lance`, as LanceDB calls its tables."""

    def __init__(self, to: str) -> None:
        self._package = load_part("lance", "pylance", "Lance")
        self._to, self._root = to, open_location(to)
        self._options = storage_options(to)

    def _address(self, target: Target) -> str:
        return f"{client_address(self._to)}/{target.name}.lance"

    def _open(self, target: Target) -> Any:
        """Open the data set; None: there is none yet."""
        there = (self._root / f"{target.name}.lance").entries()
        if not there:
            return None
        try:
            return self._package.dataset(self._address(target), storage_options=self._options)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{(self._root / f'{target.name}.lance').name} holds something that is no Lance data set: "
                f"{there[0].path}.",
                "a folder that is empty or does not exist yet",
                f"--table {target.name}_1",
            ) from error

    def held(self, target: Target, options: ExportOptions) -> Exported | None:
        found = self._open(target)
        if found is None:
            return None
        if not options.append and _MARK not in (found.schema.metadata or {}):
            raise InputError(
                f"The Lance data set {(self._root / f'{target.name}.lance').name} was not written by an export.",
                "a data set of an earlier export, or --append",
                f"--table {target.name}_1",
            )
        if _digest_of(found) != target.digest:
            return None
        return self._exported(found, target, "unchanged", 0)

    def held_partitions(self, target: Target, options: ExportOptions) -> Collection[str]:
        del target, options
        return ()

    def write(self, reader: pa.RecordBatchReader, target: Target, options: ExportOptions) -> Exported:
        schema = reader.schema.with_metadata({**(reader.schema.metadata or {}), _MARK: target.item.encode()})
        counted = Counted(pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in reader)))
        path = local_path(self._to)
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
        mode = "create" if self._open(target) is None else "append" if options.append else "overwrite"
        try:
            found = self._package.write_dataset(
                counted.reader,
                self._address(target),
                mode=mode,
                storage_options=self._options,
                transaction_properties=dict(target.about) | {_DIGEST: target.digest},
            )
        except (OSError, ValueError, pa.ArrowException) as error:
            raise InputError(
                f"{(self._root / f'{target.name}.lance').name} cannot be written: {str(error).splitlines()[0][:300]}",
                "a folder or address that may be written, and columns that fit the data set",
                f"--table {target.name}_1",
            ) from error
        counted.check(target)
        return self._exported(found, target, "written", counted.n_rows)

    def _exported(self, found: Any, target: Target, state: Any, n_written: int) -> Exported:
        files = [file for part in found.get_fragments() for file in part.data_files()]
        place = self._root / f"{target.name}.lance"
        sizes = {entry.path: entry.bytes for entry in place.entries()}
        size = sum(sizes.get(f"data/{file.path}", 0) for file in files)
        return Exported(target.name, target.n_rows, len(files), size, state, place.name, n_written)

    def publish(self) -> None:
        """Do nothing: each version was visible at once."""

    def verify(self, target: Target) -> None:
        found = self._open(target)
        n_rows = 0 if found is None else found.count_rows()
        if found is not None:
            found.validate()
        if n_rows < target.n_rows:
            raise StoreError(
                f"{(self._root / f'{target.name}.lance').name} has {n_rows:,} rows.",
                f"{target.n_rows:,} rows",
                "run the same command again with another --table",
            )

    def close(self) -> None:
        """Do nothing: a version that was not committed is not seen."""


def _digest_of(found: Any) -> str | None:
    """The digest of the newest version, without regard to indices made on it; None: something else wrote it."""
    for version in range(found.version, 0, -1):
        try:
            made = found.read_transaction(version)
        except (OSError, ValueError):  # cleaned up
            return None
        digest: str | None = ((made and made.transaction_properties) or {}).get(_DIGEST)
        if digest is not None or made is None or type(made.operation).__name__ != "CreateIndex":
            return digest
    return None

"""Tables of Delta Lake, read by deltalake."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from photogenic._lazy import pa, pc
from photogenic.ingest.lake.table import DELETED, plain_schema, unreadable
from photogenic.ingest.readers.input_files import printable_name
from photogenic.warehouse import InputError, MissingPartError
from photogenic.warehouse.export.delta import storage_options
from photogenic.warehouse.filesystems import local_path, open_location, printable_address

__all__ = ["DeltaTable", "is_delta"]

_CDF = "delta.enableChangeDataFeed"
_ADDED = ("insert", "update_postimage")
_OF_CDF = ("_change_type", "_commit_version", "_commit_timestamp")


def is_delta(address: str) -> bool:
    """Whether a folder or an address has the log of a table of Delta Lake."""
    path = local_path(address)
    if path is not None:
        return (path / "_delta_log").is_dir()
    return bool((open_location(address) / "_delta_log").entries(recursive=False))


class DeltaTable:
    """One version of a table. See `lake.LakeTable`.

    Args:
        address: folder or address.
        version: number of the version; None: the newest one.

    Raises:
        InputError: the table cannot be read, or has no such version.
        MissingPartError: the package deltalake is not installed.
    """

    def __init__(self, address: str, version: int | None = None) -> None:
        self._package = _package()
        path = local_path(address)
        self.name = printable_address(address) if path is None else printable_name(address)
        self.name += f"#version={version}" if version is not None else ""
        self.folder = Path(address) if path is not None else Path()
        self._address = str(path) if path is not None else address.partition("?")[0].replace("s3a://", "s3://", 1)
        self._options = storage_options(address)
        self._errors = (self._package.exceptions.DeltaError, pa.ArrowException, OSError, ValueError)
        self._table = self._open(version)
        self.version: dict[str, Any] | None = {
            "table": str(self._table.metadata().id),
            "version": self._table.version(),
        }

    def rows(self) -> pa.RecordBatchReader:
        """Open the stream of all rows."""
        try:
            return pa.RecordBatchReader.from_stream(self._table.scan())
        except self._errors as error:
            raise unreadable(self.name, error) from error

    def rows_since(self, former: dict[str, Any]) -> tuple[pa.RecordBatchReader, Sequence[str]]:
        """Open the stream of rows since a former version: by the change data feed, else of files that were added."""
        now: dict[str, Any] = self.version or {}
        if former.get("table") != now["table"] or not isinstance(former.get("version"), int):
            return self.rows(), ("another table than before: read as a whole",)
        if former["version"] > now["version"]:
            return self.rows(), ("an earlier version than before: read as a whole",)
        if self._table.metadata().configuration.get(_CDF, "").lower() == "true":
            try:
                changes = self._table.load_cdf(starting_version=former["version"] + 1, ending_version=now["version"])
                return self._added(pa.RecordBatchReader.from_stream(changes))
            except self._errors:
                pass  # The feed was switched on later, or its files are gone.
        if self._table.protocol().reader_features:
            return self.rows(), ()
        try:
            before = set(self._open(former["version"]).file_uris())
        except InputError:  # Its log was removed.
            return self.rows(), ()
        try:
            return self._of_new_files(before), ()
        except self._errors as error:
            raise unreadable(self.name, error) from error

    def _open(self, version: int | None) -> Any:
        try:
            return self._package.DeltaTable(self._address, version=version, storage_options=self._options)
        except OverflowError as error:
            raise self._no_version(version) from error
        except self._errors as error:
            if version is not None and ("end version" in str(error) or "ersion" in str(error)):
                raise self._no_version(version) from error
            raise unreadable(self.name, error) from error

    def _no_version(self, version: int | None) -> InputError:
        return InputError(
            f"{self.name} has no version {version} that can be read.",
            "a version whose log and files are kept",
            "leave out #version, which reads the newest one",
        )

    def _of_new_files(self, before: set[str]) -> pa.RecordBatchReader:
        """The rows of files that a former version did not have."""
        whole = self._table.to_pyarrow_dataset()
        is_new = [uri not in before for uri in self._table.file_uris()]
        names = {uri.rsplit("/", 1)[-1] for uri, new in zip(self._table.file_uris(), is_new, strict=True) if new}
        fragments = [one for one in whole.get_fragments() if one.path.rsplit("/", 1)[-1] in names]
        dataset = type(whole)(fragments, whole.schema, whole.format, whole.filesystem)
        return dataset.scanner().to_reader()

    def _added(self, changes: pa.RecordBatchReader) -> tuple[pa.RecordBatchReader, Sequence[str]]:
        """The rows of a change data feed that are in the table, the newest of each commit."""
        given = plain_schema(changes.schema)
        kept = [at for at, name in enumerate(given.names) if name not in _OF_CDF]
        schema = pa.schema([given.field(at) for at in kept])
        kind = given.get_field_index("_change_type")

        notes = list[str]()

        def batches() -> Iterator[pa.RecordBatch]:
            n_deleted = 0
            for batch in changes:
                batch = batch.cast(given)  # noqa: PLW2901
                kinds = batch.column(kind)
                chosen = batch.filter(pc.is_in(kinds, pa.array(_ADDED)))
                n_deleted += pc.sum(pc.equal(kinds, "delete")).as_py() or 0
                yield pa.RecordBatch.from_arrays([chosen.column(at) for at in kept], schema=schema)
            if n_deleted:
                notes.append(f"{n_deleted:,} {DELETED}")

        return pa.RecordBatchReader.from_batches(schema, batches()), notes


def _package() -> Any:
    try:
        return importlib.import_module("deltalake")
    except ModuleNotFoundError as error:
        raise MissingPartError(
            f"A table of Delta Lake needs the package {error.name}.",
            "the extra lake, or files in Parquet",
            "pip install 'photogenic[lake]'",
        ) from error

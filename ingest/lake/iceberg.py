"""Tables of Apache Iceberg, read by pyiceberg."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from photogenic._lazy import pa
from photogenic.ingest.lake.table import DELETED, unreadable
from photogenic.ingest.readers.input_files import printable_name
from photogenic.warehouse import InputError, MissingPartError
from photogenic.warehouse.filesystems import local_path, open_location, printable_address

__all__ = ["IcebergTable"]

_NUMBER = re.compile(r"(?:v|0*)([0-9]+)")
_APPENDS = {"append", "replace", "delete"}
"""Operations of a snapshot that change no row: `replace` only rewrites files."""


class IcebergTable:
    """One snapshot of a table. See `lake.LakeTable`.

    Args:
        address: folder of the table, its metadata file, or `iceberg://CATALOG/NAMESPACE.TABLE`.
        snapshot: id of the snapshot; None: the current one.

    Raises:
        InputError: the table cannot be read, or has no such snapshot.
        MissingPartError: the package pyiceberg is not installed.
    """

    def __init__(self, address: str, snapshot: int | None = None) -> None:
        _package("pyiceberg.table")
        errors = _package("pyiceberg.exceptions")
        self._errors = tuple(
            found
            for name in dir(errors)
            if isinstance(found := getattr(errors, name), type) and issubclass(found, Exception)
        )
        self._errors += (pa.ArrowException, OSError, ValueError, KeyError, NotImplementedError, ImportError)
        path = local_path(address)
        self.name = printable_address(address) if path is None else printable_name(address)
        self.name += f"#snapshot={snapshot}" if snapshot is not None else ""
        self.folder = Path(address) if path is not None else Path()
        try:
            self._table = self._open(address, path)
            current = self._table.current_snapshot() if snapshot is None else self._table.snapshot_by_id(snapshot)
        except self._errors as error:
            if address.lower().startswith("iceberg://"):
                raise InputError(
                    f"{self.name} cannot be read: {(str(error).splitlines() or [type(error).__name__])[0][:300]}",
                    "a catalog in the configuration of pyiceberg, and a table in it",
                    "~/.pyiceberg.yaml, or PYICEBERG_CATALOG__DEFAULT__URI=...",
                ) from error
            raise unreadable(self.name, error) from error
        if current is None and snapshot is not None:
            raise InputError(
                f"{self.name} has no snapshot {snapshot}.",
                "the id of a snapshot that the table has kept",
                "leave out #snapshot, which reads the current one",
            )
        self._asked = snapshot
        self._id = current.snapshot_id if current is not None else None
        self.version: dict[str, Any] | None = None
        if current is not None:
            self.version = {"table": str(self._table.metadata.table_uuid), "snapshot": self._id}

    def rows(self) -> pa.RecordBatchReader:
        """Open the stream of all rows."""
        # With its id, even the current snapshot would have the names of columns from when it was written.
        return self._stream(lambda: self._table.scan(snapshot_id=self._asked))

    def rows_since(self, former: dict[str, Any]) -> tuple[pa.RecordBatchReader, Sequence[str]]:
        """Open the stream of rows that were appended since a former snapshot; all rows if others were changed."""
        if former.get("table") != str(self._table.metadata.table_uuid):
            return self.rows(), ("another table than before: read as a whole",)
        at, operations = self._id, set[str]()
        while at is not None and at != former.get("snapshot"):
            snapshot = self._table.snapshot_by_id(at)
            if snapshot is None:  # It has expired.
                break
            operations.add(snapshot.summary.operation.value if snapshot.summary else "overwrite")
            at = snapshot.parent_snapshot_id
        if at is None or at != former.get("snapshot") or operations - _APPENDS:
            return self.rows(), ()
        scan = self._table.incremental_append_scan
        notes = (f"some {DELETED}",) if "delete" in operations else ()
        return self._stream(lambda: scan(from_snapshot_id_exclusive=at, to_snapshot_id_inclusive=self._id)), notes

    def _stream(self, scan: Any) -> pa.RecordBatchReader:
        try:
            return scan().to_arrow_batch_reader()
        except self._errors as error:
            raise unreadable(self.name, error) from error

    def _open(self, address: str, path: Path | None) -> Any:
        if address.lower().startswith("iceberg://"):
            catalog, _, table = address[len("iceberg://") :].partition("/")
            if not catalog or "." not in table:
                raise InputError(
                    f"{self.name} names no table.", "iceberg://CATALOG/NAMESPACE.TABLE", "iceberg://default/app.swipes"
                )
            return _package("pyiceberg.catalog").load_catalog(catalog).load_table(table)
        static = _package("pyiceberg.table").StaticTable
        if path is not None:
            file = path if path.name.endswith(".metadata.json") else _newest(path)
            return static.from_metadata(str(file))
        place = address.partition("?")[0].replace("s3a://", "s3://", 1)
        if not place.endswith(".metadata.json"):
            entries = (open_location(address) / "metadata").entries(recursive=False)
            names = [entry.path for entry in entries if entry.path.endswith(".metadata.json")]
            if not names:
                raise _no_table(self.name)
            place = f"{place.rstrip('/')}/metadata/{max(names, key=_order)}"
        return static.from_metadata(place, _properties())


def _newest(folder: Path) -> Path:
    """The newest metadata file of a folder.

    Raises:
        InputError: there is none.
    """
    files = list((folder / "metadata").glob("*.metadata.json"))
    if not files:
        raise _no_table(printable_name(folder))
    return max(files, key=lambda file: _order(file.name))


def _no_table(name: str) -> InputError:
    return InputError(
        f"{name} is no table.",
        "a folder with _delta_log/ or with metadata/*.metadata.json",
        "name the folder of the table",
    )


def _order(name: str) -> tuple[int, str]:
    """Numbers stand first in the names of metadata files: `00003-UUID.metadata.json`, `v3.metadata.json`."""
    found = _NUMBER.match(name)
    return (int(found[1]) if found else -1, name)


def _properties() -> dict[str, str]:
    """Options of pyiceberg beside the environment: it does not read the endpoint."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return {"s3.endpoint": endpoint} if endpoint else {}


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingPartError(
            f"A table of Iceberg needs the package {error.name}.",
            "the extra lake, or files in Parquet",
            "pip install 'photogenic[lake]'",
        ) from error

"""Read tables of Delta Lake and Apache Iceberg: the rows of one version, as a stream that is copied.

    lake/swipes                          a folder with _delta_log/, or with metadata/*.metadata.json
    lake/swipes#version=3                version 3 of a table of Delta Lake
    lake/swipes#snapshot=12              a snapshot of a table of Iceberg
    lake/swipes/metadata/3.metadata.json a state of a table of Iceberg
    iceberg://CATALOG/NAMESPACE.TABLE    of a catalog in the configuration of pyiceberg
    s3://bucket/swipes                   the same in an object store

The libraries apply what a plain reader of the files would miss: replaced files, deleted rows, renamed columns.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from photogenic._lazy import pa
from photogenic.ingest.lake.delta import DeltaTable, is_delta
from photogenic.ingest.lake.iceberg import IcebergTable
from photogenic.ingest.lake.table import LakeTable, plain_schema, unreadable
from photogenic.ingest.options import SourceOptions
from photogenic.ingest.readers.input_files import InputFile, Spool
from photogenic.warehouse import InputError
from photogenic.warehouse.filesystems import open_location

__all__ = ["is_table", "open_changes", "open_source", "open_table"]

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_STORES = {"s3", "s3a", "gs", "az", "abfs", "abfss", "hdfs"}
_FILE = re.compile(
    r"[*?\[]|\.(?:csv|tsv|txt|json|jsonl|ndjson|parquet|avro|orc|arrow|feather|xlsx?|gz|zst)$", re.IGNORECASE
)
"""Addresses of files, or with wildcards, which are no tables."""

_MOMENT = re.compile(r"(?P<table>.*)#(?P<what>version|snapshot)=(?P<number>-?[0-9]{1,19})", re.S)


def is_table(source: str) -> bool:
    """Whether a path or an address is that of a table: a look at its folder, or two listings of a store."""
    address, what, _ = _split(source)
    scheme = _SCHEME.match(address)
    if scheme is not None:
        if scheme[1].lower() not in _STORES:
            return False
        if what or address.endswith(".metadata.json"):
            return True
        return not _FILE.search(address) and is_remote_table(address)
    path = Path(address)
    try:
        if path.name.endswith(".metadata.json"):
            return path.parent.name == "metadata" and path.is_file()
        return (path / "_delta_log").is_dir() or any((path / "metadata").glob("*.metadata.json"))
    except (OSError, ValueError):
        return False


def is_remote_table(address: str) -> bool:
    """Whether an address of an object store is that of a table."""
    place = open_location(address)
    if (place / "_delta_log").entries(recursive=False):
        return True
    return any(entry.path.endswith(".metadata.json") for entry in (place / "metadata").entries(recursive=False))


def open_source(given: str | os.PathLike[str], spool: Spool, options: SourceOptions) -> list[InputFile]:  # noqa: ARG001
    """Copy all rows of a table, and return them as one file.

    Args:
        given: path or address of the table.
        spool: where the rows are copied to.
        options: options of other sources.

    Raises:
        InputError: the table cannot be read.
        MissingPartError: the package that reads it is not installed.
        StoreError: there is no room for the rows.
    """
    table = open_table(os.fspath(given))
    return [_copied(table, table.rows(), (), spool)]


def open_changes(
    given: str, former: dict[str, Any] | None, spool: Spool
) -> tuple[list[InputFile], dict[str, Any] | None]:
    """Copy the rows that came since a former version, and return them with the version that they lead to.

    Args:
        given: path or address of the table.
        former: version up to which the table was read; None: not at all.
        spool: where the rows are copied to.

    Returns:
        No file: the version is the same.

    Raises:
        InputError: the table cannot be read.
        MissingPartError: the package that reads it is not installed.
        StoreError: there is no room for the rows.
    """
    table = open_table(given)
    if table.version == former or table.version is None:
        return [], table.version
    if former is None:
        return [_copied(table, table.rows(), (), spool)], table.version
    reader, notes = table.rows_since(former)
    return [_copied(table, reader, notes, spool)], table.version


def open_table(given: str) -> LakeTable:
    """Open one version of a table: the newest one, or the one that the address names.

    Raises:
        InputError: the table cannot be read.
        MissingPartError: the package that reads it is not installed.
    """
    address, what, number = _split(given)
    if not given.lower().startswith("iceberg://") and is_delta(address):
        if what == "snapshot":
            raise _wrong_moment(given, "Delta Lake", "version")
        return DeltaTable(address, number)
    if what == "version":
        raise _wrong_moment(given, "Iceberg", "snapshot")
    return IcebergTable(address, number)


def _split(given: str) -> tuple[str, str, int | None]:
    """The address of a table, and what follows `#`: `version` or `snapshot` with its number."""
    found = _MOMENT.fullmatch(given)
    if found is None:
        return given, "", None
    return found["table"], found["what"], int(found["number"])


def _wrong_moment(given: str, kind: str, expected: str) -> InputError:
    return InputError(
        f"The table of {kind} is named with {given[given.rindex('#') :]}.",
        f"#{expected}=NUMBER for a table of {kind}",
        f"leave out what follows #, or write #{expected}=NUMBER",
    )


def _copied(table: LakeTable, reader: pa.RecordBatchReader, notes: Sequence[str], spool: Spool) -> InputFile:
    schema = plain_schema(reader.schema)
    if not len(schema):
        raise InputError(f"{table.name} has no columns.", "a table with columns", "another table")

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in reader:
                yield batch.cast(schema)
        except (pa.ArrowException, OSError) as error:
            raise unreadable(table.name, error) from error

    path = spool.table(pa.RecordBatchReader.from_batches(schema, batches()), table.name)
    return InputFile(path, table.name, table.folder, is_stream=True, notes=tuple(notes))

"""The writer of an address, by the format that was asked for."""

from __future__ import annotations

from photogenic.warehouse.errors import ConflictError
from photogenic.warehouse.export.delta import DeltaWriter
from photogenic.warehouse.export.feast import FeastWriter
from photogenic.warehouse.export.folder import FolderWriter
from photogenic.warehouse.export.lance import LanceWriter
from photogenic.warehouse.export.options import ExportOptions, FileFormat
from photogenic.warehouse.export.postgres import PostgresWriter
from photogenic.warehouse.export.writer import Writer
from photogenic.warehouse.filesystems import open_location, printable_address
from photogenic.warehouse.postgresql import Address

__all__ = ["format_of", "name_of", "open_writer"]

_POSTGRES = ("postgresql://", "postgres://")


def name_of(to: str) -> str:
    """Return the address without secrets.

    Raises:
        InputError: it cannot be read as an address of PostgreSQL.
    """
    return str(Address(to)) if to.lower().startswith(_POSTGRES) else printable_address(to)


def format_of(to: str, options: ExportOptions) -> FileFormat:
    """Return the format that the options ask for, else the one of the address.

    Raises:
        ConflictError: address and options contradict each other.
    """
    is_database = to.lower().startswith(_POSTGRES)
    form = options.format or ("postgresql" if is_database else "parquet")
    name = name_of(to)
    if is_database != (form == "postgresql"):
        raise ConflictError(
            f"--as {form} does not fit {name}.",
            "postgresql for an address that begins with postgresql://, and another format for a folder",
            f"leave out --as {form}",
        )
    if options.append and form in ("parquet", "csv", "feast"):
        raise ConflictError(
            f"--append adds to a table, and files of {form} in {name} are replaced.",
            "--append with delta, lance or postgresql",
            "--as delta --append",
        )
    if options.partition and form in ("lance", "postgresql", "feast"):
        raise ConflictError(f"--as {form} has no partitions.", "parquet, csv or delta", "leave out --partition")
    return form


def open_writer(to: str, options: ExportOptions, timeout_s: float) -> Writer:
    """Open the writer of an address, which the caller closes.

    Raises:
        ConflictError: address and options contradict each other.
        InputError: the address is unknown, or holds something else.
        MissingPartError: the package of the format is not installed.
    """
    form = format_of(to, options)
    if form == "delta":
        return DeltaWriter(to)
    if form == "lance":
        return LanceWriter(to)
    if form == "feast":
        return FeastWriter(open_location(to), timeout_s)
    if form == "postgresql":
        return PostgresWriter(to)
    return FolderWriter(open_location(to), "csv" if form == "csv" else "parquet", timeout_s)

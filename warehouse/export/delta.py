"""Write Delta Lake tables: each export of an item is one commit, which readers see as a whole.

The commit has the digest of the item in its metadata. A table is unchanged if its newest commit has the same digest;
if anything was committed after an export, the next one writes the table again.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from photogenic._lazy import pa
from photogenic.warehouse.errors import InputError, MissingPartError, PhotogenicError, StoreError
from photogenic.warehouse.export.options import ExportOptions
from photogenic.warehouse.export.shapes import for_delta
from photogenic.warehouse.export.writer import Counted, Exported, Target
from photogenic.warehouse.filesystems import local_path, open_location
from photogenic.warehouse.filesystems.addresses import parse_address

if TYPE_CHECKING:
    import deltalake

__all__ = ["DeltaWriter", "client_address", "load_part", "storage_options"]

_DIGEST = "photogenic.digest"


def load_part(name: str, package: str, what: str) -> Any:
    """Import an optional package.

    Raises:
        MissingPartError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPartError(
            f"{what} needs the package {package}, which is not installed.",
            "the extra lake",
            "pip install 'photogenic[lake]'",
        ) from error


class DeltaWriter:
    """A writer of Delta tables below one folder or address."""

    def __init__(self, to: str) -> None:
        self._package = load_part("deltalake", "deltalake", "Delta Lake")
        self._to, self._root = to, open_location(to)
        self._options = storage_options(to)

    def _address(self, target: Target) -> str:
        return f"{client_address(self._to)}/{target.name}"

    def _open(self, target: Target) -> deltalake.DeltaTable | None:
        """Open the table; None: there is none yet."""
        address = self._address(target)
        try:
            if self._package.DeltaTable.is_deltatable(address, self._options):
                return self._package.DeltaTable(address, storage_options=self._options)  # type: ignore[no-any-return]
        except (self._package.exceptions.DeltaError, OSError) as error:
            raise self._failed(target, error) from error
        return None

    def held(self, target: Target, options: ExportOptions) -> Exported | None:
        table = self._open(target)
        if table is None:
            there = (self._root / target.name).entries()
            if there:
                raise InputError(
                    f"{(self._root / target.name).name} holds something that is no Delta table: {there[0].path}.",
                    "a folder that is empty or does not exist yet",
                    f"--table {target.name}_1",
                )
            return None
        history = table.history()
        if not options.append and not any(_DIGEST in commit for commit in history):
            raise InputError(
                f"The Delta table {(self._root / target.name).name} was not written by an export.",
                "a table of an earlier export, or --append",
                f"--table {target.name}_1",
            )
        if history[0].get(_DIGEST) != target.digest:
            return None
        return self._exported(table, target, "unchanged", target.n_rows, 0)

    def held_partitions(self, target: Target, options: ExportOptions) -> Collection[str]:
        del target, options
        return ()

    def write(self, reader: pa.RecordBatchReader, target: Target, options: ExportOptions) -> Exported:
        counted = Counted(for_delta(reader))
        properties = self._package.CommitProperties(custom_metadata=dict(target.about) | {_DIGEST: target.digest})
        path = local_path(self._to)
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
        before = self._open(target)
        try:
            self._package.write_deltalake(
                self._address(target) if before is None else before,
                counted.reader,
                mode="append" if options.append else "overwrite",
                schema_mode=None if options.append or before is None else "overwrite",
                partition_by=list(options.partition or ()) or None,
                commit_properties=properties,
                storage_options=self._options,
                writer_properties=self._package.WriterProperties(compression="ZSTD"),
            )
        except (self._package.exceptions.DeltaError, OSError, ValueError, pa.ArrowException) as error:
            raise self._failed(target, error) from error
        counted.check(target)
        table = self._open(target)
        assert table is not None
        return self._exported(table, target, "written", target.n_rows, counted.n_rows)

    def _failed(self, target: Target, error: Exception) -> Exception:
        if isinstance(error, PhotogenicError):
            return error
        name = (self._root / target.name).name
        return InputError(
            f"The Delta table {name} cannot be written: {str(error).splitlines()[0][:300]}",
            "a folder or address that may be written, and columns that fit the table",
            f"--table {target.name}_1",
        )

    def _exported(self, table: Any, target: Target, state: Any, n_rows: int, n_written: int) -> Exported:
        actions = pa.table(table.get_add_actions(flatten=True))
        sizes = actions.column("size_bytes").to_pylist()
        return Exported(target.name, n_rows, len(sizes), sum(sizes), state, (self._root / target.name).name, n_written)

    def publish(self) -> None:
        """Do nothing: each commit was visible at once."""

    def verify(self, target: Target) -> None:
        table = self._open(target)
        n_rows = 0 if table is None else table.to_pyarrow_dataset().count_rows()
        if table is None or (table.history(1)[0].get(_DIGEST) == target.digest and n_rows < target.n_rows):
            raise StoreError(
                f"The Delta table {(self._root / target.name).name} has {n_rows:,} rows.",
                f"{target.n_rows:,} rows",
                "run the same command again with another --table",
            )

    def close(self) -> None:
        """Do nothing: a commit that was not made left files that no reader sees, which `VACUUM` removes."""


def client_address(to: str) -> str:
    """Return an address for clients beside pyarrow: a path, or an address without keys and options."""
    path = local_path(to)
    if path is not None:
        return str(path)
    parts = parse_address(to)
    scheme = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}.get(parts.scheme, parts.scheme)
    container = f"{parts.user}@" if scheme in ("abfs", "abfss") and parts.user else ""
    return f"{scheme}://{container}{parts.host}/{parts.key}".rstrip("/")


def storage_options(to: str) -> dict[str, str]:
    """Return what such a client needs beside the environment: key and endpoint of S3, as in `open_location`."""
    if local_path(to) is not None:
        return {}
    parts = parse_address(to)
    if parts.scheme not in ("s3", "s3a", "s3n"):
        return {}
    key, _, secret = parts.user.partition(":")
    given = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret} if key and secret else {}
    endpoint = parts.options.get("endpoint_override") or next(
        (os.environ[name] for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if os.environ.get(name)), ""
    )
    if endpoint:
        given["AWS_ENDPOINT_URL"] = endpoint if "://" in endpoint else f"https://{endpoint}"
        given["AWS_ALLOW_HTTP"] = str(endpoint.startswith("http://")).lower()
    region = parts.options.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region or endpoint:
        given["AWS_REGION"] = region or "us-east-1"
    if parts.options.get("anonymous", "").lower() in ("true", "1", "yes"):
        given["AWS_SKIP_SIGNATURE"] = "true"
    return given

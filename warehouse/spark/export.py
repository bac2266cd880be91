"""A store's facts as partitioned Parquet, for an engine that reads them from storage that many machines share.

    URI/users/*.parquet                  as the base tables in sql/schema.sql, column for column
    URI/photos/ photo_files/ main_photos/ faces/
    URI/swipes/month=2024-01/*.parquet   by month of the swipe
    URI/_EXPORTING                       only while they are being written

URI is a folder, or an address that pyarrow knows: hdfs://, s3a://, gs://.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photogenic.warehouse.context import Store
from photogenic.warehouse.errors import InputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


__all__ = ["CUT_OFF", "TABLES", "Exported", "as_path", "columns_of", "export", "place"]

TABLES = ("users", "photos", "photo_files", "main_photos", "faces", "swipes")
"""The base tables that relations are computed from."""

CUT_OFF = "_EXPORTING"
"""A file that is there while, and only while, the others are being written."""

_ROWS_A_FILE, _ROWS_A_GROUP = 8_000_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Exported:
    """One table, as it was written."""

    table: str
    n_rows: int
    n_files: int
    bytes: int


def export(store: Store, uri: str) -> list[Exported]:
    """Write the facts of the published snapshot as Parquet; what was exported to the same place is replaced.

    Args:
        store: the open store.
        uri: a folder, or an address such as s3a://bucket/facts.

    Raises:
        InputError: nothing can be written there.
        StoreError: there is no store.
    """
    files, root = place(uri)
    try:
        files.create_dir(root, recursive=True)
        with files.open_output_stream(f"{root}/{CUT_OFF}"):
            pass
        with store.database.read() as con, store.progress.stage("export", len(TABLES), "tables") as advance:
            done = []
            for table in TABLES:
                done.append(_write(con, table, files, f"{root}/{table}"))
                advance(1)
        files.delete_file(f"{root}/{CUT_OFF}")
    except OSError as error:
        raise InputError(
            f"The facts cannot be written to {uri}: {error}",
            "a folder or an address that this machine may write to",
            "features export FOLDER",
        ) from error
    return done


def place(uri: str) -> tuple[Any, str]:
    """The file system as pyarrow has it, and the path in it.

    Raises:
        InputError: pyarrow does not know such addresses, or cannot reach this one.
    """
    import pyarrow as pa
    from pyarrow import fs

    path = as_path(uri)
    if path is not None:
        return fs.LocalFileSystem(), str(path)
    try:
        found, inside = fs.FileSystem.from_uri("s3://" + uri.removeprefix("s3a://") if uri.startswith("s3a:") else uri)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{uri} cannot be reached: {error}",
            "a folder, or an address that begins with hdfs://, s3a:// or gs://",
            "features export FOLDER, then copy the folder there",
        ) from error
    return found, inside.rstrip("/")


def as_path(uri: str) -> Path | None:
    """The folder on this machine, absolute; None: it is elsewhere."""
    if uri.startswith("file:"):
        return Path("/" + uri.removeprefix("file:").lstrip("/"))
    return None if "://" in uri else Path(uri).absolute()


def columns_of(con: DuckDBPyConnection, table: str) -> list[tuple[str, str]]:
    """(name, DuckDB's type) of each column of a base table, in order."""
    query = (
        "select column_name, lower(data_type) from duckdb_columns() where schema_name = 'facts' and table_name = $1 "
        "and not internal order by database_name, column_index"
    )
    return [(name, kind) for name, kind in con.execute(query, [table]).fetchall()]


def _write(con: DuckDBPyConnection, table: str, files: Any, folder: str) -> Exported:
    """Swipes by month; the others, which are as many as photos, in files of some millions of rows."""
    import pyarrow as pa
    from pyarrow import dataset, fs

    month = ", strftime(swiped_at, '%Y-%m') as month" if table == "swipes" else ""
    rows = con.sql(f"select *{month} from facts.{table}").to_arrow_reader(200_000)
    files.create_dir(folder, recursive=True)
    files.delete_dir_contents(folder)
    dataset.write_dataset(
        rows,
        folder,
        filesystem=files,
        format="parquet",
        file_options=dataset.ParquetFileFormat().make_write_options(compression="zstd"),
        partitioning=dataset.partitioning(pa.schema([("month", pa.string())]), flavor="hive") if month else None,
        max_rows_per_file=_ROWS_A_FILE,
        max_rows_per_group=_ROWS_A_GROUP,
        existing_data_behavior="overwrite_or_ignore",
    )
    found = [f for f in files.get_file_info(fs.FileSelector(folder, recursive=True)) if f.type == fs.FileType.File]
    if not found:  # of no rows there would be no file, and no columns
        import pyarrow.parquet as pq

        empty = con.sql(f"select * from facts.{table} limit 0").to_arrow_table()
        pq.write_table(empty, f"{folder}/part-0.parquet", filesystem=files)
        found = files.get_file_info([f"{folder}/part-0.parquet"])
    ((n_rows,),) = con.execute(f"select count(*) from facts.{table}").fetchall()
    return Exported(table, n_rows, len(found), sum(f.size for f in found))

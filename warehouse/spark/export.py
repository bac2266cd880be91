"""Export the facts of a store as partitioned Parquet, for an engine that reads them from shared storage.

    URI/users/*.parquet                  same columns as the base tables in sql/schema.sql
    URI/photos/ photo_files/ main_photos/ faces/
    URI/swipes/month=2024-01/*.parquet   partitioned by month of the swipe
    URI/_EXPORTING                       only while they are being written

URI is a folder, or an address that pyarrow supports: hdfs://, s3a://, gs://.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from photogenic._lazy import duckdb, pa, pq
from photogenic.warehouse.context import Store
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.filesystems import filesystem_of

__all__ = ["TABLES", "UNFINISHED", "Exported", "columns_of", "export"]

TABLES = ("users", "photos", "photo_files", "main_photos", "replaced_main_photos", "faces", "replaced_swipes", "swipes")
"""Base tables from which relations are computed."""

UNFINISHED = "_EXPORTING"
"""Name of a file that exists only while the others are being written."""

_ROWS_A_FILE, _ROWS_A_GROUP = 8_000_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Exported:
    """One exported table."""

    table: str
    n_rows: int
    n_files: int
    bytes: int


def export(store: Store, uri: str) -> list[Exported]:
    """Write the facts of the published snapshot as Parquet, in place of an earlier export to the same address.

    Args:
        store: the open store.
        uri: folder or address of the export, e.g. s3a://bucket/facts.

    Raises:
        InputError: the address cannot be written to.
        StoreError: there is no store.
    """
    files, root = filesystem_of(uri)
    try:
        files.create_dir(root, recursive=True)
        with files.open_output_stream(f"{root}/{UNFINISHED}"):
            pass
        with store.database.read() as con, store.progress.stage("export", len(TABLES), "tables") as advance:
            done = []
            for table in TABLES:
                done.append(_write(con, table, files, f"{root}/{table}"))
                advance(1)
        files.delete_file(f"{root}/{UNFINISHED}")
    except OSError as error:
        raise InputError(
            f"The facts cannot be written to {uri}: {error}",
            "a folder or an address that this machine may write to",
            "features export FOLDER",
        ) from error
    return done


def columns_of(con: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str]]:
    """Return (name, DuckDB type) of each column of a base table, in order."""
    query = (
        "select column_name, lower(data_type) from system.main.duckdb_columns()"
        " where schema_name = 'facts' and table_name = $1 and not internal order by database_name, column_index"
    )
    return [(name, kind) for name, kind in con.execute(query, [table]).fetchall()]


def _write(con: duckdb.DuckDBPyConnection, table: str, files: Any, folder: str) -> Exported:
    """Write swipes by month, and the smaller tables in files of some millions of rows."""
    month = ", strftime(swiped_at, '%Y-%m') as month" if table == "swipes" else ""
    rows = con.sql(f"select *{month} from facts.{table}").to_arrow_reader(200_000)
    files.create_dir(folder, recursive=True)
    files.delete_dir_contents(folder)
    pa.dataset.write_dataset(
        rows,
        folder,
        filesystem=files,
        format="parquet",
        file_options=pa.dataset.ParquetFileFormat().make_write_options(compression="zstd"),
        partitioning=pa.dataset.partitioning(pa.schema([("month", pa.string())]), flavor="hive") if month else None,
        max_rows_per_file=_ROWS_A_FILE,
        max_rows_per_group=_ROWS_A_GROUP,
        existing_data_behavior="overwrite_or_ignore",
    )
    found = [
        f for f in files.get_file_info(pa.fs.FileSelector(folder, recursive=True)) if f.type == pa.fs.FileType.File
    ]
    if not found:  # an empty table would give no file, and so no columns
        empty = con.sql(f"select * from facts.{table} limit 0").to_arrow_table()
        pq.write_table(empty, f"{folder}/part-0.parquet", filesystem=files)
        found = files.get_file_info([f"{folder}/part-0.parquet"])
    ((n_rows,),) = con.execute(f"select count(*) from facts.{table}").fetchall()
    return Exported(table, n_rows, len(found), sum(f.size for f in found))

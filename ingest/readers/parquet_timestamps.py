"""Read Parquet timestamps in milliseconds or seconds that are out of range for microseconds, e.g. JDBC's infinity.

DuckDB converts such columns to microseconds while it reads them, and refuses the whole file if that overflows. So
Arrow reads these columns, and a value out of range becomes an infinite time, for which only its row is refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from photogenic._lazy import duckdb, pa, pq
from photogenic.ingest.readers import parquet_schema
from photogenic.ingest.readers.source_files import Source
from photogenic.ingest.sources.arrow_types import is_coarse, microseconds
from photogenic.ingest.tabular import scan_sql

__all__ = ["prepare"]

_MOST = (1 << 63) - 1


def prepare(con: duckdb.DuckDBPyConnection, source: Source) -> frozenset[int]:
    """Fill the temporary table `far_instants` (line, f0...) with the columns that DuckDB cannot read, if any.

    Returns:
        The numbers of these fields. Those inside lists and structures are not in the table.
    """
    if source.format != "parquet":
        return frozenset()
    try:
        with pq.ParquetFile(source.path) as file:
            schema = file.schema_arrow
            if len(schema) != source.n_columns:
                return frozenset()
            far = [number for number in range(len(schema)) if is_coarse(schema.field(number).type)]
            far = [number for number in far if not _is_near(file, number) and not _is_read(source, number)]
            flat = [number for number in far if pa.types.is_timestamp(schema.field(number).type)]
            if flat:
                con.register("given_instants", _reader(file, flat))
                try:
                    con.execute("create or replace temp table far_instants as from given_instants")
                finally:
                    con.unregister("given_instants")
    except (pa.ArrowException, OSError):
        return frozenset()  # DuckDB reports what is wrong with the file.
    return frozenset(far)


def _is_near(file: pq.ParquetFile, number: int) -> bool:
    """Whether all values of a column fit microseconds, by the file's statistics."""
    name = file.schema_arrow.field(number).name
    columns = [at for at in range(file.metadata.num_columns) if file.schema.column(at).path == name]
    if len(columns) != 1:
        return False
    for group in range(file.metadata.num_row_groups):
        chunk = file.metadata.row_group(group).column(columns[0])
        if not chunk.is_stats_set or chunk.physical_type != "INT64":
            return False
        statistics = chunk.statistics
        if statistics.null_count == chunk.num_values:
            continue
        if not statistics.has_min_max or max(-statistics.min_raw, statistics.max_raw) > _MOST // 1000:
            return False
    return True


def _is_read(source: Source, number: int) -> bool:
    """Whether DuckDB can read the column."""
    file, names = parquet_schema.table_function(source.path), scan_sql.aliases(source)
    with duckdb.connect() as con:  # An error would end the transaction of the ingest.
        try:
            con.execute(f"select max(hash(f{number})) from {file} as given({names})").fetchall()
        except duckdb.ConversionException:
            return False
    return True


def _reader(file: pq.ParquetFile, numbers: list[int]) -> pa.RecordBatchReader:

    types = [file.schema_arrow.field(number).type for number in numbers]
    all_names = file.schema_arrow.names
    names = [all_names[number] for number in numbers]
    # Arrow selects columns by name; if a name is not unique, all columns are read, and these are taken by position.
    is_clear = all(all_names.count(name) == 1 for name in names)
    places = range(len(numbers)) if is_clear else numbers
    fields = [("line", pa.int64())]
    fields += [(f"f{n}", pa.timestamp("us", type_.tz and "UTC")) for n, type_ in zip(numbers, types, strict=True)]
    schema = pa.schema(fields)

    def batches() -> Iterator[pa.RecordBatch]:
        line = 1
        for batch in file.iter_batches(columns=names if is_clear else None):
            arrays = [microseconds(batch.column(place)) for place in places]
            lines = pa.array(range(line, line + len(batch)), pa.int64())
            line += len(batch)
            yield pa.record_batch([lines, *arrays], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())

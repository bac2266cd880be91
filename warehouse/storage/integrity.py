"""Check that a database file can be read to its last block. DuckDB verifies the checksum of each block."""

from __future__ import annotations

from pathlib import Path

from photogenic._lazy import duckdb
from photogenic.warehouse.duckdb_store.migrations import version_of

__all__ = ["find_corruption", "why_not_a_store"]


def find_corruption(path: Path, memory_limit: str) -> str | None:
    """Return the error of reading the file; None: every row of every table can be read. Reads the whole file."""
    try:
        with duckdb.connect(":memory:", config={"threads": 1, "memory_limit": memory_limit}) as con:
            con.execute("set enable_progress_bar = false")
            con.execute(f"attach {_quoted(path)} as looked_at (read_only)")
            tables = con.execute(
                "select schema_name, table_name from duckdb_tables() where database_name = 'looked_at'"
            ).fetchall()
            for schema, table in tables:
                con.execute(f'select bit_xor(hash(t)) from looked_at."{schema}"."{table}" as t').fetchall()
    except duckdb.Error as error:
        return str(error).splitlines()[0]
    return None


def why_not_a_store(path: Path) -> str | None:
    """Return why a file is not the database of a store; None: it is one. Reads only its first blocks."""
    try:
        with duckdb.connect(":memory:", config={"threads": 1}) as con:
            con.execute(f"attach {_quoted(path)} as looked_at (read_only)")
            con.execute("use looked_at")
            return None if version_of(con) is not None else "it is not the database of a store"
    except duckdb.Error as error:
        return str(error).splitlines()[0]


def _quoted(path: Path) -> str:
    return "'" + str(path.absolute()).replace("'", "''") + "'"

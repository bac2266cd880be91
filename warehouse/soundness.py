"""Whether a database file can be read to its last block. DuckDB compares each block with its checksum as it reads."""

from __future__ import annotations

from pathlib import Path

__all__ = ["fault_in"]


def fault_in(path: Path, memory_limit: str) -> str | None:
    """What is wrong with the file; None: every row of every table can be read. Reads all of it."""
    import duckdb

    quoted = "'" + str(path).replace("'", "''") + "'"
    try:
        with duckdb.connect(":memory:", config={"threads": 1, "memory_limit": memory_limit}) as con:
            con.execute("set enable_progress_bar = false")
            con.execute(f"attach {quoted} as looked_at (read_only)")
            tables = con.execute(
                "select schema_name, table_name from duckdb_tables() where database_name = 'looked_at'"
            ).fetchall()
            for schema, table in tables:
                con.execute(f'select bit_xor(hash(t)) from looked_at."{schema}"."{table}" as t').fetchall()
    except duckdb.Error as error:
        return str(error).splitlines()[0]
    return None

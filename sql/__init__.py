"""sql: how is it computed?

One file per relation, each a bare SELECT in the subset that DuckDB and Spark share, with its
contract in the header; `schema.sql` holds the base tables, `audits/` the queries that must return
no rows, `ingest/` the checks on incoming rows. Nothing here runs anything: warehouse/ does, and
whoever wants to know what a number means reads the file of its name.
"""

from __future__ import annotations

from importlib.resources import files

__all__ = ["read", "schema"]


def read(name: str) -> str:
    """The text of `sql/NAME.sql`; `name` may hold a folder, such as `audits/ratios_in_range`."""
    return files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")


def schema() -> str:
    """The statements that create the base tables of a new store."""
    return read("schema")

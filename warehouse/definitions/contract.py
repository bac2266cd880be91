"""Compare the rows of an own relation with its contract: the columns, and the grain, which must be unique."""

from __future__ import annotations

from typing import Any

from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Relation
from photogenic.warehouse.errors import AuditError

__all__ = ["check_contract"]


def check_contract(con: duckdb.DuckDBPyConnection, what: Relation) -> None:
    """Compare the columns with the contract, and check that the grain is unique.

    Raises:
        AuditError: the rows break the contract.
    """
    found = con.execute(f"describe select * from {what.name}").fetchall()
    casts = ", ".join(f'cast(null as {column.type}) as "{column.name}"' for column in what.columns)
    said = con.execute(f"describe select {casts}").fetchall()
    if [row[:2] for row in found] != [row[:2] for row in said]:
        raise AuditError(
            f"relations/{what.name}.sql: {_differences(found, said)}.",
            "each column of the last SELECT as `cast(... as TYPE) as NAME, -- what it holds`, on its own line",
            f"correct the columns of relations/{what.name}.sql",
        )
    if what.grain == "one row":
        ((n,),) = con.execute(f"select count(*) from {what.name}").fetchall()
        if n != 1:
            raise AuditError(f"{what.name} has {n:,} rows, and the grain `one row`.", "one row", "")
    if what.keys:
        keys = ", ".join(f'"{key}"' for key in what.keys)
        twice = f"group by {keys} having count(*) > 1 order by all limit 1"
        query = f"select {keys}, count(*) as n from {what.name} {twice}"
        for row in con.execute(query).fetchall():
            shown = ", ".join(f"{key} = {value}" for key, value in zip(what.keys, row[:-1], strict=True))
            raise AuditError(
                f"{what.name} has {row[-1]:,} rows with {shown}.",
                f"one row for each {', '.join(what.keys)}, the grain in its header",
                f"correct the SELECT or the grain in relations/{what.name}.sql",
            )


def _differences(found: list[tuple[Any, ...]], said: list[tuple[Any, ...]]) -> str:
    """Name the columns that the SELECT gives otherwise than their casts and comments say."""
    given, declared = ({row[0]: row[1].lower() for row in rows} for rows in (found, said))
    told = [
        *(f"{name} has no cast with a comment" for name in given if name not in declared),
        *(f"{name} is declared, and is no column of the SELECT" for name in declared if name not in given),
        *(
            f"{name} is {kind}, and its cast says {declared[name]}"
            for name, kind in given.items()
            if declared.get(name, kind) != kind
        ),
    ]
    return "; ".join(told) or f"the columns are {', '.join(given)}, and are declared as {', '.join(declared)}"

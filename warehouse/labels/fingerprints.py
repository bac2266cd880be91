"""Record the inputs of each relation, so that the next build finds the stale ones.

The digest of a computed relation is a checksum of its rows in any order. The digest of facts, which are only
appended or erased, is a mark: how many rows had arrived before the instant of the clock, and when the last of
them arrived.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Relation

__all__ = ["Mark", "State", "checksum", "digest_of", "mark_of", "read_states", "write_states"]


@dataclass(frozen=True, slots=True)
class State:
    """State of one relation when it was last computed."""

    relation: str
    digest: str
    n_rows: int
    checksum: str
    inputs: dict[str, str]


@dataclass(frozen=True, slots=True)
class Mark:
    """The facts that a build read: the first `n` to arrive, the last of them at `until`, as of `as_of`."""

    n: int
    until: dt.datetime
    as_of: dt.datetime

    def __str__(self) -> str:
        return f"{self.n} until {self.until.isoformat()} as of {self.as_of.isoformat()}"

    @classmethod
    def from_text(cls, text: str) -> Mark:
        n, _, until, _, _, as_of = text.split()
        return cls(int(n), dt.datetime.fromisoformat(until), dt.datetime.fromisoformat(as_of))


def mark_of(con: duckdb.DuckDBPyConnection, table: str, as_of: dt.datetime) -> Mark:
    """Return the mark of the rows of a base table that had arrived before `as_of`."""
    query = f"select count(*), max(ingested_at) from {table} where ingested_at < $1"
    ((n, until),) = con.execute(query, [as_of]).fetchall()
    return Mark(n, until or dt.datetime(1970, 1, 1), as_of)


def checksum(con: duckdb.DuckDBPyConnection, name: str) -> tuple[int, str]:
    """Return the number of rows of a table, and a checksum of their content that does not depend on their order."""
    columns = [column[0] for column in con.execute(f"select * from {name} limit 0").description]
    query = f"select count(*), coalesce(sum(hash({', '.join(columns)})), 0) from {name}"
    ((n, total),) = con.execute(query).fetchall()
    return n, f"{total % 2**64:016x}"


def digest_of(relation: Relation, parameters: dict[str, Any], inputs: dict[str, str]) -> str:
    """Return the digest of everything that determines the content of a relation."""
    parts = [relation.text, {name: str(parameters[name]) for name in relation.parameters}, inputs]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_states(con: duckdb.DuckDBPyConnection) -> dict[str, State]:
    """Read the states of all computed relations, by name."""
    rows = con.execute("select relation, digest, n_rows, checksum, inputs from facts.relation_state").fetchall()
    return {row[0]: State(row[0], row[1], row[2], row[3], json.loads(row[4])) for row in rows}


def write_states(con: duckdb.DuckDBPyConnection, states: Sequence[State]) -> None:
    """Record the states of relations that were just computed."""
    columns = [
        [state.relation for state in states],
        [state.digest for state in states],
        [state.n_rows for state in states],
        [state.checksum for state in states],
        [json.dumps(state.inputs) for state in states],
    ]
    con.execute("delete from facts.relation_state where list_contains($1, relation)", columns[:1])
    con.execute(
        "insert into facts.relation_state select unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), $6",
        [*columns, dt.datetime.now(dt.UTC).replace(tzinfo=None)],
    )

"""Record the inputs of each relation, so that the next build finds the stale ones.

The digest of a computed relation is a checksum of its rows in any order. The digest of facts is a mark: how many rows
had arrived before `known_at`, when the last of them arrived, and the last ingest that brought or replaced one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Relation, view_texts
from photogenic.warehouse.moment import EVERYTHING, Moment

__all__ = ["Mark", "State", "checksum", "digest_of", "mark_of", "mark_query", "read_states", "write_states"]


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
    """The rows of a base table that a build read.

    Attributes:
        n: number of rows.
        until: arrival of the last of them.
        batch: the last ingest that brought or replaced one; 0: the table does not say.
        moment: the moment of the build.
    """

    n: int
    until: dt.datetime
    batch: int
    moment: Moment

    def __str__(self) -> str:
        instants = (self.until, self.moment.as_of, self.moment.known_at)
        return " ".join([str(self.n), str(self.batch), *(instant.isoformat() for instant in instants)])

    @classmethod
    def from_text(cls, text: str) -> Mark | None:
        """Read the text of a mark; None: it is of an older version."""
        parts = text.split()
        if len(parts) != 5:
            return None
        n, batch, until, as_of, known_at = parts
        read = dt.datetime.fromisoformat
        return cls(int(n), read(until), int(batch), Moment(read(as_of), read(known_at)))


_VERSIONED = {"facts.swipes": "facts.replaced_swipes", "facts.main_photos": "facts.replaced_main_photos"}
"""Base table of events -> table of their former versions."""


def mark_query(table: str, moment: Moment) -> str:
    """Return the query of n, until and batch of a base table.

    While everything is known, former versions do not count: that one was replaced shows in the table of events.
    """
    if moment.known_at == EVERYTHING:
        if table in _VERSIONED.values():
            return "select 0, null, 0"
        known = ""
    else:
        known = f" where ingested_at < cast('{moment.known_at}' as timestamp)"
    batch = "0"
    if table in _VERSIONED:
        batch = f"greatest(coalesce(max(batch), 0), (select coalesce(max(replaced_batch), 0) from {_VERSIONED[table]}))"
    elif table in _VERSIONED.values():
        batch = "coalesce(max(replaced_batch), 0)"
    return f"select count(*), max(ingested_at), {batch} from {table}{known}"


def mark_of(con: duckdb.DuckDBPyConnection, table: str, moment: Moment) -> Mark:
    """Return the mark of the rows of a base table that had arrived before `known_at`."""
    ((n, until, batch),) = con.execute(mark_query(table, moment)).fetchall()
    return Mark(n, until or dt.datetime(1970, 1, 1), batch, moment)


def checksum(con: duckdb.DuckDBPyConnection, name: str) -> tuple[int, str]:
    """Return the number of rows of a table, and a checksum of their content that does not depend on their order."""
    columns = [column[0] for column in con.execute(f"select * from {name} limit 0").description]
    query = f"select count(*), coalesce(sum(hash({', '.join(columns)})), 0) from {name}"
    ((n, total),) = con.execute(query).fetchall()
    return n, f"{total % 2**64:016x}"


def digest_of(relation: Relation, parameters: dict[str, Any], inputs: dict[str, str]) -> str:
    """Return the digest of everything that determines the content of a relation.

    That is its SQL and that of the views of sql/ below it, which another version of the program may change; its
    parameters; and the digests of what it reads.
    """
    texts = [relation.text, *view_texts(relation.reads)]
    parts = [texts, {name: str(parameters[name]) for name in relation.parameters}, inputs]
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

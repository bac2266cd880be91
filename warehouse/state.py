"""What each relation was computed from, so that the next build knows what is stale.

A digest stands for content: of a table or view, a checksum of its rows in any order; of the swipes,
which only ever grow, how many there are and when the last ones arrived.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from warehouse.relations import Relation

__all__ = ["State", "SwipeMark", "checksum", "digest_of", "read_states", "swipe_mark"]


@dataclass(frozen=True, slots=True)
class State:
    """How one relation stood when it was last computed."""

    relation: str
    digest: str
    n_rows: int
    checksum: str
    inputs: dict[str, str]


@dataclass(frozen=True, slots=True)
class SwipeMark:
    """Which swipes a build saw: the first `n` to arrive, the last of them at `until`, as of `as_of`."""

    n: int
    until: dt.datetime
    as_of: dt.datetime

    def __str__(self) -> str:
        return f"{self.n} until {self.until.isoformat()} as of {self.as_of.isoformat()}"

    @classmethod
    def from_text(cls, text: str) -> SwipeMark:
        n, _, until, _, _, as_of = text.split()
        return cls(int(n), dt.datetime.fromisoformat(until), dt.datetime.fromisoformat(as_of))


def swipe_mark(con: DuckDBPyConnection, as_of: dt.datetime) -> SwipeMark:
    """The mark of the swipes that had arrived before `as_of`."""
    row = con.execute("select count(*), max(ingested_at) from facts.swipes where ingested_at < $1", [as_of]).fetchone()
    assert row is not None
    return SwipeMark(row[0], row[1] or dt.datetime(1970, 1, 1), as_of)


def checksum(con: DuckDBPyConnection, what: Relation) -> tuple[int, str]:
    """Rows of a relation, and a checksum of their content that does not depend on their order."""
    columns = ", ".join(column.name for column in what.columns)
    row = con.execute(f"select count(*), coalesce(sum(hash({columns})), 0) from {what.name}").fetchone()
    assert row is not None
    return row[0], f"{row[1] % 2**64:016x}"


def digest_of(relation: Relation, parameters: dict[str, Any], inputs: dict[str, str]) -> str:
    """Of everything that decides a relation's content."""
    parts = [relation.text, {name: str(parameters[name]) for name in relation.parameters}, inputs]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_states(con: DuckDBPyConnection) -> dict[str, State]:
    """The states of all computed relations, by name."""
    rows = con.execute("select relation, digest, n_rows, checksum, inputs from facts.relation_state").fetchall()
    return {row[0]: State(row[0], row[1], row[2], row[3], json.loads(row[4])) for row in rows}

"""New swipes are counted alone and added; a recipient whose time is cut otherwise is counted afresh.

Three relations look at each swipe: swipe_counts, recipient_counts and sender_counts. Their counts of
disjoint sets of swipes add up, so a build after new data

1. finds the moved recipients: those whose stretches of time are no longer what they were, and those
   swiped on by somebody whose gender is no longer what was known;
2. lets the relation's own SQL count only the new swipes, and all swipes of moved recipients: a
   temporary table named `swipes` stands before the view of that name;
3. adds the former counts of everybody else.

The outcome is, row for row, that of counting everything. Where that cannot be promised (swipes were
erased, the clock went back, the SQL changed) or would not pay, everything is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from photogenic import sql
from photogenic.warehouse.labels.fingerprints import Mark, digest_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from photogenic.warehouse.catalog import Relation
    from photogenic.warehouse.labels.fingerprints import State

__all__ = ["ADDITIVE", "WATCHED", "added_up", "keep_former"]

ADDITIVE = ("swipe_counts", "recipient_counts", "sender_counts")
"""Relations whose rows add up over disjoint sets of swipes."""

WATCHED = ("recipient_timeline", "user_genders")
"""Relations whose former rows tell who moved."""

_WORTH = 0.3
"""Count everything when more than this share of the former swipes would have to be looked at again."""


def keep_former(con: DuckDBPyConnection, name: str) -> None:
    """Put the rows of a watched relation aside before it is replaced."""
    con.execute(f"create or replace temp table former_{name} as select * from {name}")


def added_up(con: DuckDBPyConnection, what: Relation, states: dict[str, State], now: Mark) -> str | None:
    """The query that gives the relation as it is to be from what it was, or None where all must be counted.

    Args:
        con: with the watched relations computed already, and their former rows put aside if they changed.
        what: one of ADDITIVE.
        states: in which the former build left the relations.
        now: the mark of today's swipes.
    """
    if not _promises(con, what, states, now):
        return None
    then = Mark.from_text(states[what.name].inputs["swipes"])
    if not _is_temporary(con, "new_swipes"):
        values = {"until": then.until, "as_of": then.as_of}
        con.execute(f"create temp table new_swipes as {sql.read('incremental/new_swipes')}", values)
    if what.name == "swipe_counts" and any(_is_temporary(con, f"former_{name}") for name in WATCHED):
        n_again = _find_moved(con)
        if n_again > _WORTH * then.n:
            return None
        con.execute(f"create temp table recounted_swipes as {sql.read('incremental/recounted_swipes')}")
        _count_again(con, what, "recounted_swipes")
        return sql.read("incremental/swipe_counts_shifted")
    _count_again(con, what, "new_swipes")
    return sql.read(f"incremental/{what.name}")


def _find_moved(con: DuckDBPyConnection) -> int:
    """Make `moved_recipients`; says how many of the swipes that were counted must be looked at again."""
    for name in WATCHED:
        if not _is_temporary(con, f"former_{name}"):
            con.execute(f"create temp view former_{name} as select * from {name}")
    con.execute(f"create temp table moved_recipients as {sql.read('incremental/moved_recipients')}")
    received = "select coalesce(sum(n_swipes), 0) from recipient_counts semi join moved_recipients using (recipient_id)"
    return _count(con, received)


def _count_again(con: DuckDBPyConnection, what: Relation, swipes: str) -> None:
    """Make `recounted`: the relation as it would be if these were all swipes."""
    con.execute(f"create temp view swipes as select * from {swipes}")
    con.execute(f"create or replace temp table recounted as {what.text}")
    con.execute("drop view temp.swipes")


def _promises(con: DuckDBPyConnection, what: Relation, states: dict[str, State], now: Mark) -> bool:
    """Whether the former counts are of swipes that are all still there, and of rows that we still know."""
    if not all(name in states for name in (*ADDITIVE, *WATCHED)):
        return False
    former = states[what.name]
    if digest_of(what, {}, former.inputs) != former.digest:
        return False
    if any(states[name].inputs["swipes"] != former.inputs["swipes"] for name in ADDITIVE):
        return False
    if any(states[name].checksum != former.inputs[name] for name in WATCHED if name in what.reads):
        return False
    then = Mark.from_text(former.inputs["swipes"])
    if not then.n or then.as_of > now.as_of:
        return False
    n_held = "select count(*) from facts.swipes where ingested_at <= $1 and ingested_at < $2"
    return _count(con, n_held, [then.until, then.as_of]) == then.n


def _count(con: DuckDBPyConnection, query: str, values: list[object] | None = None) -> int:
    row = con.execute(query, values).fetchone()
    assert row is not None
    return int(row[0])


def _is_temporary(con: DuckDBPyConnection, name: str) -> bool:
    query = "select count(*) from duckdb_tables() where temporary and table_name = $1"
    return _count(con, query, [name]) > 0

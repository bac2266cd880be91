"""Update counts of swipes from new and removed swipes alone; recipients whose timeline changed are counted again.

Three relations read each swipe: swipe_counts, recipient_counts and sender_counts. Their counts of
disjoint sets of swipes add up, so a build after new data

1. finds the moved recipients: those whose timeline has other stretches than before, and those who
   received swipes from a user whose gender changed;
2. runs the SQL of the relation on the new swipes and all swipes of moved recipients only: a
   temporary table named `swipes` takes precedence over the view of that name;
3. runs it on the swipes that were counted and are corrected or retracted since, whose counts are subtracted;
4. adds the former counts of all other recipients.

The result equals a full count row for row. If that cannot be guaranteed (swipes were erased, the clock
was set back or limits what is known, the SQL changed), or if it would be slower, all swipes are counted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Relation, relation
from photogenic.warehouse.labels.fingerprints import Mark, State, digest_of
from photogenic.warehouse.moment import EVERYTHING

__all__ = [
    "ADDITIVE",
    "DIMENSIONS",
    "LOGS",
    "WATCHED",
    "WORTH",
    "count_again",
    "counted_mark",
    "incremental_query",
    "is_temporary",
    "save_former_rows",
    "shadowed",
]

ADDITIVE = ("swipe_counts", "recipient_counts", "sender_counts")
"""Relations whose rows add up over disjoint sets of swipes."""

WATCHED = ("recipient_timeline", "user_genders", "gender_changes")
"""Relations whose former rows show which recipients moved."""

LOGS = ("swipes", "photo_swipes")
"""The log, and the log with photos: relations whose rows own relations may add up."""

DIMENSIONS = tuple(name for name in relation("photo_swipes").reads if name != "swipes")
"""Relations that decide how photo_swipes shows a swipe, those of WATCHED among them."""

WORTH = 0.3
"""Count all swipes if more than this share of the former swipes would have to be read again."""


def save_former_rows(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Save the rows of a watched relation before it is replaced."""
    con.execute(f"create or replace temp table former_{name} as select * from {name}")


def incremental_query(
    con: duckdb.DuckDBPyConnection, what: Relation, states: dict[str, State], now: Mark
) -> str | None:
    """Return the query that computes the relation from its former rows; None: all swipes must be counted.

    Args:
        con: connection in which the watched relations are computed, and their former rows saved if they changed.
        what: one of ADDITIVE.
        states: states of the relations after the former build.
        now: mark of the current swipes.
    """
    if not _is_same_form(what, states):
        return None
    then = counted_mark(con, states[what.name].inputs["swipes"], now)
    if then is None:
        return None
    if not is_temporary(con, "new_swipes"):
        values = {"batch": then.batch, "as_of": then.moment.as_of}
        for name in ("new_swipes", "removed_swipes"):
            con.execute(f"create temp table {name} as {sql.read(f'incremental/{name}')}", values)
    sums = [column.name for column in what.columns if column.name.startswith("n_")]
    if what.name == "swipe_counts" and any(is_temporary(con, f"former_{name}") for name in WATCHED):
        n_again = _find_moved(con)
        if n_again > WORTH * then.n:
            return None
        con.execute(f"create temp table recounted_swipes as {sql.read('incremental/recounted_swipes')}")
        removed = "removed_swipes anti join moved_recipients using (recipient_id)"
        count_again(con, what.name, what.text, sums, "swipes", added="recounted_swipes", removed=removed)
        return sql.read("incremental/swipe_counts_shifted")
    count_again(con, what.name, what.text, sums, "swipes", added="new_swipes", removed="removed_swipes")
    return sql.read(f"incremental/{what.name}")


def _find_moved(con: duckdb.DuckDBPyConnection) -> int:
    """Create `moved_recipients` and return the number of counted swipes that must be read again."""
    for name in WATCHED:
        if not is_temporary(con, f"former_{name}"):
            con.execute(f"create temp view former_{name} as select * from {name}")
    con.execute(f"create temp table moved_recipients as {sql.read('incremental/moved_recipients')}")
    received = "select coalesce(sum(n_swipes), 0) from recipient_counts semi join moved_recipients using (recipient_id)"
    return _count(con, received)


def count_again(
    con: duckdb.DuckDBPyConnection,
    name: str,
    query: str,
    sums: Collection[str],
    log: str,
    *,
    added: str,
    removed: str,
    values: dict[str, Any] | None = None,
) -> None:
    """Create `recounted`: the rows of an additive relation for added rows of its log, and, negative, for removed ones.

    Args:
        con: connection of the build.
        name: the relation, whose table has its former rows.
        query: its SELECT.
        sums: its columns that are added.
        log: the relation that it adds up.
        added: rows of the log that came, as they stand in a FROM.
        removed: rows that went.
        values: values of its parameters.
    """
    con.execute(f"create or replace temp table recounted as select * from {name} limit 0")
    negative = ", ".join(f"-{column} as {column}" for column in sums)
    for rows, columns in ((added, "*"), (removed, f"* replace ({negative})")):
        with shadowed(con, {log: rows}):
            con.execute(f"insert into recounted select {columns} from ({query}\n) as counts", values or None)


@contextlib.contextmanager
def shadowed(con: duckdb.DuckDBPyConnection, tables: Mapping[str, str]) -> Iterator[None]:
    """Let names stand for other tables. If the work fails, its transaction takes the views back too."""
    for name, table in tables.items():
        con.execute(f"create temp view {name} as select * from {table}")
    yield
    for name in tables:
        con.execute(f"drop view temp.{name}")


def _is_same_form(what: Relation, states: dict[str, State]) -> bool:
    """Whether the former counts are those of this SQL, all of one build, and of the former rows of what they read."""
    if not all(name in states for name in (*ADDITIVE, *WATCHED)):
        return False
    former = states[what.name]
    if digest_of(what, {}, former.inputs) != former.digest:
        return False
    if any(states[name].inputs["swipes"] != former.inputs["swipes"] for name in ADDITIVE):
        return False
    return all(states[name].checksum == former.inputs[name] for name in WATCHED if name in what.reads)


def counted_mark(con: duckdb.DuckDBPyConnection, former: str, now: Mark) -> Mark | None:
    """Return the mark of the swipes that a former build counted; None: they cannot all be found again.

    Args:
        con: connection of the build.
        former: digest of `swipes` or `photo_swipes` in that build, which begins with the mark of facts.swipes.
        now: mark of the current swipes.
    """
    then = Mark.from_text(former.partition("; ")[0])
    if then is None or not then.n or then.moment.as_of > now.moment.as_of:
        return None
    if not then.moment.known_at == now.moment.known_at == EVERYTHING:
        return None
    held = """
        select
            (select count(*) from facts.swipes where batch <= $1)
            + (select count(*) from facts.replaced_swipes where batch <= $1 and replaced_batch > $1)
    """
    return then if _count(con, held, [then.batch]) == then.n else None


def _count(con: duckdb.DuckDBPyConnection, query: str, values: list[object] | None = None) -> int:
    ((n,),) = con.execute(query, values).fetchall()
    return int(n)


def is_temporary(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether there is a temporary table of this name."""
    query = "select count(*) from duckdb_tables() where temporary and table_name = $1"
    return _count(con, query, [name]) > 0

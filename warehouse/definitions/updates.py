"""Update an additive relation from the rows of its log that came, went or changed since it was computed.

    rows now = rows before
             - its SELECT on rows that went: corrected or retracted, or in photo_swipes credited to another photo
             + its SELECT on rows that came: new ones, and these as they are now

The SELECT runs on few rows because a temporary view of the name of the log has precedence over the log itself. What a
row of photo_swipes was before follows from the former timeline and genders, which the label build keeps.

The result equals a full computation row for row. Where that cannot be guaranteed (another relation that it reads
changed, rows were erased, a clock is limited), or where it would be slower, the relation is computed from all rows.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import relation
from photogenic.warehouse.definitions.definition import Definition
from photogenic.warehouse.labels.fingerprints import Mark, State, checksum, digest_of
from photogenic.warehouse.labels.incremental import (
    DIMENSIONS,
    LOGS,
    WORTH,
    count_again,
    counted_mark,
    is_temporary,
    shadowed,
)

__all__ = ["LogChanges", "unlimited_logs", "update_query"]

_NUMBERS = itertools.count()
"""Numbers of temporary tables, which are never used twice."""


@dataclass
class LogChanges:
    """The rows of both logs that came and went since former builds, each found once.

    Args:
        con: connection of a build, after the relations of sql/ were computed. It has the former rows of those of
            DIMENSIONS that changed as temporary tables `former_NAME`.
    """

    con: duckdb.DuckDBPyConnection
    _found: dict[tuple[str, str], tuple[str, str] | None] = field(default_factory=dict)

    def since(self, log: str, former: str, present: str) -> tuple[str, str] | None:
        """Return the names of temporary tables of rows that came, and of rows that went.

        Args:
            log: swipes or photo_swipes.
            former: digest of the log when the relation was computed.
            present: its digest now.

        Returns:
            The names; None: they cannot be found exactly, or are many.
        """
        key = (log, former)
        if key not in self._found:
            self._found[key] = self._find(log, former, present)
        return self._found[key]

    def _find(self, log: str, former: str, present: str) -> tuple[str, str] | None:
        now = Mark.from_text(present.partition("; ")[0])
        then = counted_mark(self.con, former, now) if now is not None else None
        if then is None:
            return None
        values = {"batch": then.batch, "as_of": then.moment.as_of}
        added = self._table("added_swipes", sql.read("incremental/new_swipes"), values)
        removed = self._table("removed_swipes", sql.read("incremental/removed_swipes"), values)
        if log == "swipes":
            return added, removed
        before = self._former_dimensions(former, present)
        if before is None:
            return None
        if before:
            moved = self._moved(then, before)
            if moved is None:
                return None
            for table in (added, removed):
                self.con.execute(f"insert into {table} select * from {moved}")
        with shadowed(self.con, {"swipes": added}):
            came = self._table("added_photo_swipes", relation("photo_swipes").text)
        with shadowed(self.con, {"swipes": removed, **before}):
            went = self._table("removed_photo_swipes", relation("photo_swipes").text)
        return came, went

    def _former_dimensions(self, former: str, present: str) -> dict[str, str] | None:
        """Return the dimensions that changed, with the tables of their former rows; None: one of these is not there."""
        before, after = ((*text.split("; "),)[-len(DIMENSIONS) :] for text in (former, present))
        if not len(before) == len(after) == len(DIMENSIONS):
            return None
        found = {}
        for name, then, now in zip(DIMENSIONS, before, after, strict=True):
            if then == now:
                continue
            table = f"former_{name}"
            if not is_temporary(self.con, table) or checksum(self.con, table)[1] != then:
                return None
            found[name] = table
        return found

    def _moved(self, then: Mark, before: Mapping[str, str]) -> str | None:
        """Return the table of swipes that photo_swipes shows otherwise than before; None: they are many."""
        text = sql.read("incremental/shown_users")
        present = self._table("present_users", text)
        with shadowed(self.con, before):
            former = self._table("former_users", text)
        with shadowed(self.con, {"present_users": present, "former_users": former}):
            users = self._table("moved_users", sql.read("incremental/moved_users"))
        values = {"batch": then.batch, "as_of": then.moment.as_of}
        with shadowed(self.con, {"moved_users": users}):
            moved = self._table("moved_swipes", sql.read("incremental/moved_swipes"), values)
        ((n,),) = self.con.execute(f"select count(*) from {moved}").fetchall()
        return moved if n <= WORTH * then.n else None

    def _table(self, name: str, text: str, values: Mapping[str, Any] | None = None) -> str:
        """Create a temporary table of the rows of a query, and return its name."""
        table = f"{name}_{next(_NUMBERS)}"
        self.con.execute(f"create temp table {table} as {text}", values)
        return table


def update_query(
    changes: LogChanges, definition: Definition, values: dict[str, Any], former: State, inputs: Mapping[str, str]
) -> str | None:
    """Return the query that computes an additive relation from its former rows; None: all rows must be read.

    Args:
        changes: changes of the logs.
        definition: the relation, whose table has its former rows.
        values: values of its parameters.
        former: its state.
        inputs: present digests of what it reads.
    """
    what, sums = definition.relation, definition.sums
    if sums is None or digest_of(what, values, former.inputs) != former.digest:
        return None
    if former.inputs.keys() != inputs.keys():
        return None
    if any(former.inputs[name] != inputs[name] for name in inputs if name != sums.log):
        return None
    found = changes.since(sums.log, former.inputs[sums.log], inputs[sums.log])
    if found is None:
        return None
    came, went = found
    count_again(
        *(changes.con, what.name, definition.query, sums.sums, sums.log), added=came, removed=went, values=values
    )
    added = [
        f"cast(sum({column.name}) as bigint) as {column.name}" if column.name in sums.sums else column.name
        for column in what.columns
    ]
    return (
        f"select {', '.join(added)} from (select * from {what.name} union all select * from recounted) as parts"
        f" group by {', '.join(sums.keys)} having sum({sums.count}) <> 0"
    )


@contextlib.contextmanager
def unlimited_logs(con: duckdb.DuckDBPyConnection, reads: Collection[str]) -> Iterator[None]:
    """Let both logs be read without the clock, which limits nothing, so that DuckDB knows how many rows there are.

    It underestimates how many swipes pass the filter of the clock, and would build hash tables of all swipes.
    """
    views = {}
    if not {*reads}.isdisjoint(LOGS):
        views["swipes"] = sql.read("incremental/every_swipe")
    if "photo_swipes" in reads:
        views["photo_swipes"] = relation("photo_swipes").text
    for name, text in views.items():
        con.execute(f"create temp view {name} as {text}")
    try:
        yield
    finally:
        with contextlib.suppress(duckdb.Error):  # a failed transaction takes the views back itself
            for name in reversed(views):
                con.execute(f"drop view temp.{name}")

"""Compute the relations that are stale, in build order, and audit them.

Who computes is DuckDB, or another engine whose results are loaded into DuckDB's tables (spark.py).

The same steps serve a build and its rehearsal (`--plan`). A build replaces tables inside its
transaction; a rehearsal makes temporary tables, which stand before those of the same name in the
snapshot it reads, and so sees its own results without writing any.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from photogenic import sql
from photogenic.warehouse.catalog import Relation, relation
from photogenic.warehouse.labels.audits import audit
from photogenic.warehouse.labels.fingerprints import (
    Mark,
    State,
    checksum,
    digest_of,
    mark_of,
    read_states,
    write_states,
)
from photogenic.warehouse.labels.incremental import ADDITIVE, WATCHED, added_up, keep_former
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.progress import Progress

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["EVERYTHING", "Computation", "Engine", "RelationBuilt"]

EVERYTHING = dt.datetime(9999, 12, 31)
"""The clock when no `as_of` is given."""

_UNDATED = ("facts.faces",)
"""Base tables that are replaced as a whole, and bear no instant of arrival."""


@dataclass(frozen=True, slots=True)
class RelationBuilt:
    """What was done about one relation.

    Attributes:
        action: kept as it was, computed from everything, or updated from what is new.
        checksum: of its rows, whatever their order.
    """

    name: str
    action: str
    n_rows: int
    checksum: str
    seconds: float


class Engine(Protocol):
    """Whoever computes relations in DuckDB's place, from facts that lie elsewhere."""

    def begin(self, con: DuckDBPyConnection) -> None:
        """Look at the facts, before anything is asked of them."""

    def mark(self, con: DuckDBPyConnection, table: str, as_of: dt.datetime) -> Mark:
        """As `mark_of`."""

    def keep(self, former: State) -> None:
        """Hear of a relation that stays as it is."""

    def compute(self, con: DuckDBPyConnection, what: Relation, parameters: dict[str, Any], digest: str) -> None:
        """Make the relation's table in DuckDB."""

    def ask(self, con: DuckDBPyConnection, text: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names and rows of an audit that looks at facts."""

    def finish(self) -> None:
        """All relations have passed their audits."""


@dataclass
class Computation:
    """One pass over the relations.

    Attributes:
        con: the writer in a transaction, or a reader of the snapshot.
        as_of: see only what happened and had arrived before.
        rehearsal: leave the store as it is.
        anew: take nothing from former builds.
        engine: computes in DuckDB's place; None: DuckDB itself.
    """

    con: DuckDBPyConnection
    as_of: dt.datetime
    options: LabelOptions
    rehearsal: bool = False
    anew: bool = False
    engine: Engine | None = None
    built: list[RelationBuilt] = field(default_factory=list)
    _states: dict[str, State] = field(default_factory=dict)
    _noted: list[State] = field(default_factory=list)
    _digests: dict[str, str] = field(default_factory=dict)

    def run(self, progress: Progress) -> None:
        """Set the clock, compute what is stale, audit what was computed.

        Raises:
            AuditError: a relation breaks its contract.
        """
        if self.engine is not None:
            self.engine.begin(self.con)
        self._set_clock()
        self._states = {} if self.anew else read_states(self.con)
        with progress.stage("labels", len(sql.RELATIONS), "relations") as advance:
            for name in sql.RELATIONS:
                self.built.append(self._bring_up_to_date(relation(name)))
                advance(1)
        if not self.rehearsal:
            write_states(self.con, self._noted)
        ask = functools.partial(self.engine.ask, self.con) if self.engine is not None else None
        audit(self.con, {built.name for built in self.built if built.action != "kept"}, ask)
        if self.engine is not None:
            self.engine.finish()

    def changed_sources(self) -> list[str]:
        """The facts that are no longer those which the relations were computed from; computes nothing."""
        seen = {
            (source, digest)
            for state in read_states(self.con).values()
            for source, digest in state.inputs.items()
            if source not in sql.RELATIONS and source != "clock"
        }
        return sorted({source.removeprefix("facts.") for source, digest in seen if self._digest(source) != digest})

    def _set_clock(self) -> None:
        """Ages are counted up to `as_of`; without one, up to the newest arrival of photos."""
        bounded = self.as_of < EVERYTHING
        newest = self.con.execute("select max(ingested_at) from facts.photos").fetchone()
        observed_at = self.as_of if bounded else (newest and newest[0]) or dt.datetime(1970, 1, 1)
        values = {"as_of": self.as_of, "observed_at": observed_at}
        if self.rehearsal:
            self.con.execute("create temp table clock as select $as_of as as_of, $observed_at as observed_at", values)
        elif self.con.execute("select as_of, observed_at from facts.clock").fetchall() != [tuple(values.values())]:
            self.con.execute("update facts.clock set as_of = $as_of, observed_at = $observed_at", values)

    def _bring_up_to_date(self, what: Relation) -> RelationBuilt:
        started = time.perf_counter()
        inputs = {source: self._digest(source) for source in what.reads}
        parameters = {name: getattr(self.options, name) for name in what.parameters}
        digest, former = digest_of(what, parameters, inputs), self._states.get(what.name)
        if former is not None and former.digest == digest:
            action, n_rows, content = "kept", former.n_rows, former.checksum
            if self.engine is not None:
                self.engine.keep(former)
        else:
            action = self._replace(what, parameters, former, digest)
            n_rows, content = checksum(self.con, what.name)
            self._noted.append(State(what.name, digest, n_rows, content, inputs))
        self._digests[what.name] = content
        return RelationBuilt(what.name, action, n_rows, content, time.perf_counter() - started)

    def _replace(self, what: Relation, parameters: dict[str, Any], former: State | None, digest: str) -> str:
        """Compute the relation; says how."""
        if self.engine is not None:
            self.engine.compute(self.con, what, parameters, digest)
            return "computed"
        if what.name in WATCHED and former is not None:
            keep_former(self.con, what.name)
        query = None
        if what.name in ADDITIVE:
            query = added_up(self.con, what, self._states, mark_of(self.con, "facts.swipes", self.as_of))
        table = "temp table" if self.rehearsal else "table"
        with _many_swipes(self.con) if what.name in ADDITIVE and query is None else contextlib.nullcontext():
            self.con.execute(f"create or replace {table} {what.name} as {query or what.text}", parameters or None)
        return "updated" if query else "computed"

    def _digest(self, source: str) -> str:
        """Of the content of what a relation reads."""
        if source not in self._digests:
            self._digests[source] = self._digest_of_facts(source)
        return self._digests[source]

    def _digest_of_facts(self, source: str) -> str:
        if source == "clock" or source in _UNDATED:
            return checksum(self.con, source)[1]
        if source.startswith("facts."):
            return str((self.engine.mark if self.engine is not None else mark_of)(self.con, source, self.as_of))
        return "; ".join(self._digest(read) for read in relation(source).reads if read != "clock")


@contextlib.contextmanager
def _many_swipes(con: DuckDBPyConnection) -> Iterator[None]:
    """All swipes are grouped by small numbers: an array of 2^24 places is faster than hashing, for few it is slower.

    Where the computation fails, so does the connection, and there is nothing to reset.
    """
    con.execute("set perfect_ht_threshold = 24")
    yield
    con.execute("reset perfect_ht_threshold")

"""Compute the relations that are stale, in build order, and audit them.

DuckDB computes them, or another engine whose results are loaded into DuckDB's tables (warehouse/spark/engine.py).

A build and its rehearsal (`--plan`) take the same steps. A build replaces tables inside its
transaction. A rehearsal creates temporary tables, which take precedence over those of the same name in the
snapshot, so it reads its own results without writing to the store.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import OURS, Catalog, Relation, relation
from photogenic.warehouse.labels.audits import audit
from photogenic.warehouse.labels.digests import Digests
from photogenic.warehouse.labels.fingerprints import (
    Mark,
    State,
    checksum,
    digest_of,
    mark_of,
    read_states,
    write_states,
)
from photogenic.warehouse.labels.incremental import ADDITIVE, DIMENSIONS, WATCHED, incremental_query, save_former_rows
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.moment import EVERYTHING, Moment
from photogenic.warehouse.progress import Progress

__all__ = ["Computation", "Engine", "RelationBuilt", "clock_values", "many_swipes"]


@dataclass(frozen=True, slots=True)
class RelationBuilt:
    """What a build did with one relation.

    Attributes:
        action: `kept`, `computed` from all facts, or `updated` from new facts. An own relation may also be
            `failed`, `pending` while one that it reads was never computed, or `stale`: a dry pass would compute it.
        checksum: checksum of the rows, independent of their order.
        error: why it failed.
    """

    name: str
    action: str
    n_rows: int
    checksum: str
    seconds: float
    error: str | None = None


class Engine(Protocol):
    """An engine that computes relations in place of DuckDB, from facts outside the store."""

    def begin(self, con: duckdb.DuckDBPyConnection) -> None:
        """Read the facts, before any other method is called."""

    def use(self, catalog: Catalog) -> None:
        """Compute own relations of this catalog from now on."""

    def mark(self, con: duckdb.DuckDBPyConnection, table: str, moment: Moment) -> Mark:
        """Return the mark of a base table, like `mark_of`."""

    def reuse(self, former: State) -> None:
        """Reuse the former rows of an unchanged relation."""

    def compute(self, con: duckdb.DuckDBPyConnection, what: Relation, parameters: dict[str, Any], digest: str) -> None:
        """Compute a relation and create its table in DuckDB."""

    def query(self, con: duckdb.DuckDBPyConnection, text: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run an audit that reads facts, and return column names and rows."""

    def finish(self) -> None:
        """Finish the build, after all relations have passed their audits."""


@dataclass
class Computation:
    """One pass over the relations.

    Attributes:
        con: a writing connection in a transaction, or a reading one on the snapshot.
        moment: the clock; only facts that had happened and arrived before its instants count.
        rehearsal: whether to leave the store unchanged.
        anew: whether to compute every relation, stale or not.
        engine: engine that computes in place of DuckDB; None: DuckDB.
    """

    con: duckdb.DuckDBPyConnection
    moment: Moment
    options: LabelOptions
    rehearsal: bool = False
    anew: bool = False
    engine: Engine | None = None
    built: list[RelationBuilt] = field(default_factory=list)
    _states: dict[str, State] = field(default_factory=dict)
    _noted: list[State] = field(default_factory=list)
    _digests: Digests = field(init=False)

    def __post_init__(self) -> None:
        self._digests = Digests(self.con, self.moment, OURS, self.engine)

    def run(self, progress: Progress) -> None:
        """Set the clock, compute the stale relations, audit the computed ones.

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
        ask = functools.partial(self.engine.query, self.con) if self.engine is not None else None
        audit(self.con, {built.name for built in self.built if built.action != "kept"}, ask)
        if self.engine is not None:
            self.engine.finish()

    def changed_sources(self) -> list[str]:
        """Return the names of facts that changed since the relations were computed; computes nothing."""
        seen = {
            (source, digest)
            for name, state in read_states(self.con).items()
            for source, digest in state.inputs.items()
            if name in sql.RELATIONS and source not in sql.RELATIONS and source != "clock"
        }
        return sorted({source.removeprefix("facts.") for source, digest in seen if self._digests.of(source) != digest})

    @property
    def computed_states(self) -> list[State]:
        """The states of the relations that were computed, after `run`."""
        return list(self._noted)

    def _set_clock(self) -> None:
        values = clock_values(self.con, self.moment)
        if self.rehearsal:
            self.con.execute("create temp table clock as select $1 as as_of, $2 as known_at, $3 as observed_at", values)
        elif self.con.execute("select as_of, known_at, observed_at from facts.clock").fetchall() != [tuple(values)]:
            self.con.execute("update facts.clock set as_of = $1, known_at = $2, observed_at = $3", values)

    def _bring_up_to_date(self, what: Relation) -> RelationBuilt:
        started = time.perf_counter()
        inputs = {source: self._digests.of(source) for source in what.reads}
        parameters = {name: getattr(self.options, name) for name in what.parameters}
        digest, former = digest_of(what, parameters, inputs), self._states.get(what.name)
        if former is not None and former.digest == digest:
            action, n_rows, content = "kept", former.n_rows, former.checksum
            if self.engine is not None:
                self.engine.reuse(former)
        else:
            action = self._replace(what, parameters, former, digest)
            n_rows, content = checksum(self.con, what.name)
            self._noted.append(State(what.name, digest, n_rows, content, inputs))
        self._digests.set(what.name, content)
        return RelationBuilt(what.name, action, n_rows, content, time.perf_counter() - started)

    @functools.cached_property
    def _watched(self) -> tuple[str, ...]:
        """The relations whose former rows an update needs."""
        adding = r"select 1 from facts.own_relations where regexp_matches(definition, '--\s*additive:\s*photo_swipes')"
        return DIMENSIONS if self.con.execute(adding).fetchall() else WATCHED

    def _replace(self, what: Relation, parameters: dict[str, Any], former: State | None, digest: str) -> str:
        """Compute the relation and return the action: `computed` or `updated`."""
        if self.engine is not None:
            self.engine.compute(self.con, what, parameters, digest)
            return "computed"
        if what.name in self._watched and former is not None:
            save_former_rows(self.con, what.name)
        query = None
        if what.name in ADDITIVE:
            query = incremental_query(self.con, what, self._states, mark_of(self.con, "facts.swipes", self.moment))
        table = "temp table" if self.rehearsal else "table"
        with many_swipes(self.con) if what.name in ADDITIVE and query is None else contextlib.nullcontext():
            self.con.execute(f"create or replace {table} {what.name} as {query or what.text}", parameters or None)
        return "updated" if query else "computed"


def clock_values(con: duckdb.DuckDBPyConnection, moment: Moment) -> list[dt.datetime]:
    """Return the row of the clock at a moment: as_of, known_at, observed_at.

    Ages are counted up to `as_of`; without one, up to the newest known arrival of photos.
    """
    query = "select max(ingested_at) from facts.photos where ingested_at < $1"
    newest = con.execute(query, [moment.known_at]).fetchone()
    bounded = moment.as_of < EVERYTHING
    observed_at = moment.as_of if bounded else (newest and newest[0]) or dt.datetime(1970, 1, 1)
    return [moment.as_of, moment.known_at, observed_at]


@contextlib.contextmanager
def many_swipes(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Group by arrays of 2^24 entries: for all swipes that is faster than hashing, for few swipes slower.

    If the computation fails, the connection is unusable too, and there is no setting to reset.
    """
    con.execute("set perfect_ht_threshold = 24")
    yield
    con.execute("reset perfect_ht_threshold")

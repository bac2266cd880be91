"""Bring the relations up to date: the story of `features build --only labels`.

1. Set the clock: as of which instant is everything to be true?
2. In build order, compare each relation with what it was computed from; skip it when nothing changed.
3. Compute the stale ones.
4. Audit them. A query in sql/audits/ that returns a row fails the build.
5. Record the checksums and commit.

All of it is one transaction: until it ends, and whenever it fails, the former state stands whole.
"""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sql
from warehouse.errors import InputError
from warehouse.options import LabelOptions
from warehouse.progress import Progress, silent
from warehouse.relations import relation
from warehouse.state import checksum, digest_of, read_states, swipe_mark

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from warehouse.database import Database

__all__ = ["EVERYTHING", "BuildReport", "LabelOptions", "RelationBuilt", "build_labels"]

EVERYTHING = dt.datetime(9999, 12, 31)
"""The clock when no `as_of` is given."""


@dataclass(frozen=True, slots=True)
class RelationBuilt:
    """What a build did about one relation. `action` is kept, computed or updated."""

    name: str
    action: str
    n_rows: int
    checksum: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a label build did, and what came out."""

    build_id: str
    as_of: dt.datetime | None
    options: LabelOptions
    relations: tuple[RelationBuilt, ...]
    seconds: float

    @property
    def changed(self) -> bool:
        """Whether any relation was computed."""
        return any(built.action != "kept" for built in self.relations)


def build_labels(
    db: Database,
    *,
    as_of: dt.datetime | None = None,
    options: LabelOptions = LabelOptions(),  # noqa: B008 - frozen
    progress: Progress = silent,
) -> BuildReport:
    """Compute what is stale among the relations of sql/, audit it, publish it.

    Args:
        db: the store.
        as_of: UTC; see only what happened and had arrived before. None: everything.
        options: the choices behind labels and splits.
        progress: hears of each relation.

    Raises:
        AuditError: a relation broke its contract; the former state stands.
        LockedError: another process writes.
    """
    with db.write("build --only labels") as con:
        con.begin()
        try:
            report = _build(con, _utc(as_of), options, progress)
        except BaseException:
            con.rollback()
            raise
        con.commit()
    return report


def _build(
    con: DuckDBPyConnection, as_of: dt.datetime | None, options: LabelOptions, progress: Progress
) -> BuildReport:
    started_at, started = dt.datetime.now(dt.UTC).replace(tzinfo=None), time.perf_counter()
    _set_clock(con, as_of)
    parameters = options.parameters()
    states, digests, done = read_states(con), dict[str, str](), list[RelationBuilt]()
    with progress.stage("labels", len(sql.RELATIONS), "relations") as advance:
        for name in sql.RELATIONS:
            began, what = time.perf_counter(), relation(name)
            for source in what.reads:
                if source not in digests:
                    digests[source] = _content(con, source)
            inputs = {source: digests[source] for source in what.reads}
            digest, state = digest_of(what, parameters, inputs), states.get(name)
            if state is not None and state.digest == digest:
                action, n_rows, content = "kept", state.n_rows, state.checksum
            else:
                values = {p: parameters[p] for p in what.parameters}
                con.execute(f"create or replace table {name} as {what.text}", values or None)
                action = "computed"
                n_rows, content = checksum(con, name, tuple(c.name for c in what.columns))
                con.execute("delete from facts.relation_state where relation = $1", [name])
                con.execute(
                    "insert into facts.relation_state values ($1, $2, $3, $4, $5, $6)",
                    [name, digest, n_rows, content, json.dumps(inputs), started_at],
                )
            digests[name] = content
            done.append(RelationBuilt(name, action, n_rows, content, time.perf_counter() - began))
            advance(1)
    report = BuildReport(
        f"{started_at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}", as_of, options, tuple(done), time.perf_counter() - started
    )
    if report.changed:
        _record(con, report, started_at)
    return report


def _set_clock(con: DuckDBPyConnection, as_of: dt.datetime | None) -> None:
    con.execute(
        "update facts.clock set as_of = $as_of, observed_at = $observed_at"
        " where as_of <> $as_of or observed_at <> $observed_at",
        {"as_of": as_of or EVERYTHING, "observed_at": as_of or _newest_arrival(con)},
    )


def _newest_arrival(con: DuckDBPyConnection) -> Any:
    row = con.execute("select coalesce(max(ingested_at), timestamp '1970-01-01') from facts.photos").fetchone()
    assert row is not None
    return row[0]


def _content(con: DuckDBPyConnection, source: str) -> str:
    if source == "swipes":
        return str(swipe_mark(con))
    return checksum(con, source, tuple(column.name for column in relation(source).columns))[1]


def _record(con: DuckDBPyConnection, report: BuildReport, started_at: dt.datetime) -> None:
    stages = {built.name: [built.action, built.n_rows, round(built.seconds, 3)] for built in report.relations}
    con.execute(
        "insert into facts.builds values ($1, $2, $3, $4, $5, $6)",
        [
            report.build_id,
            report.as_of,
            json.dumps({"labels": report.options.recorded()}),
            json.dumps({"labels": stages}),
            started_at,
            dt.datetime.now(dt.UTC).replace(tzinfo=None),
        ],
    )


def _utc(instant: dt.datetime | None) -> dt.datetime | None:
    if instant is None:
        return None
    naive = instant.astimezone(dt.UTC).replace(tzinfo=None) if instant.tzinfo else instant
    if not dt.datetime(1, 1, 1) < naive <= EVERYTHING:
        raise InputError(f"as_of is {instant}.", "an instant before the year 9999", "--as-of 2024-02-01T00:00:00Z")
    return naive

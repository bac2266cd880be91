"""Bring the relations up to date: the story of `features build --only labels`.

1. Set the clock: as of which instant is everything to be true?
2. In build order, compare each relation with what it was computed from; keep it when nothing changed.
3. Compute the stale ones: what counts swipes from new swipes alone, where that gives the same.
4. Audit them. A query in sql/audits/ that returns a row fails the build.
5. Record options and checksums, commit, publish.

All of it is one transaction: until it ends, and whenever it fails, the former state stands whole.
"""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from photogenic.warehouse.context import Store
from photogenic.warehouse.duckdb_store.database import LABELLING
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.labels.compute import EVERYTHING, Computation, RelationBuilt
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.progress import Progress
from photogenic.warehouse.spark.session import Cluster

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


__all__ = ["BuildReport", "FunnelStep", "LabelOptions", "RelationBuilt", "as_clock", "build_labels", "former_cluster"]


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """How much is left after one step; `n_swipes` is None for posts."""

    source: str
    step_no: int
    step: str
    n_users: int
    n_photos: int
    n_swipes: int | None


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a label build did, and what came out.

    Attributes:
        relations: in build order.
        funnel: what is left of swipes and posts after each step.
        notes: what one should know about the outcome.
    """

    build_id: str
    as_of: dt.datetime | None
    options: LabelOptions
    relations: tuple[RelationBuilt, ...]
    funnel: tuple[FunnelStep, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def changed(self) -> bool:
        """Whether any relation was computed."""
        return any(built.action != "kept" for built in self.relations)


def build_labels(
    store: Store,
    *,
    as_of: dt.datetime | None = None,
    options: LabelOptions = LabelOptions(),  # noqa: B008 - frozen
    anew: bool = False,
    cluster: Cluster | None = None,
) -> BuildReport:
    """Compute what is stale among the relations of sql/, audit it, publish it.

    Args:
        store: the open store.
        as_of: UTC; see only what happened and had arrived before. None: everything.
        options: the choices behind labels and splits.
        anew: compute everything, whether stale or not.
        cluster: let Spark compute, from facts that lie elsewhere; None: DuckDB, from the store's.

    Raises:
        AuditError: a relation broke its contract; the former state stands.
        InputError: `as_of` is no instant that a clock can show; Spark cannot be reached, or has no facts.
        LockedError: another process writes.
        MissingPartError: pyspark or Java is absent.
    """
    clock, engine = as_clock(as_of), None
    if cluster is not None:
        from photogenic.warehouse.erasure.tombstones import Tombstones
        from photogenic.warehouse.spark.engine import SparkEngine

        engine = SparkEngine(cluster, Tombstones(store.layout), store.progress.note)
    with store.database.write("features build --only labels") as con:
        for setting in LABELLING:
            con.execute(setting)
        con.execute("set force_compression = 'uncompressed'")  # rewritten by every build: not worth packing
        con.begin()
        try:
            computation = Computation(con, clock, options, anew=anew, engine=engine)
            report = _build(computation, cluster, store.progress)
        except BaseException:
            con.rollback()
            raise
        con.commit()
    return report


def as_clock(as_of: dt.datetime | None) -> dt.datetime:
    """The naive UTC instant that the clock is set to.

    Raises:
        InputError: it is outside of the years 1 to 9999.
    """
    if as_of is None:
        return EVERYTHING
    naive = as_of.astimezone(dt.UTC).replace(tzinfo=None) if as_of.tzinfo else as_of
    if not dt.datetime(1, 1, 1) < naive <= EVERYTHING:
        raise InputError(f"as_of is {as_of}.", "an instant before the year 9999", "--as-of 2024-02-01T00:00:00Z")
    return naive


def former_cluster(con: DuckDBPyConnection) -> Cluster | None:
    """Where the labels that stand were computed by Spark; None: DuckDB did, or nobody yet."""
    for (recorded,) in con.execute("select options from facts.builds order by rowid desc").fetchall():
        options = json.loads(recorded)
        if "labels" in options:
            return Cluster(**options["cluster"]) if "cluster" in options else None
    return None


def _build(computation: Computation, cluster: Cluster | None, progress: Progress) -> BuildReport:
    con, clock = computation.con, computation.as_of
    started_at, started = dt.datetime.now(dt.UTC).replace(tzinfo=None), time.perf_counter()
    computation.run(progress)
    report = BuildReport(
        build_id=f"{started_at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}",
        as_of=clock if clock < EVERYTHING else None,
        options=computation.options,
        relations=tuple(computation.built),
        funnel=tuple(FunnelStep(*row) for row in con.execute("select * from funnel order by all").fetchall()),
        notes=tuple(_notes(con)),
        seconds=time.perf_counter() - started,
    )
    if report.changed or cluster != former_cluster(con):
        _record(con, report, cluster, started_at)
    return report


def _notes(con: DuckDBPyConnection) -> list[str]:
    """Why there are no labels, if there are none."""
    notes = []
    reasons = con.execute("select reason, n_swipes, in_every from swipe_audit order by n_swipes desc").fetchall()
    if reasons and not any(in_every for _, _, in_every in reasons):
        counts = ", ".join(f"{n:,} {reason}" for reason, n, _ in reasons)
        notes.append(
            f"No swipe could be credited to a photo: {counts}. Photos become main photos by `set_at` in the "
            "photos file or by `features ingest main-photos`."
        )
    dropped = con.execute("select dropped, count(*) as n from follower_ratios group by all order by n desc").fetchall()
    if dropped and all(reason is not None for reason, _ in dropped):
        notes.append("No post is left to label: " + ", ".join(f"{n:,} {reason}" for reason, n in dropped) + ".")
    return notes


def _record(con: DuckDBPyConnection, report: BuildReport, cluster: Cluster | None, started_at: dt.datetime) -> None:
    stages = {built.name: [built.action, built.n_rows, round(built.seconds, 3)] for built in report.relations}
    con.execute(
        "insert into facts.builds values ($1, $2, $3, $4, $5, $6)",
        [
            report.build_id,
            report.as_of,
            json.dumps({"labels": report.options.recorded()} | ({"cluster": asdict(cluster)} if cluster else {})),
            json.dumps({"labels": stages}),
            started_at,
            dt.datetime.now(dt.UTC).replace(tzinfo=None),
        ],
    )

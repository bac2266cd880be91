"""Bring the relations up to date: the story of `features build --only labels`.

1. Set the clock: the instant as of which relations are computed.
2. In build order, compare each relation with the inputs it was computed from; keep it if they are unchanged.
3. Compute the stale ones. Relations that count swipes are updated from new swipes where the result is the same.
4. Audit them. A query in sql/audits/ that returns a row fails the build.
5. Record options and checksums, commit.
6. Bring the user's own relations up to date (warehouse/definitions/build.py), and publish.

Steps 1 to 5 are one transaction: until it ends, and if it fails, the former state stays. Each own relation is a
transaction of its own.
"""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import create_views_of_labels
from photogenic.warehouse.context import Store
from photogenic.warehouse.definitions.build import OwnComputation, OwnReport
from photogenic.warehouse.definitions.link import refuse_other_project
from photogenic.warehouse.definitions.stored import is_new, wanted_relations
from photogenic.warehouse.duckdb_store.database import LABELLING, close_files
from photogenic.warehouse.erasure.own_relations import without_erased
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.labels.compute import Computation, RelationBuilt
from photogenic.warehouse.labels.fingerprints import read_states
from photogenic.warehouse.labels.last_build import LabelChange, changed_labels, last_build
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.labels.past import why_empty
from photogenic.warehouse.moment import EVERYTHING, Instant, Moment
from photogenic.warehouse.progress import Progress
from photogenic.warehouse.spark.engine import SparkEngine
from photogenic.warehouse.spark.session import Cluster

__all__ = [
    "BuildReport",
    "FunnelStep",
    "LabelOptions",
    "RelationBuilt",
    "build_labels",
    "compute_own",
    "own_computation",
    "rehearse_labels",
    "stale_own",
    "update_own",
]


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """Numbers of users, photos and swipes that are left after one step; `n_swipes` is None for posts."""

    source: str
    step_no: int
    step: str
    n_users: int
    n_photos: int
    n_swipes: int | None


@dataclass(frozen=True, slots=True)
class BuildReport:
    """Result of a label build.

    Attributes:
        relations: the relations in build order.
        funnel: numbers of swipes and posts that are left after each step.
        notes: warnings about the result.
        change: what became of the labels, if the build has other label options than the last one.
        own: what became of the user's own relations.
    """

    build_id: str
    as_of: dt.datetime | None
    known_at: dt.datetime | None
    options: LabelOptions
    relations: tuple[RelationBuilt, ...]
    funnel: tuple[FunnelStep, ...]
    notes: tuple[str, ...]
    seconds: float
    change: LabelChange | None = None
    own: OwnReport = field(default_factory=OwnReport)

    @property
    def changed(self) -> bool:
        """Whether any relation was computed."""
        return any(built.action != "kept" for built in self.relations)


def build_labels(
    store: Store,
    *,
    as_of: Instant | None = None,
    known_at: Instant | None = None,
    options: LabelOptions = LabelOptions(),  # noqa: B008 - frozen
    anew: bool = False,
    cluster: Cluster | None = None,
    retry: bool = True,
    own_anew: bool = False,
) -> BuildReport:
    """Compute the stale relations of sql/, audit them and publish them.

    Args:
        store: the open store.
        as_of: only facts that had happened before it count. Default: all.
        known_at: only facts that had arrived before it count. Default: all.
        options: options of labels and splits.
        anew: whether to compute every relation, stale or not.
        cluster: Spark cluster that computes from exported facts. Default: DuckDB computes from the store.
        retry: whether to compute own relations again that failed with the same inputs.
        own_anew: whether to compute every own relation, stale or not.

    Raises:
        AuditError: a relation broke its contract; the former state is kept.
        InputError: an instant is outside the years 1 to 9999; Spark cannot be reached, or has no facts.
        LockedError: another process writes.
        MissingPartError: pyspark or Java is absent.
    """
    moment, engine = Moment.of(as_of, known_at), None
    if cluster is not None:
        engine = SparkEngine(cluster, Tombstones(store.layout), store.progress.note)
    with store.database.write("features build --only labels") as con:
        refuse_other_project(con, store.project)
        for setting in LABELLING:
            con.execute(setting)
        con.execute("set force_compression = 'uncompressed'")  # every build rewrites them, so compression does not pay
        con.begin()
        try:
            computation = Computation(con, moment, options, anew=anew, engine=engine)
            report = _build(computation, cluster, store.progress)
        except BaseException:
            con.rollback()
            raise
        con.commit()
        own = own_computation(store, con, moment, options, anew=anew or own_anew, engine=engine, retry=retry)
        return replace(report, own=compute_own(own, {built.name: built.checksum for built in report.relations}))


def own_computation(
    store: Store, con: duckdb.DuckDBPyConnection, moment: Moment, options: LabelOptions, **more: Any
) -> OwnComputation:
    """Return the computation of the own relations of a store. Definitions that name erased people are left out."""
    project, limit_s = (
        without_erased(store.project, Tombstones(store.layout)),
        store.database.settings.relation_timeout_s,
    )
    return OwnComputation(con, project, moment, options, limit_s=limit_s, **more)


def compute_own(own: OwnComputation, contents: Mapping[str, str] | None = None) -> OwnReport:
    """Compute own relations on a writing connection, whose settings it changes for good.

    Args:
        own: the computation.
        contents: checksums of the relations of sql/. Default: those that the store records.
    """
    own.con.execute("reset disabled_optimizers")
    own.con.execute("reset force_compression")
    own.contents = contents
    if own.engine is None:  # its results are files
        close_files(own.con)
    return own.run()


def update_own(store: Store, cluster: Cluster | None = None) -> OwnReport | None:
    """Bring own relations up to date whose faces, pictures or neighbors are newer than the labels.

    Args:
        store: the open store.
        cluster: Spark cluster that computed the labels from exported facts. Default: DuckDB did.

    Returns:
        What became of them; None: there are no labels yet, or nothing is stale.
    """
    store.database.require()
    with store.database.read(labelling=True) as con:
        last = last_build(con)
        if last is None or "photo_labels" not in read_states(con):
            return None
        if cluster is not None:
            if not wanted_relations(con, store.project):
                return None
        else:
            dry = own_computation(store, con, last.moment, last.options, rehearsal=True, retry=False, dry=True)
            if not dry.run().stale and not is_new(con, dry.project):
                return None
    engine = None
    if cluster is not None:
        engine = SparkEngine(cluster, Tombstones(store.layout), store.progress.note)
    with store.database.write("features build") as con:
        refuse_other_project(con, store.project)
        if engine is not None:
            engine.begin(con)
        return compute_own(own_computation(store, con, last.moment, last.options, retry=False, engine=engine))


def stale_own(store: Store) -> tuple[str, ...]:
    """Return the own relations that the next build would compute; those of new files in a project are among them."""
    with store.database.read(labelling=True) as con:
        last = last_build(con)
        if last is None or last.cluster is not None or "photo_labels" not in read_states(con):
            return ()  # swipes of a Spark build are outside the store
        dry = own_computation(store, con, last.moment, last.options, rehearsal=True, dry=True)
        return tuple(one.name for one in dry.run().relations if one.action == "stale")


def rehearse_labels(store: Store, moment: Moment, options: LabelOptions) -> BuildReport:
    """Compute the labels of a moment from the published snapshot, like `build_labels`, and write nothing.

    Args:
        store: the open store.
        moment: the moment.
        options: options of labels and splits.

    Raises:
        AuditError: a relation breaks its contract.
        StoreError: there is no store.
    """
    started_at, started = dt.datetime.now(dt.UTC).replace(tzinfo=None), time.perf_counter()
    with store.database.read(labelling=True) as con:
        computation = Computation(con, moment, options, rehearsal=True, anew=True)
        report = _report(computation, store.progress, started_at, started)
        con.execute("reset disabled_optimizers")
        own = own_computation(
            store,
            con,
            moment,
            options,
            rehearsal=True,
            anew=True,
            contents={built.name: built.checksum for built in report.relations},
        )
        report = replace(report, own=own.run())
        return replace(report, notes=(*why_empty(con, ("swipes", "photos"), moment).values(), *report.notes)[:1])


def _build(computation: Computation, cluster: Cluster | None, progress: Progress) -> BuildReport:
    con = computation.con
    started_at, started = dt.datetime.now(dt.UTC).replace(tzinfo=None), time.perf_counter()
    last = last_build(con)
    change = _remember_labels(con, last.options, computation.options) if last is not None else None
    report = _report(computation, progress, started_at, started)
    if change is not None:
        report = replace(report, change=change.counted(*changed_labels(con)))
        con.execute("drop table past_photo_labels")
    create_views_of_labels(con)
    if report.changed or last is None or (cluster, report.options) != (last.cluster, last.options):
        _record(con, report, cluster, started_at)
    return report


def _report(computation: Computation, progress: Progress, started_at: dt.datetime, started: float) -> BuildReport:
    """Run the computation and report it."""
    con, moment = computation.con, computation.moment
    computation.run(progress)
    return BuildReport(
        build_id=f"{started_at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}",
        as_of=moment.as_of if moment.as_of < EVERYTHING else None,
        known_at=moment.known_at if moment.known_at < EVERYTHING else None,
        options=computation.options,
        relations=tuple(computation.built),
        funnel=tuple(FunnelStep(*row) for row in con.execute("select * from funnel order by all").fetchall()),
        notes=tuple(_notes(con)),
        seconds=time.perf_counter() - started,
    )


def _remember_labels(con: duckdb.DuckDBPyConnection, before: LabelOptions, after: LabelOptions) -> LabelChange | None:
    """Copy the labels for a comparison, if other options are about to change them."""
    if "photo_labels" not in read_states(con):
        return None
    ((n_labels,),) = con.execute("select count(*) from photo_labels").fetchall()
    change = LabelChange.between(before, after, n_labels=n_labels)
    if change is not None:
        con.execute("create temp table past_photo_labels as select * from photo_labels")
    return change


def _notes(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Explain why there are no labels, if there are none, and which filter has no effect."""
    notes = []
    reasons = con.execute("select reason, n_swipes, in_every from swipe_audit order by n_swipes desc").fetchall()
    if reasons and not any(in_every for _, _, in_every in reasons):
        counts = ", ".join(f"{n:,} {reason}" for reason, n, _ in reasons)
        notes.append(
            f"No swipe could be credited to a photo: {counts}. Photos become main photos by `set_at` in the "
            "photos file or by `features ingest main-photos`; recipients must be in a users file."
        )
    dropped = con.execute("select dropped, count(*) as n from follower_ratios group by all order by n desc").fetchall()
    if dropped and all(reason is not None for reason, _ in dropped):
        notes.append("No post is left to label: " + ", ".join(f"{n:,} {reason}" for reason, n in dropped) + ".")
    unbounded = "select low from follower_bounds where follower_scale = 'linear' and n_users > 0 and low < 0"
    for (low,) in con.execute(unbounded).fetchall():
        notes.append(
            f"The lower bound on followers is {low:,.0f}, which leaves out no owner. "
            "--follower-scale log leaves out owners with few followers too."
        )
    return notes


def _record(
    con: duckdb.DuckDBPyConnection, report: BuildReport, cluster: Cluster | None, started_at: dt.datetime
) -> None:
    stages = {built.name: [built.action, built.n_rows, round(built.seconds, 3)] for built in report.relations}
    con.execute(
        "insert into facts.builds values ($1, $2, $3, $4, $5, $6, $7)",
        [
            report.build_id,
            report.as_of,
            json.dumps({"labels": report.options.recorded()} | ({"cluster": asdict(cluster)} if cluster else {})),
            json.dumps({"labels": stages}),
            started_at,
            dt.datetime.now(dt.UTC).replace(tzinfo=None),
            report.known_at,
        ],
    )

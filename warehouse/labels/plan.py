"""Report what a label build would change, without changing it: `features build --plan`.

The build is rehearsed on the published snapshot, in temporary tables, and the result is compared with
the current labels. The numbers are those of the build itself, if no data arrives in between.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import relation
from photogenic.warehouse.context import Store
from photogenic.warehouse.labels.compute import Computation, RelationBuilt
from photogenic.warehouse.labels.fingerprints import Mark, read_states
from photogenic.warehouse.labels.last_build import LabelChange, changed_labels, last_build
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.moment import EVERYTHING, Instant, Moment

__all__ = ["LabelPlan", "plan_labels"]

_COMPARED = ("recipient_timeline", "recipient_counts", "photo_labels")


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """What a label build would change.

    Attributes:
        relations: what the build would do with each relation, and how long the rehearsal took.
        n_new_swipes: number of swipes that the former build did not count, minus those that would no longer count.
        n_moved_swipes: number of swipes that would be credited to another photo, or for another reason.
        n_new_labels, n_lost_labels: number of labels that would appear or disappear.
        n_changed_labels: number of labels whose value or weight would change.
        n_flipped_labels: number of labels that would become popular, or no longer be.
        change: other label options than those of the last build, and their effect; None: they are the same.
    """

    as_of: dt.datetime | None
    known_at: dt.datetime | None
    relations: tuple[RelationBuilt, ...]
    n_new_swipes: int
    n_moved_swipes: int
    n_new_labels: int
    n_lost_labels: int
    n_changed_labels: int
    n_flipped_labels: int
    change: LabelChange | None = None

    @property
    def changes(self) -> bool:
        """Whether a build would compute anything."""
        return any(built.action != "kept" for built in self.relations)

    def __str__(self) -> str:
        if not self.changes:
            return "Nothing would change: labels are up to date."
        return (
            f"{_n(self.n_new_swipes, 'new swipe')}; {_n(self.n_moved_swipes, 'swipe')} would move, "
            f"{_n(self.n_changed_labels, 'label')} change, "
            f"{self.n_new_labels:,} appear, {self.n_lost_labels:,} vanish; "
            f"{self.n_flipped_labels:,} would cross the median."
        )


def plan_labels(
    store: Store,
    *,
    as_of: Instant | None = None,
    known_at: Instant | None = None,
    options: LabelOptions = LabelOptions(),  # noqa: B008 - frozen
    anew: bool = False,
) -> LabelPlan:
    """Rehearse `build_labels` with the same arguments. It takes about as long, needs no lock and writes nothing.

    Args:
        store: the open store.
        as_of: same as for `build_labels`.
        known_at: same as for `build_labels`.
        options: same as for `build_labels`.
        anew: same as for `build_labels`.

    Raises:
        AuditError: the build would fail.
        StoreError: there is no store.
    """
    moment = Moment.of(as_of, known_at)
    with store.database.read(labelling=True) as con:
        states = read_states(con)
        for name in _COMPARED:
            _remember(con, name, is_built=name in states)
        rehearsal = Computation(con, moment, options, rehearsal=True, anew=anew)
        rehearsal.run(store.progress)
        n_new, n_lost, n_changed, n_flipped = counts = changed_labels(con)
        last, n_labels = last_build(con), _row(con, "select count(*) from past_photo_labels")[0]
        change = LabelChange.between(last.options, options, n_labels=n_labels) if last is not None else None
        return LabelPlan(
            as_of=moment.as_of if moment.as_of < EVERYTHING else None,
            known_at=moment.known_at if moment.known_at < EVERYTHING else None,
            relations=tuple(rehearsal.built),
            n_new_swipes=_swipes(con, "recipient_counts") - _swipes(con, "past_recipient_counts"),
            n_moved_swipes=_moved(con, states["swipe_counts"].inputs["swipes"]) if states else 0,
            n_new_labels=n_new,
            n_lost_labels=n_lost,
            n_changed_labels=n_changed,
            n_flipped_labels=n_flipped,
            change=change.counted(*counts) if change is not None else None,
        )


def _remember(con: duckdb.DuckDBPyConnection, name: str, *, is_built: bool) -> None:
    """Create `past_NAME` with the rows of the snapshot, before a temporary table takes the name."""
    if is_built:
        con.execute(f"create temp view past_{name} as select * from store.main.{name}")
    else:
        columns = ", ".join(f"{column.name} {column.type}" for column in relation(name).columns)
        con.execute(f"create temp table past_{name} ({columns})")


def _moved(con: duckdb.DuckDBPyConnection, digest: str) -> int:
    then = Mark.from_text(digest.partition("; ")[0])
    if then is None:  # built by an older version
        return 0
    values = {"batch": then.batch, "as_of": then.moment.as_of, "known_at": then.moment.known_at}
    return _row(con, sql.read("plan/moved_swipes"), values)[0]


def _swipes(con: duckdb.DuckDBPyConnection, name: str) -> int:
    return _row(con, f"select coalesce(sum(n_swipes), 0) from {name}")[0]


def _row(con: duckdb.DuckDBPyConnection, query: str, values: dict[str, object] | None = None) -> tuple[int, ...]:
    (row,) = con.execute(query, values).fetchall()
    return tuple(map(int, row))


def _n(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"

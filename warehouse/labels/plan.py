"""Report what a label build would change, without changing it: `features build --plan`.

The build is rehearsed on the published snapshot, in temporary tables, and the result is compared with
the current labels. The numbers are those of the build itself, if no data arrives in between.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Relation, catalog_of, relation
from photogenic.warehouse.context import Store
from photogenic.warehouse.definitions.build import OwnComputation, OwnReport
from photogenic.warehouse.labels.build import own_computation
from photogenic.warehouse.labels.compute import Computation, RelationBuilt
from photogenic.warehouse.labels.fingerprints import Mark, State, read_states
from photogenic.warehouse.labels.last_build import LabelChange, changed_labels, last_build
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.labels.staleness import changed_inputs, reasons
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
        why: relation that would be computed -> why, as parts of a sentence.
        changed: relations and base tables whose rows would differ, or differ already, from those of the last build.
        own: what the build would do with the user's own relations.
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
    why: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    own: OwnReport = field(default_factory=OwnReport)

    @property
    def changes(self) -> bool:
        """Whether a build would compute any label relation."""
        return any(built.action != "kept" for built in self.relations)

    def __str__(self) -> str:
        if not self.changes:
            return "Labels are up to date." if self.own.changed else "Nothing would change: labels are up to date."
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
        contents = {built.name: built.checksum for built in rehearsal.built}
        con.execute("reset disabled_optimizers")
        own = own_computation(store, con, moment, options, rehearsal=True, anew=anew, contents=contents)
        own_report = own.run()
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
            **_why(con, states, rehearsal, (own, own_report), asdict(last.options) if last is not None else {}),
            own=own_report,
        )


def _why(
    con: duckdb.DuckDBPyConnection,
    states: Mapping[str, State],
    labels: Computation,
    own: tuple[OwnComputation, OwnReport],
    before: Mapping[str, Any],
) -> dict[str, Any]:
    """Return why each relation was computed, and what changed."""
    catalog, now = catalog_of(con), asdict(labels.options)
    why, changed = dict[str, tuple[str, ...]](), dict[str, None]()

    def add(what: Relation, state: State, then: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        former = states.get(state.relation)
        found = reasons(con, catalog, what, former, state, before=then, now=values)
        why[state.relation] = tuple(found or ["--force asks for it"])
        changed.update(dict.fromkeys(changed_inputs(former, state)))

    contents = {built.name: built for built in labels.built}
    for state in labels.computed_states:
        add(relation(state.relation), state, before, now)
    for built in own[1].relations:
        contents[built.name] = built
        if built.error is not None:
            why[built.name] = (built.error.splitlines()[0],)
        elif built.action != "kept" and built.name in own[0].considered:
            what, values, state = own[0].considered[built.name]
            add(what, state, catalog.values.get(built.name, {}), values)
    for name, state in states.items():
        if name in contents and contents[name].action != "kept" and contents[name].checksum != state.checksum:
            changed[name] = None
    return {"why": why, "changed": tuple(changed)}


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

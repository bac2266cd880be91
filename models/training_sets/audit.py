"""Prove that no feature is from the future: compute a sample of the set again, as of instants of its rows.

The sample is a few thousand rows, chosen by a hash. At some of their instants every relation is computed from only what
had happened by then, and joined again to the rows of the sample up to that instant. A value that differs was changed by
something that happened later, and the creation fails.

Intervals are compared for all rows up to the instant, since a relation that tells the truth does not change what held
before. Features that depend on the clock are computed again for rows with the same instant, or step.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from photogenic._lazy import duckdb, pa, pl
from photogenic.models.training_sets.instants import just_after, opened
from photogenic.models.training_sets.join import Join, quoted
from photogenic.models.training_sets.sources import Wanted
from photogenic.models.training_sets.splits import put_table
from photogenic.warehouse import Store
from photogenic.warehouse.errors import AuditError
from photogenic.warehouse.moment import Moment

__all__ = ["Audited", "audit"]

_CLOSE = "1e-9"
"""Relative difference up to which two sums of doubles are the same."""


@dataclass(slots=True)
class Audited:
    """What the audit compared.

    Attributes:
        instants: instants as of which features were computed again.
        rows: rows of the sample.
        values: values that were compared.
        gone: values of rows that a relation had then and has no more, such as those of deleted photos.
    """

    instants: int = 0
    rows: int = 0
    values: int = 0
    gone: int = 0


def audit(store: Store, join: Join, sample: pa.Table) -> Audited:
    """Compare a sample of the set with features computed as of its instants.

    Args:
        store: the open store.
        join: the join of the set.
        sample: rows of the set, with the columns that begin with `_`.

    Raises:
        AuditError: a feature is from the future.
    """
    found = Audited(rows=len(sample))
    checked = [want for want in join.sources.features if want.relation]
    if join.options.at is None or not len(sample) or not checked:
        return found
    frame = pl.from_arrow(sample)
    assert isinstance(frame, pl.DataFrame)
    instants = _chosen(frame["instant"], join.options.audit_instants)
    by_relation: dict[str, list[Wanted]] = {}
    for want in checked:
        by_relation.setdefault(want.relation, []).append(want)
    with store.progress.stage("audit", len(instants), "instants") as advance:
        for instant in instants:
            found.instants += 1
            now = {place: wanted for place, wanted in by_relation.items() if wanted[0].time != "clock"}
            _Look(join, just_after(instant), found).compare(store, sample, now)
            later = {place: wanted for place, wanted in by_relation.items() if wanted[0].time == "clock"}
            bucket = _bucket(join, instant)
            as_of = bucket if join.options.every else just_after(instant)
            _Look(join, as_of, found, bucket).compare(store, sample, later)
            advance(1)
    return found


def _chosen(instants: pl.Series, n: int) -> list[dt.datetime]:
    """Return `n` instants of the sample at even ranks, so that there is a future after each of them."""
    known = instants.drop_nulls().unique().sort()
    if len(known) <= n:
        return known.to_list()
    ranks = sorted({round((k + 0.5) * (len(known) - 1) / n) for k in range(n)})
    return [known[rank] for rank in ranks]


def _bucket(join: Join, instant: dt.datetime) -> dt.datetime:
    query = join.bucket.replace("given.instant", "$1::timestamp")
    ((bucket,),) = join.con.execute(f"select {query}", [instant]).fetchall()
    found: dt.datetime = bucket
    return found


@dataclass
class _Look:
    """One comparison with what had happened before an instant.

    Attributes:
        as_of: only what had happened before it counts.
        bucket: instant as of which features that depend on the clock were joined to the rows that are compared.
    """

    join: Join
    as_of: dt.datetime
    found: Audited
    bucket: dt.datetime | None = None

    def compare(self, store: Store, sample: pa.Table, relations: dict[str, list[Wanted]]) -> None:
        """Compute the relations again, and compare what they give with the sample."""
        if not relations:
            return
        moment = Moment(min(self.as_of, self.join.moment.as_of), self.join.moment.known_at)
        with opened(store, moment, relations) as con:
            put_table(con, "sample", sample)
            for place, wanted in relations.items():
                if wanted[0].time == "row":
                    self._rows(con, place, wanted)
                else:
                    self._joined(con, place, wanted)

    def _joined(self, con: duckdb.DuckDBPyConnection, place: str, wanted: list[Wanted]) -> None:
        want, entity = wanted[0], self.join.sources.entity
        key = str(entity.photo if want.key == "photo_id" else entity.user or "user_id")
        on = f"sample.{quoted(key)} = held.{want.key}"
        rows = f"sample.instant < timestamp '{self.as_of}'"
        has = quoted(f"_has_{place}")
        if want.time == "interval":
            on += f" and {self.join.holds(place, 'held', 'sample')}"
        elif self.bucket is not None:
            has = quoted(f"_has_{place} as of instants")
            same = self.join.bucket.replace("given.instant", "sample.instant")
            rows = f"{same} = timestamp '{self.bucket}'"
        there = f"held.{want.key} is not null"
        if want.time == "constant":  # a photo that was posted later has its value from its pixels
            rows += f" and {there}"
        for one in wanted:
            mine, theirs = f"sample.{quoted(one.name)}", f"held.{quoted(one.column)}"
            differ = f"{mine} is distinct from {theirs}"
            if one.type == "double":
                close = f"abs({mine} - {theirs}) <= {_CLOSE} * greatest(1e0, abs({mine}), abs({theirs}))"
                differ += f" and not coalesce({close}, false)"
            leaks = f"(({differ}) or not {there}) and sample.{has}"
            query = f"""
                select
                    count(*), count(*) filter (where {leaks}), count(*) filter (where {there} and not sample.{has}),
                    any_value(sample.{quoted(key)}) filter (where {leaks}),
                    any_value(row(sample.instant, {mine}, {theirs})) filter (where {leaks})
                from sample left join {quoted(place)} as held on {on}
                where {rows}
            """
            ((n, n_leaks, n_gone, name, values),) = con.execute(query).fetchall()
            self.found.values += n
            self.found.gone += n_gone
            if n_leaks:
                raise _leak(one, (n_leaks, n), name, values)

    def _rows(self, con: duckdb.DuckDBPyConnection, place: str, wanted: list[Wanted]) -> None:
        """Compare columns of the entity itself: a row that was there then must have had the same values."""
        entity = self.join.sources.entity
        same = " and ".join(f"sample.{quoted(name)} is not distinct from held.{quoted(name)}" for name in entity.ids)
        same += f" and sample.instant = held.{quoted(str(entity.at))}"
        for one in wanted:
            query = f"""
                with here as (select * from sample where instant < timestamp '{self.as_of}'),
                known as (select sample.* from here as sample semi join {quoted(place)} as held on {same}),
                leaks as (
                    select sample.* from known as sample
                    anti join {quoted(place)} as held
                        on {same} and sample.{quoted(one.name)} is not distinct from held.{quoted(one.column)}
                )
                select
                    (select count(*) from known), (select count(*) from leaks),
                    (select any_value({quoted(entity.ids[0])}) from leaks),
                    (select any_value(row(instant, {quoted(one.name)})) from leaks)
            """
            ((n, n_leaks, name, values),) = con.execute(query).fetchall()
            self.found.values += n
            if n_leaks:
                raise _leak(one, (n_leaks, n), name, (*_values(values), "another value"))


def _leak(want: Wanted, counts: tuple[int, int], name: str, values: Any) -> AuditError:
    n_leaks, n = counts
    instant, mine, theirs = _values(values)
    return AuditError(
        f"{want.source} is from the future in {n_leaks:,} of {n:,} rows that were computed again: for {name!r} at "
        f"{instant} the set would have {mine}, and what had happened by then gives {theirs}.",
        "features that nothing after the instant of a row changes; the training set was not created",
        f"correct {want.relation}, so that a row of it reads only what happened before its valid_from; or leave "
        f"{want.source} out",
    )


def _values(row: Any) -> tuple[Any, ...]:
    return tuple(row.values()) if isinstance(row, dict) else tuple(row)

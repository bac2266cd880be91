"""The point-in-time join: one SELECT that gives every row of a set its target, weight, features and split.

The entity is read once, and each relation is joined by its rule of time (sources.py). Columns whose names begin with
`_` are for the counts and are not written: whether each relation had a row, and hashes of the row and of its keys.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field

from photogenic._lazy import duckdb
from photogenic.models.training_sets.options import TrainingSetOptions
from photogenic.models.training_sets.sources import Sources, Wanted, required_keys
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.moment import EVERYTHING, Moment

__all__ = ["Join", "quoted"]

_SETUP = """
semi join (select photo_id from faces group by photo_id having count(*) = 1) as one_face
    on given._photo = one_face.photo_id
"""


def quoted(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


@dataclass
class Join:
    """The join of one set, on a connection with its entity and relations.

    Attributes:
        moment: the moment of the set.
        bucket: SQL for the instant as of which features that depend on the clock are joined.
        open_start: relations with intervals of which one has no beginning.
        has_photoless: whether there are rows without a photo, which are split by user.
        cuts: with `--by-time`, the instants at which dev and test begin.
    """

    con: duckdb.DuckDBPyConnection
    sources: Sources
    options: TrainingSetOptions
    moment: Moment
    open_start: set[str] = field(default_factory=set)
    has_photoless: bool = False
    cuts: tuple[dt.datetime, dt.datetime] | None = None

    @property
    def bucket(self) -> str:
        step = self.options.step
        return f"time_bucket(interval '{step}', given.instant)" if step else "given.instant"

    def given(self) -> str:
        """Return the SELECT of the entity: ids, `instant`, and the columns of the entity that the set has."""
        entity = self.sources.entity
        columns = [f"entity.{quoted(name)}" for name in entity.ids]
        photo = f"entity.{quoted(entity.photo)}" if entity.photo else "cast(null as varchar)"
        user = "photo_owners.user_id" if entity.user is None else f"entity.{quoted(entity.user)}"
        columns += [f"{photo} as _photo", f"{user} as _user"]
        if entity.owner:
            columns.append(f"{user} as user_id")
        columns.append(f"{self._instant()} as instant")
        columns += [
            f"entity.{quoted(want.column)} as {quoted(want.name)}" for want in self.sources.all if want.time == "row"
        ]
        owners = " left join photo_owners on entity.photo_id = photo_owners.photo_id" if entity.owner else ""
        return f"select {', '.join(columns)} from {quoted(entity.relation.name)} as entity{owners}"

    def counts(self) -> dict[str, int]:
        """Count the rows of the entity, and those that are left out because a key or an instant is missing."""
        no_key = f"not ({self._has_keys()})"
        query = f"""
            select count(*), count(*) filter (where {no_key}),
                count(*) filter (where not {no_key} and instant is null),
                count(*) filter (where not {no_key} and instant is not null and _photo is null)
            from ({self.given()}) as given
        """
        ((rows, without_key, without_instant, photoless),) = self.con.execute(query).fetchall()
        self.has_photoless = photoless > 0
        found = {"entity_rows": rows, "without_key": without_key, "without_instant": without_instant}
        if self.options.setup == "one_face":
            query = f"select count(*) from ({self.given()}) as given {_SETUP} where {self._usable()}"
            ((kept,),) = self.con.execute(query).fetchall()
            found["other_setup"] = rows - without_key - without_instant - kept
        return found

    def check(self) -> None:
        """Check that each relation has at most one row for a key and an instant.

        Raises:
            InputError: it has several.
        """
        done = set()
        for want in self.sources.all:
            if want.time == "row" or not want.relation or want.relation in done:
                continue
            done.add(want.relation)
            if want.time == "interval":
                self._check_intervals(want)
            elif want.time == "constant" or self.options.at is None or want not in self.sources.features:
                check_unique(self.con, want)

    def _check_intervals(self, want: Wanted) -> None:
        query = f"""
            select key, valid_from, valid_to, next_from, no_start
            from (
                select
                    {quoted(want.key)} as key, valid_from, valid_to,
                    lead(coalesce(valid_from, timestamp '0001-01-01')) over rows_of_key as next_from,
                    bool_or(valid_from is null) over () as no_start
                from {quoted(want.relation)}
                where {quoted(want.key)} is not null and coalesce(valid_from < valid_to, true)
                window rows_of_key as (
                    partition by {quoted(want.key)}
                    order by coalesce(valid_from, timestamp '0001-01-01'), valid_to nulls last
                )
            )
            order by (next_from is not null and (valid_to is null or valid_to > next_from)) desc, key
            limit 1
        """
        for key, start, end, following, no_start in self.con.execute(query).fetchall():
            if no_start:
                self.open_start.add(want.relation)
            if following is not None and (end is None or end > following):
                raise InputError(
                    f"Intervals of {want.relation} overlap: for {want.key} {key!r} one lasts from {start} to "
                    f"{end or 'now'}, and the next begins at {following}.",
                    "intervals [valid_from, valid_to) of which one holds at any instant",
                    f"correct {want.relation}, for example with lead(valid_from) as valid_to",
                )

    def query(self) -> str:
        """Return the SELECT of the set."""
        sources, entity = self.sources, self.sources.entity
        columns = [f"given.{quoted(name)}" for name in entity.ids]
        columns += ["given.user_id"] if entity.owner else []
        columns += ["given.instant"]
        values, joins, flags = dict[str, str](), list[str](), list[str]()
        for number, (place, wanted) in enumerate(self._places()):
            joins.append(self._join(f"r{number}", place, wanted))
            flags.append(f"r{number}.{quoted(wanted[0].key)} is not null as {quoted(f'_has_{place}')}")
            values |= {
                want.name: f"r{number}.{quoted(want.column if want.relation else 'embedding')}" for want in wanted
            }
        values |= {want.name: f"given.{quoted(want.name)}" for want in sources.all if want.time == "row"}
        columns.append(f"{values['target']} as target")
        columns.append(f"{values['weight']} as weight" if sources.weight else "cast(1 as double) as weight")
        split, part, split_joins = self._split()
        columns.append(f"{split} as split")
        columns += [f"{values[want.name]} as {quoted(want.name)}" for want in sources.features]
        keys = ", ".join(f"given.{quoted(name)}" for name in ("_photo", "_user"))
        flags.append(f"hash({keys}, given.instant) as _key")
        setup = _SETUP if self.options.setup == "one_face" else ""
        where = [self._usable()]
        if self.options.by_time:
            where.append(f"{self._part_number()} = {part}")
        newline = "\n"
        return f"""
            select {", ".join(columns)}, {", ".join(flags)}
            from ({self.given()}) as given
            {newline.join([*joins, *split_joins])}
            {setup}
            where {" and ".join(where)}
        """

    def _split(self) -> tuple[str, str, list[str]]:
        """Return SQL for the split and for the last part of the group of a row, and the joins for them."""
        by_photo = "left join split_of_photo as sp on given._photo = sp.photo_id"
        by_user = "left join split_of_user as su on given._photo is null and given._user = su.user_id"
        if self.sources.entity.photo is None:
            split, part, joins = "su.split", "su.part", ["left join split_of_user as su on given._user = su.user_id"]
        elif self.has_photoless:
            split, part, joins = "coalesce(sp.split, su.split)", "coalesce(sp.part, su.part)", [by_photo, by_user]
        else:
            split, part, joins = "sp.split", "sp.part", [by_photo]
        return self._part() if self.options.by_time else split, part, joins

    def units(self) -> str:
        """Return the SELECT of the photos of the rows, and of the users of rows without a photo.

        With `--by-time` it has their last instants too.
        """
        last = ", max(instant) as last_at" if self.options.by_time else ""
        setup = _SETUP if self.options.setup == "one_face" else ""
        return f"""
            select _photo as photo_id, case when _photo is null then _user end as user_id{last}
            from ({self.given()}) as given {setup}
            where {self._usable()}
            group by all
        """

    def instants(self) -> str:
        """Return the SELECT of the instants of the rows."""
        return f"select given.instant from ({self.given()}) as given where {self._usable()}"

    def keys_by_bucket(self, key: str) -> str:
        """Return the SELECT of the keys for which features are needed as of each bucket."""
        column = "_photo" if key == "photo_id" else "_user"
        return f"""
            select distinct {self.bucket} as bucket, {column} as {key}
            from ({self.given()}) as given
            where {self._usable()}
        """

    def _places(self) -> Iterator[tuple[str, list[Wanted]]]:
        """Yield each join: a name, and the columns that it gives."""
        found: dict[tuple[str, bool], list[Wanted]] = {}
        for want in self.sources.all:
            if want.time != "row":
                later = want.time == "clock" and self.options.at is not None and want in self.sources.features
                found.setdefault((want.relation or want.column, later), []).append(want)
        for (place, later), wanted in found.items():
            yield (f"{place} as of instants" if later else place), wanted

    def _join(self, alias: str, place: str, wanted: list[Wanted]) -> str:
        want = wanted[0]
        given = "given._photo" if want.key == "photo_id" else "given._user"
        on = f"{given} = {alias}.{quoted(want.key)}"
        if not want.relation:
            return f"left join {quoted(f'vectors of {want.column}')} as {alias} on {on}"
        if want.time == "interval":
            on += f" and {self.holds(want.relation, alias, 'given')}"
        elif place != (want.relation or want.column):
            on += f" and {alias}.bucket = {self.bucket}"
            return f"left join {quoted(place)} as {alias} on {on}"
        return f"left join {quoted(want.relation)} as {alias} on {on}"

    def holds(self, place: str, alias: str, rows: str) -> str:
        """Return the condition that an interval of a relation holds at the instant of a row."""
        start = f"{alias}.valid_from <= {rows}.instant"
        if place in self.open_start:
            start = f"({alias}.valid_from is null or {start})"
        return f"{start} and ({alias}.valid_to is null or {rows}.instant < {alias}.valid_to)"

    def _instant(self) -> str:
        at = self.sources.entity.at
        if at is not None:
            return f"entity.{quoted(at)}"
        last = "" if self.moment.as_of == EVERYTHING else " - interval 1 microsecond"
        return f"timestamp '{self.moment.as_of.isoformat(sep=' ')}'{last}"

    def _has_keys(self) -> str:
        needed = required_keys(self.sources.all) | ({"photo_id"} if self.options.setup == "one_face" else set())
        checks = [f"{'_photo' if key == 'photo_id' else '_user'} is not null" for key in sorted(needed)]
        return " and ".join([*checks, "(_photo is not null or _user is not null)"])

    def _usable(self) -> str:
        return f"{self._has_keys()} and instant is not null"

    def _part_number(self) -> str:
        dev, test = (f"timestamp '{cut.isoformat(sep=' ')}'" for cut in self.cuts or ())
        return f"(case when given.instant >= {test} then 2 when given.instant >= {dev} then 1 else 0 end)"

    def _part(self) -> str:
        return f"(case {self._part_number()} when 2 then 'test' when 1 then 'dev' else 'train' end)"


def check_unique(con: duckdb.DuckDBPyConnection, want: Wanted) -> None:
    """Check that a relation has one row per key.

    Raises:
        InputError: it has several.
    """
    query = f"""
        select {quoted(want.key)}, count(*) as n from {quoted(want.relation)}
        where {quoted(want.key)} is not null group by all having count(*) > 1 order by all limit 1
    """
    for key, n in con.execute(query).fetchall():
        raise InputError(
            f"{want.relation} has {n:,} rows for {want.key} {key!r}.",
            f"one row per {want.key}",
            f"a relation of your own that selects one row per {want.key} from {want.relation}",
        )

"""The rows of feature views for Feast, so that it joins at each instant what training sets of this program join.

Feast takes, for a key and an instant, the newest row whose `event_timestamp` is not later. So a view has a row for each
beginning of a value, a row without values where a value ends, and one without values in 1900 for every key: Feast's
default engine drops rows of whose key it knows later rows only.

    interval   a row for each valid_from, and one for each valid_to at which nothing begins
    constant   one row in 1900
    clock      one row of the moment; with a step, of each beginning of a step, where the values differ from before
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from photogenic._lazy import duckdb, pa, pq
from photogenic.models.training_sets.instants import MOST, opened
from photogenic.models.training_sets.options import step_of
from photogenic.warehouse import Store
from photogenic.warehouse.catalog import Relation, catalog_of
from photogenic.warehouse.columns import INTERVALS, KEYS, ColumnRef, resolve
from photogenic.warehouse.errors import ConflictError, InputError
from photogenic.warehouse.export.run import Source
from photogenic.warehouse.moment import EVERYTHING, Moment

__all__ = ["feature_views", "refuse_for_feast"]

_TYPES = {
    "boolean": ("boolean", "Bool"),
    "tinyint": ("bigint", "Int64"),
    "smallint": ("bigint", "Int64"),
    "integer": ("bigint", "Int64"),
    "bigint": ("bigint", "Int64"),
    "hugeint": ("double", "Float64"),
    "decimal": ("double", "Float64"),
    "float": ("double", "Float64"),
    "real": ("double", "Float64"),
    "double": ("double", "Float64"),
    "varchar": ("varchar", "String"),
    "timestamp": ("timestamp", "UnixTimestamp"),
    "date": ("timestamp", "UnixTimestamp"),
}
"""Type in the header of a relation -> type in the file, and Feast's type."""

_FLOOR = "timestamp '1900-01-01'"
_ENDLESS = "timestamp '9999-12-31'"
_MOST_VALUES = 10
_RESERVED = ("event_timestamp", "created_timestamp")


class _View:
    """One relation as a feature view.

    Args:
        kind: column of the grain beside the key, such as time_window; empty: none.
        value: the one of its values that the view has.

    Attributes:
        name: the relation, with the value.
        rows: SQL of its rows.
        key: photo_id or user_id.
        time: interval, constant or clock.
        columns: name, type in the file, and Feast's type of each feature.
        left_out: columns of types that Feast has not.
    """

    def __init__(self, what: Relation, refs: Sequence[ColumnRef], kind: str = "", value: str = "") -> None:
        self.relation, self.summary, self.key = what.name, what.summary, refs[0].key
        self.name = f"{what.name}_{value}" if kind else what.name
        self.rows = f'(select * from "{what.name}" where "{refs[0].key}" is not null'
        self.rows += f" and \"{kind}\" = '{value}')" if kind else ")"
        self.time = "interval" if refs[0].intervals else "clock"
        if what.time.lower().startswith("constant"):
            self.time = "constant"
        names = [ref for ref in refs if ref.column not in (*KEYS, "valid_from", "valid_to", kind)]
        self.columns = [(ref.column, *_TYPES[ref.type]) for ref in names if ref.type in _TYPES]
        self.left_out = [ref.column for ref in names if ref.type not in _TYPES]
        if not self.columns:
            raise InputError(
                f"{what.name} has no column besides its keys.", "a relation with values", "another relation"
            )
        if wrong := {name for name, _, _ in self.columns} & {*_RESERVED}:
            raise InputError(
                f"{what.name} has a column {min(wrong)}, which is a name of Feast.",
                "other names",
                "a relation of your own with other names",
            )

    def check(self, con: duckdb.DuckDBPyConnection) -> None:
        """Refuse several rows for a key.

        Raises:
            InputError: there are.
        """
        if self.time == "interval":
            return
        query = f'select "{self.key}", count(*) from {self.rows} as rows_of group by all having count(*) > 1 limit 1'
        for key, n_rows in con.execute(query).fetchall():
            raise InputError(
                f"{self.name} has {n_rows} rows for {self.key} {key!r}.",
                f"one row per {self.key}",
                f"a relation of your own that selects one row per {self.key} from {self.relation}",
            )

    @property
    def about(self) -> dict[str, str]:
        facts = {
            "key": self.key,
            "summary": self.summary,
            "features": [[name, feast] for name, _, feast in self.columns],
            "left_out": self.left_out,
        }
        return {"feast": json.dumps(facts)}

    @property
    def values(self) -> str:
        return ", ".join(f'cast("{name}" as {kind}) as "{name}"' for name, kind, _ in self.columns)

    @property
    def nothing(self) -> str:
        return ", ".join(f'cast(null as {kind}) as "{name}"' for name, kind, _ in self.columns)

    @property
    def created(self) -> str:
        """When the rows of the relation were computed last; of a view, when any was."""
        built = "select max(built_at) from checksums"
        return f"coalesce(({built} where relation = '{self.relation}'), ({built}), {_FLOOR})"

    def query(self, moment: Moment) -> str:
        """The SELECT of the rows of one moment."""
        created = f"timestamp '{moment.known_at}'" if moment.known_at < EVERYTHING else self.created
        floor = f"""
            select distinct "{self.key}", {self.nothing}, {_FLOOR} as event_timestamp, {_FLOOR} as created_timestamp
            from {self.rows} as rows_of
        """
        if self.time == "interval":
            return f"""
                with held as (
                    select *, coalesce(valid_from, timestamp '1900-01-02') as starts_at
                    from {self.rows} as rows_of
                    where coalesce(valid_from < valid_to, true)
                ),
                ends as (
                    select distinct "{self.key}", valid_to from held where valid_to < {_ENDLESS}
                )
                select "{self.key}", {self.values}, starts_at as event_timestamp, {created} as created_timestamp
                from held
                union all
                select ends."{self.key}", {self.nothing}, valid_to as event_timestamp, {created} as created_timestamp
                from ends
                anti join held as following
                    on ends."{self.key}" = following."{self.key}" and ends.valid_to = following.starts_at
                union all
                {floor}
            """
        at = "timestamp '1900-01-02'" if self.time == "constant" else created
        if self.time == "clock" and moment.as_of < EVERYTHING:
            at = f"timestamp '{moment.as_of}'"
        return f"""
            select "{self.key}", {self.values}, {at} as event_timestamp, {created} as created_timestamp
            from {self.rows} as rows_of
            union all
            {floor}
        """


def feature_views(
    store: Store, names: Sequence[str], moment: Moment, every: str | None, held: contextlib.ExitStack
) -> list[Source]:
    """Return the rows of feature views.

    Args:
        store: the open store, as it is now.
        names: relations with one row per photo or user at an instant; `all` is every such relation.
        moment: the moment of the export.
        every: step at whose beginnings relations that depend on the clock are computed; None: as of the moment.
        held: keeps the files with rows of many moments until the export has ended.

    Raises:
        InputError: a name is unknown, or a relation has several rows for a key.
    """
    views = []
    with store.database.read() as con:
        catalog = catalog_of(con)
        chosen = [name for name in catalog.names if _is_view(catalog.relation(name))] if "all" in names else names
        for name in chosen:
            refs = resolve(con, [f"{name}.*"], option="features export", any_type=True)
            found = _views(con, catalog.relation(name), refs)
            try:
                for view in found:
                    view.check(con)
            except InputError as error:
                if "all" not in names:
                    raise
                store.progress.note(f"{error.what} It is left out.")
                continue
            views += found
            if found and found[0].left_out:
                left_out = ", ".join(found[0].left_out)
                store.progress.note(f"{name}: Feast has no type for {left_out}, which are left out.")
    if not views:
        raise ConflictError("Nothing was named for Feast.", "relations with photo_id or user_id", "photo_labels")
    later = [view for view in views if view.time == "clock" and every]
    made = {
        view.name: Source(item=view.name, table=view.name, query=view.query(moment), about=view.about)
        for view in views
        if view not in later
    }
    if later:
        assert every is not None
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="features-feast-")))
        made |= _through_time(store, later, moment, every, folder)
    return [made[view.name] for view in views]


def refuse_for_feast(names: Sequence[str], query: str | None) -> None:
    """Refuse what has no place in a Feast repository.

    Raises:
        ConflictError: a query, a training set or vectors.
    """
    wrong = (
        ["--query"] if query is not None else [name for name in names if name.startswith(("training-set:", "vectors_"))]
    )
    if wrong:
        raise ConflictError(
            f"{wrong[0]} is no relation with one row per photo or user at an instant.",
            "relations, or a relation of your own",
            "features export photo_labels --as feast --to FOLDER",
        )


def _is_view(what: Relation) -> bool:
    """Whether a relation has one row per photo or user, or intervals of them, and a value besides."""
    own = {column.name for column in what.columns}
    key = next((key for key in KEYS if key in own), None)
    values = {column.name for column in what.columns if column.type in _TYPES} - {*KEYS, "valid_from", "valid_to"}
    kinds = [name for name in what.keys if name != key]
    types = {column.name: column.type for column in what.columns}
    is_one = not kinds or (len(kinds) == 1 and types[kinds[0]] == "varchar")
    return key is not None and bool(values) and ((key in what.keys and is_one) or what.time.startswith(INTERVALS))


def _views(con: duckdb.DuckDBPyConnection, what: Relation, refs: Sequence[ColumnRef]) -> list[_View]:
    """Return the view of a relation; of one whose grain has a text beside the key, a view for each of its values."""
    kinds = [name for name in what.keys if name != refs[0].key]
    texts = {ref.column for ref in refs if ref.type == "varchar"}
    if refs[0].intervals or len(kinds) != 1 or kinds[0] not in texts:
        return [_View(what, refs)]
    query = f'select distinct "{kinds[0]}" from "{what.name}" order by 1 limit {_MOST_VALUES + 1}'
    values = [str(value) for (value,) in con.execute(query).fetchall()]
    if len(values) > _MOST_VALUES or not all(re.fullmatch(r"\w+", value, re.ASCII) for value in values):
        return [_View(what, refs)]
    return [_View(what, refs, kinds[0], value) for value in values]


def _through_time(store: Store, views: Sequence[_View], moment: Moment, every: str, folder: Path) -> dict[str, Source]:
    """Write the rows of the beginnings of the steps, each where its values differ from those before."""
    instants = _beginnings(store, moment, every)
    writers: dict[str, Any] = {}
    counts = dict.fromkeys((view.name for view in views), 0)
    created = moment.known_at if moment.known_at < EVERYTHING else None
    with (
        contextlib.ExitStack() as files,
        contextlib.closing(duckdb.connect()) as memory,
        store.progress.stage("features as of instants", len(instants), "instants") as advance,
    ):
        for instant in instants:
            with opened(store, Moment(min(instant, moment.as_of), moment.known_at), {v.relation for v in views}) as con:
                for view in views:
                    view.check(con)
                    query = f'select "{view.key}", {view.values} from {view.rows} as rows_of'
                    memory.register("rows_now", con.sql(query).to_arrow_table())
                    changed = _changes(memory, view, instant, created or instant)
                    memory.unregister("rows_now")
                    if view.name not in writers:
                        path = folder / f"{view.name}.parquet"
                        writers[view.name] = files.enter_context(pq.ParquetWriter(path, changed.schema))
                    writers[view.name].write_table(changed)
                    counts[view.name] += changed.num_rows
            advance(1)
    return {view.name: _source(view, folder / f"{view.name}.parquet", counts[view.name]) for view in views}


def _changes(memory: duckdb.DuckDBPyConnection, view: _View, instant: dt.datetime, created: dt.datetime) -> pa.Table:
    """Return the rows that are new or differ, those of keys that are gone, and 1900's of keys that are new."""
    held, key = f"held_{view.name}", f'"{view.key}"'
    memory.execute(f"create table if not exists {held} as select * from rows_now limit 0")
    memory.execute(f"create table if not exists keys_{view.name} as select {key} from rows_now limit 0")
    stamps = f"timestamp '{instant}' as event_timestamp, timestamp '{created}' as created_timestamp"
    found = memory.sql(f"""
        select *, {stamps} from (select * from rows_now except select * from {held})
        union all
        select {key}, {view.nothing}, {stamps} from {held} anti join rows_now using ({key})
        union all
        select {key}, {view.nothing}, {_FLOOR} as event_timestamp, {_FLOOR} as created_timestamp
        from rows_now anti join keys_{view.name} using ({key})
    """).to_arrow_table()
    memory.execute(f"insert into keys_{view.name} select {key} from rows_now anti join keys_{view.name} using ({key})")
    memory.execute(f"create or replace table {held} as select * from rows_now")
    return found


def _beginnings(store: Store, moment: Moment, every: str) -> list[dt.datetime]:
    """Return the beginnings of steps from the first fact to the first one after the last fact, or to the moment."""
    step = step_of(every)
    last = "last_at" if moment.as_of == EVERYTHING else f"timestamp '{moment.as_of}'"
    query = f"""
        with ends as (
            select min(happened_at) as first_at, max(happened_at) as last_at
            from (
                select swiped_at as happened_at from swipes union all select set_at from main_photos
                union all select posted_at from photos union all select created_at from users
            )
            where happened_at < cast('{moment.as_of}' as timestamp)
        )
        select unnest(generate_series(
            time_bucket(interval '{step}', first_at),
            time_bucket(interval '{step}', {last}) + interval '{step}',
            interval '{step}'
        )) as instant
        from ends
        limit {MOST + 1}
    """
    found = [instant for (instant,) in store.database.rows(query) if instant <= moment.as_of]
    if len(found) > MOST:
        raise InputError(
            f"--every {every} gives more than {MOST:,} instants.", f"at most {MOST:,}", "a longer step: --every 1mo"
        )
    return found


def _source(view: _View, path: Path, n_rows: int) -> Source:
    def reader() -> pa.RecordBatchReader:
        def batches() -> Iterator[pa.RecordBatch]:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches()

        return pa.RecordBatchReader.from_batches(pq.read_schema(path), batches())

    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
    return Source(item=view.name, table=view.name, reader=reader, digest=digest, n_rows=n_rows, about=view.about)

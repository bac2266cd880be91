"""Compute features that depend on the clock as of the instants of the rows.

Without `--every` they are computed as of each instant, of which there may be few. With it, they are computed at the
beginnings of the steps, and a row has those of the last beginning before it: no value is from after the instant.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator

from photogenic._lazy import duckdb, pa, pl
from photogenic.models.training_sets.join import Join, check_unique, quoted
from photogenic.models.training_sets.splits import put_table
from photogenic.warehouse import Store
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.labels.past import open_moments
from photogenic.warehouse.moment import Moment, Moments

__all__ = ["compute_at_instants", "just_after", "opened"]

FEW = 24
"""Most instants as of which features are computed without `--every`."""

MOST = 1_000
"""Most beginnings of steps."""


def compute_at_instants(store: Store, join: Join) -> int:
    """Create the table `RELATION as of instants` of each relation that depends on the clock.

    Returns:
        The number of instants.

    Raises:
        InputError: there are too many instants, or a relation has several rows for a key.
    """
    later = join.sources.of_time("clock") if join.options.at is not None else {}
    if not later:
        return 0
    needed: dict[str, pl.DataFrame] = {}
    for key in sorted({wanted[0].key for wanted in later.values()}):
        _refuse_many(join, key, next(place for place, wanted in later.items() if wanted[0].key == key))
        needed[key] = join.con.sql(join.keys_by_bucket(key)).pl()
    buckets = sorted({instant for frame in needed.values() for instant in frame["bucket"].to_list()})
    parts: dict[str, list[pa.Table]] = {place: [] for place in later}
    with store.progress.stage("features as of instants", len(buckets), "instants") as advance:
        for bucket in buckets:
            as_of = bucket if join.options.every else just_after(bucket)
            with opened(store, Moment(min(as_of, join.moment.as_of), join.moment.known_at), later) as con:
                for place, wanted in later.items():
                    key = wanted[0].key
                    check_unique(con, wanted[0])
                    put_table(con, "needed_keys", needed[key].filter(needed[key]["bucket"] == bucket))
                    columns = ", ".join(f"held.{quoted(want.column)}" for want in wanted)
                    query = f"""
                        select needed_keys.bucket, needed_keys.{key}, {columns}
                        from needed_keys inner join {quoted(place)} as held on needed_keys.{key} = held.{key}
                    """
                    parts[place].append(con.sql(query).to_arrow_table())
            advance(1)
    for place, tables in parts.items():
        put_table(join.con, f"{place} as of instants", pa.concat_tables(tables) if tables else _empty(join, place))
    return len(buckets)


def just_after(instant: dt.datetime) -> dt.datetime:
    """Return the moment as of which facts of this instant count, since `as_of` is exclusive."""
    return instant + dt.timedelta(microseconds=1)


@contextlib.contextmanager
def opened(store: Store, moment: Moment, names: Iterable[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the relations of a moment, and close them at the end."""
    con, _ = open_moments(store.database, Moments(moment), [*names])
    try:
        yield con
    finally:
        con.close()


def _refuse_many(join: Join, key: str, place: str) -> None:
    query = f"select count(distinct bucket) from ({join.keys_by_bucket(key)}) as needed"
    ((n,),) = join.con.execute(query).fetchall()
    limit = MOST if join.options.every else FEW
    if n <= limit:
        return
    if join.options.every:
        raise InputError(
            f"--every {join.options.every} gives {n:,} instants as of which {place} would be computed.",
            f"at most {limit:,}",
            "a longer step, such as --every 1mo",
        )
    raise InputError(
        f"{place} depends on the clock, and the rows have {n:,} instants.",
        f"a relation with intervals [valid_from, valid_to), a constant one, or at most {limit} instants",
        "--every 1d (or 7d, 1mo): each row has the values of the last beginning of such a step before it",
    )


def _empty(join: Join, place: str) -> pa.Table:
    wanted = join.sources.of_time("clock")[place]
    columns = ", ".join(f"held.{quoted(want.column)}" for want in wanted)
    query = f"""
        select cast(null as timestamp) as bucket, held.{wanted[0].key}, {columns} from {quoted(place)} as held limit 0
    """
    return join.con.sql(query).to_arrow_table()

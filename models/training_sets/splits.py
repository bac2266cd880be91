"""Split the rows of a set: photos of one owner, with equal bytes or in one duplicate cluster stay on one side.

The rule and the draws are those of `features train` (models/data/split.py), so that photos are on the same side in a
set and in a training. Rows without a photo are split by their user, with the photos of that user. With `--by-time` the
newest rows are test, and the earlier rows of groups that reach into test are left out.
"""

from __future__ import annotations

import datetime as dt

import numpy as np

from photogenic._lazy import duckdb, pl
from photogenic.models.data.samples import SPLITS
from photogenic.models.data.split import Groups, draw_groups
from photogenic.models.data.split_config import SHARES, SplitConfig
from photogenic.models.training_sets.join import Join
from photogenic.models.training_sets.options import TrainingSetOptions
from photogenic.warehouse.errors import InputError

__all__ = ["make_splits", "put_table"]


def make_splits(join: Join, options: TrainingSetOptions, split_seed: int) -> None:
    """Create the tables `split_of_user` and `split_of_photo` on the connection of the join.

    Args:
        join: the join, whose keys were counted.
        options: options of the set.
        split_seed: seed of the relation photo_setups.

    Raises:
        InputError: rows of one instant cannot be split by time.
    """
    con = join.con
    units: pl.DataFrame = con.sql(f"select * from ({join.units()}) order by user_id, photo_id").pl()
    groups, names = _groups(con, units)
    if options.by_time:
        join.cuts = _cuts(con, join, SHARES[options.split])
        part = _last_parts(units["last_at"], groups, join.cuts)
        split = np.array(SPLITS)[part]
    else:
        division = SplitConfig(options.split, division_seed=options.division_seed)
        seed = split_seed if options.division_seed is None else options.division_seed
        salt = options.setup if options.split == "8:1:1" else f"{options.setup}:{division.name}"
        drawn = draw_groups(names, f"{salt}:{seed}")
        dev, test = SHARES[options.split]
        part = np.select([drawn < dev, drawn < test], [0, 1], 2)
        split = np.array(SPLITS)[part]
    found = units.select("photo_id", "user_id").with_columns(
        split=pl.Series(split), part=pl.Series(part, dtype=pl.Int32)
    )
    put_table(con, "split_of_user", found.filter(found["user_id"].is_not_null()).drop("photo_id"))
    put_table(con, "split_of_photo", found.filter(found["photo_id"].is_not_null()).drop("user_id"))


def put_table(con: duckdb.DuckDBPyConnection, name: str, frame: object) -> None:
    """Create a temporary table from a frame or an Arrow table."""
    con.register("given_rows", frame)
    con.execute(f'create or replace temp table "{name}" as from given_rows')
    con.unregister("given_rows")


def _groups(con: duckdb.DuckDBPyConnection, units: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the group of each unit, and the name by which it is drawn."""
    if units["photo_id"].null_count() == len(units):  # users alone: nothing connects them
        return np.arange(len(units)), units["user_id"].to_numpy().astype(np.str_)
    origins = con.sql(
        "select photos.photo_id, photos.sha256, duplicate_clusters.cluster_id from photos"
        " left join duplicate_clusters on photos.photo_id = duplicate_clusters.photo_id"
    ).pl()
    owners = con.sql("select photo_id, user_id as owner_id from photo_owners").pl()
    rows = units.join(origins, on="photo_id", how="left", maintain_order="left")
    rows = rows.join(owners, on="photo_id", how="left", maintain_order="left").with_columns(
        owner=pl.coalesce("owner_id", "user_id", pl.concat_str(pl.lit("photo:"), "photo_id"))
    )
    ids = np.char.zfill(np.arange(len(rows)).astype(np.str_), 10)
    by_photo = rows.select(
        photo_id=pl.Series(ids),
        user_id="owner",
        sha256="sha256",
        cluster_id="cluster_id",
        shown_at=pl.lit(None, pl.Datetime),
    )
    made = Groups.of(ids, by_photo)
    return made.group, made.name


def _cuts(con: duckdb.DuckDBPyConnection, join: Join, shares: tuple[float, float]) -> tuple[dt.datetime, dt.datetime]:
    """Return the instants at which dev and test begin."""
    ((n, first, last),) = con.execute(
        f"select count(*), min(instant), max(instant) from ({join.instants()}) as given"
    ).fetchall()
    if first is None or first == last:
        raise InputError(
            "The rows cannot be split by time: all have the same instant, or there are none.",
            "rows with different instants",
            "features training-set create without --by-time",
        )
    ranks = ", ".join(
        f"{(int(share * n) + 0.5) / n}" for share in shares
    )  # the middle of a rank, as in models/data/split.py
    query = f"select quantile_disc(instant, [{ranks}]) from ({join.instants()}) as given"
    (((dev_from, test_from),),) = con.execute(query).fetchall()
    return dev_from, test_from


def _last_parts(last_at: pl.Series, groups: np.ndarray, cuts: tuple[dt.datetime, dt.datetime]) -> np.ndarray:
    """Return the last part that the group of each unit reaches."""
    instants = last_at.to_numpy().astype("datetime64[us]")
    part = sum((instants >= np.datetime64(cut, "us")).astype(np.int64) for cut in cuts)
    latest = np.zeros(int(groups.max(initial=0)) + 1, np.int64)
    np.maximum.at(latest, groups, part)
    found: np.ndarray = latest[groups]
    return found

"""Popularity of photos: within which population a photo is popular, and how popular it is in the order of a search.

Population                        a label is compared with
None                              those that the build compared it with: all of its source, unless --normalise says else
everyone                          all labels of its source, swipes or posts
gender                            labels of photos of the same gender; an unknown gender is a group of its own
band                              about 100 labels whose owners have similar numbers of followers
relation.column                   labels with the same value of a column; a missing value is a group of its own

The column joins by photo_id, else by user_id, as everywhere (warehouse/columns.py).
"""

from __future__ import annotations

from photogenic import sql
from photogenic._lazy import duckdb, pl
from photogenic.features.search.options import POPULATIONS, PopularityBy
from photogenic.warehouse import columns
from photogenic.warehouse.labels.last_build import last_build, next_options

__all__ = ["FEW", "describe", "popular_within", "with_popularity"]

FEW = 10
"""A population with fewer labels is too small for its median to say much."""

_DESCRIPTIONS = {
    None: "all labels of the same source (everyone; posts as built with --normalise)",
    "everyone": "all labels of the same source (everyone)",
    "gender": "the labels of the same gender (gender)",
    "band": "about 100 labels whose owners have similar numbers of followers (band)",
}


def describe(population: str | None) -> str:
    """Describe a population as part of a sentence: above the median of ..."""
    return _DESCRIPTIONS.get(population, f"the labels with the same {population}")


def popular_within(con: duckdb.DuckDBPyConnection, population: str) -> str:
    """Return the query of photo_id, source, popular and n_compared within a population.

    Args:
        con: a reading connection.
        population: one of `POPULATIONS`, or `relation.column`.

    Raises:
        InputError: there is no such column, or several rows of the relation have the same key.
        StoreError: the relation was not computed yet.
    """
    if population in POPULATIONS:
        labels = sql.read(f"search/population_{population}")
    else:
        (ref,) = columns.resolve(con, [population], option="--popular-within", any_type=True)
        columns.frame(con, ref, [ref.column])  # refuses a key in several rows
        labels = (
            f'select photo_labels.photo_id, photo_labels.source, photo_labels.value, held."{ref.column}" as population'
            f" from photo_labels left join ({columns.query(ref, [ref.column])}) as held"
            f' on photo_labels."{ref.key}" = held."{ref.key}"'
        )
    return f"with populations as (\n{labels}\n)\n{sql.read('search/popular_within')}"


def with_popularity(con: duckdb.DuckDBPyConnection, photos: pl.DataFrame, by: PopularityBy | None) -> pl.DataFrame:
    """Add the column `popularity`; a photo without a label counts as sql/search/popularity_without_label.sql says.

    Args:
        con: a reading connection.
        photos: photo_id and source, one row per photo.
        by: the popularity; None: it is not needed, and no column is added.
    """
    if by is None:
        return photos
    window = {"window": _window(con)}
    known = con.sql(sql.read("search/popularity"), params=window).pl()
    ((without,),) = con.sql(sql.read("search/popularity_without_label"), params=window).select(by).fetchall()
    known = known.select("photo_id", "source", pl.col(by).alias("popularity"))
    joined = photos.join(known, on=["photo_id", "source"], how="left", maintain_order="left")
    return joined.with_columns(pl.col("popularity").fill_null(without).cast(pl.Float64))


def _window(con: duckdb.DuckDBPyConnection) -> str:
    """The window of swipes that the labels count, at any moment: that of the last build."""
    now = con.cursor()
    try:
        now.execute("use store")
        return next_options(None, last_build(now)).window
    finally:
        now.close()

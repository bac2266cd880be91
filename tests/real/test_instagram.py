"""978 accounts, 16,539 posts with likes, no pictures; three posts lost their date."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from features import FeatureStore
from warehouse.options import LabelOptions


@pytest.fixture(scope="module")
def posts(data):
    """Each post with its owner's followers, read without the project."""
    accounts = pl.read_csv(data / "instagram" / "users.csv").group_by("user_id").agg(pl.col("followers").last())
    return pl.read_csv(data / "instagram" / "photos.csv", try_parse_dates=True).join(
        accounts, on="user_id", how="left", validate="m:1"
    )


@pytest.fixture(params=["linear", "log"])
def built(request, data, tmp_path):
    store = FeatureStore(tmp_path / "store")
    store.ingest_users(data / "instagram" / "users.csv")
    store.ingest_photos(data / "instagram" / "photos.csv")
    store.build(only="labels", options=LabelOptions(follower_scale=request.param))
    return store, request.param


def test_bounds_and_funnel_equal_a_numpy_computation(built, posts):
    store, scale = built
    dated = posts.filter(pl.col("posted_at").dt.year() >= 2011, pl.col("followers") > 0)
    assert len(posts) - len(posts.filter(pl.col("posted_at").dt.year() >= 2011)) == 3
    followers = dated.group_by("user_id").agg(pl.col("followers").first())["followers"].to_numpy().astype(float)
    x = np.log(followers) if scale == "log" else followers
    centre = np.median(x)
    reach = 3 * np.median(np.abs(x - centre)) / 0.6744897501960817
    low, high = np.exp((centre - reach, centre + reach)) if scale == "log" else (centre - reach, centre + reach)

    bounds = store.sql("select n_users, low, high from follower_bounds").row(0)
    assert bounds == (len(followers), pytest.approx(low, rel=1e-12), pytest.approx(high, rel=1e-12))

    kept = dated.filter(pl.col("followers").is_between(low, high))
    found = dict(store.sql("select coalesce(dropped, 'kept'), count(*) from follower_ratios group by all").iter_rows())
    assert found.pop("kept") == len(kept)
    assert found.pop("impossible_date") == 3
    assert found.pop("no_followers", 0) == len(posts.filter(pl.col("followers").fill_null(0) <= 0))
    assert found.pop("mad_high", 0) == len(dated.filter(pl.col("followers") > high))
    assert found.pop("mad_low", 0) == len(dated.filter(pl.col("followers") < low))
    assert found == {}
    labels = store.sql("select count(*) as n, count(*) filter (where popular) as popular from photo_labels")
    ratio = kept["likes"] / kept["followers"]
    assert labels.row(0) == (len(kept), int((ratio > ratio.median()).sum()))


def test_posts_of_1970_are_dropped_for_a_stated_reason(built):
    store, _ = built
    found = store.sql("select dropped, count(*) from posts where posted_at < timestamp '2000-01-01' group by all")
    assert found.rows() == [("impossible_date", 3)]


def test_age_is_counted_at_the_as_of_instant(data, tmp_path):
    store = FeatureStore(tmp_path / "store")
    store.ingest_users(data / "instagram" / "users.csv")
    store.ingest_photos(data / "instagram" / "photos.csv")
    report = store.build(only="labels", as_of=dt.datetime(2030, 1, 1), options=LabelOptions(min_age_days=36_500))
    assert store.sql("select count(*) from photo_labels").item() == 0
    assert report is not None

"""978 accounts with 16,539 posts: the funnel and the bounds compared with numpy."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from photogenic import FeatureStore
from photogenic.warehouse.labels.options import LabelOptions


@pytest.fixture(scope="module")
def posts(data):
    folder = data / "instagram"
    users = pl.read_csv(folder / "users.csv")
    posts = pl.read_csv(folder / "photos.csv", try_parse_dates=True)
    return posts.with_columns(pl.col("posted_at").dt.replace_time_zone(None)).join(users, on="user_id")


@pytest.fixture(scope="module")
def store(data, tmp_path_factory):
    store = FeatureStore(tmp_path_factory.mktemp("instagram"))
    store.ingest_users(data / "instagram" / "users.csv")
    store.ingest_photos(data / "instagram" / "photos.csv")
    return store


def bounds(followers, scale, threshold):
    x = np.log(followers) if scale == "log" else followers
    centre = np.median(x)
    reach = threshold * np.median(np.abs(x - centre)) / 0.6744897501960817
    return np.exp([centre - reach, centre + reach]) if scale == "log" else np.array([centre - reach, centre + reach])


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("threshold", [2.0, 3.0])
def test_funnel_and_bounds_equal_a_plain_computation(store, posts, scale, threshold):
    store.build(only="labels", labels=LabelOptions(follower_scale=scale, mad_threshold=threshold))
    collected = posts.filter(pl.col("posted_at") >= dt.datetime(2010, 10, 6))
    owners = collected.unique("user_id")["followers"].to_numpy()
    low, high = bounds(owners, scale, threshold)
    found = store.sql("select low, high from follower_bounds")
    assert found.row(0) == pytest.approx((low, high), rel=1e-12)
    kept = collected.filter(pl.col("followers").is_between(low, high))
    funnel = store.sql("select step, n_users, n_photos from funnel where source = 'posts' order by step_no")
    assert funnel.rows() == [
        ("ingested", posts["user_id"].n_unique(), 16_539),
        ("collected", collected["user_id"].n_unique(), 16_536),
        ("within_bounds", kept["user_id"].n_unique(), kept.height),
        ("with_face", kept["user_id"].n_unique(), kept.height),
        ("labelled", kept["user_id"].n_unique(), kept.height),
    ]
    ratio = (kept["likes"] / kept["followers"]).to_numpy()
    labels = store.sql("select photo_id, value, popular from photo_labels where source = 'posts'")
    expected = dict(zip(kept["photo_id"], zip(ratio, ratio > np.median(ratio), strict=True), strict=True))
    assert {photo: (value, popular) for photo, value, popular in labels.iter_rows()} == expected


def test_the_posts_of_1970_are_left_out_with_a_reason(store):
    store.build(only="labels", labels=LabelOptions())
    old = store.sql("select dropped from follower_ratios join photos using (photo_id) where posted_at < '1971-01-01'")
    assert old["dropped"].to_list() == ["impossible_date"] * 3

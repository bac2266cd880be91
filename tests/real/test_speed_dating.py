"""551 people, 8,368 decisions, no photos."""

import datetime as dt

import polars as pl
import pytest

from photogenic import FeatureStore


def test_without_photos_every_swipe_has_the_reason_no_photo(labelled):
    store = labelled("speed_dating")
    assert store.sql("select reason, n_swipes from swipe_audit where n_swipes > 0").rows() == [("no_photo", 8368)]
    assert store.sql("select count(*) from like_ratios").item() == 0


def test_ratio_by_gender_with_one_invented_photo_each(data, tmp_path):
    folder = data / "speed_dating"
    people = pl.read_csv(folder / "users.csv", infer_schema=False).select(
        pl.format("photo-{}", "user_id").alias("photo_id"),
        "user_id",
        pl.lit(dt.datetime(2002, 1, 1)).alias("set_at"),
    )
    people.write_parquet(tmp_path / "photos.parquet")
    store = FeatureStore(tmp_path / "store")
    store.ingest_users(folder / "users.csv")
    store.ingest_photos(tmp_path / "photos.parquet")
    store.ingest_swipes(folder / "swipes.csv")
    store.build(only="labels")
    ratio = store.sql("""
        select sender_gender, sum(n_likes) / sum(n_swipes) as like_ratio
        from gender_breakdown where time_window = 'latest' group by sender_gender order by sender_gender
    """)
    genders = dict(pl.read_csv(folder / "users.csv", infer_schema=False).select("user_id", "gender").iter_rows())
    swipes = pl.read_csv(folder / "swipes.csv", infer_schema=False)
    liked = {"female": [], "male": []}
    for sender, like in swipes.select("sender_id", "liked").iter_rows():
        liked[genders[sender]].append(like == "True")
    expected = {gender: sum(likes) / len(likes) for gender, likes in liked.items()}
    assert dict(ratio.iter_rows()) == pytest.approx(expected, abs=1e-12)
    assert round(expected["female"], 3) == 0.365
    assert round(expected["male"], 3) == 0.475

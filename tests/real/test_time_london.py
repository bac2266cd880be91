"""The ratings of London as two years of history that are loaded in one day: labels as of any month."""

import datetime as dt

import polars as pl
import pytest

from photogenic import FeatureStore

BEGIN = dt.datetime(2023, 1, 1)
MONTHS = [dt.datetime(2023 + n // 12, n % 12 + 1, 1) for n in range(25)]
"""The first instant of each month of the history, and of the one after it."""

FIRST, DAYS = pl.datetime(2023, 1, 1), 730


@pytest.fixture(scope="module")
def history(data):
    """Frames of main-photo events and swipes: each person turns from smiling to neutral, and some back, in two years."""
    folder = data / "london"
    people = pl.read_csv(folder / "photos.csv").group_by("user_id").agg(pl.col("photo_id").sort()).sort("user_id")
    people = people.with_row_index("no").with_columns(
        neutral=pl.col("photo_id").list[0], smiling=pl.col("photo_id").list[1]
    )
    days = (("smiling", pl.lit(0)), ("neutral", 40 + pl.col("no") * 5), ("smiling", 300 + pl.col("no") * 7 % 600))
    events = pl.concat(
        people.select("user_id", pl.col(photo).alias("photo_id"), set_at=FIRST + pl.duration(days=day))
        for photo, day in days
    )
    events = events.filter(pl.col("set_at") < BEGIN + dt.timedelta(days=DAYS)).sort("set_at", "user_id")
    swipes = pl.read_csv(folder / "swipes.csv", try_parse_dates=True)
    n = pl.int_range(pl.len())
    minutes = n * (DAYS * 24 * 60) // pl.len()
    swipes = swipes.with_columns(swiped_at=FIRST + pl.duration(minutes=minutes, microseconds=n)).select(
        "sender_id", "recipient_id", "liked", "swiped_at"
    )
    return events, swipes


@pytest.fixture(scope="module")
def london(data, history, tmp_path_factory):
    """A store into which all of it was loaded today."""
    folder = tmp_path_factory.mktemp("history")
    for name, frame in zip(("main_photos", "swipes"), history, strict=True):
        frame.write_parquet(folder / f"{name}.parquet")
    photos = pl.read_csv(data / "london" / "photos.csv").select("photo_id", "user_id")
    photos.write_csv(folder / "photos.csv")
    with FeatureStore(folder / "store") as store:
        store.ingest_users(data / "london" / "users.csv")
        store.ingest_photos(folder / "photos.csv")
        store.ingest_main_photos(folder / "main_photos.parquet")
        store.ingest_swipes(folder / "swipes.parquet")
        store.build(only="labels")
        yield store


def recount(history, as_of):
    """Return photo_id, time_window, n_swipes, n_likes: each swipe goes to the photo that was the newest at its instant."""
    events, swipes = (
        frame.filter(pl.col(column) < as_of) for frame, column in zip(history, ("set_at", "swiped_at"), strict=True)
    )
    events = events.sort("user_id", "set_at").filter(
        pl.col("photo_id").ne_missing(pl.col("photo_id").shift(1).over("user_id"))
    )
    shown = swipes.sort("swiped_at").join_asof(
        events.sort("set_at"), left_on="swiped_at", right_on="set_at", by_left="recipient_id", by_right="user_id"
    )
    last = events.group_by("user_id").agg(last_set=pl.col("set_at").max())
    shown = shown.filter(pl.col("photo_id").is_not_null()).join(last, left_on="recipient_id", right_on="user_id")
    counts = {
        "every": shown,
        "latest": shown.filter(pl.col("set_at") == pl.col("last_set")),
    }
    return pl.concat(
        frame.group_by("photo_id").agg(
            time_window=pl.lit(name), n_swipes=pl.len().cast(pl.Int64), n_likes=pl.col("liked").sum().cast(pl.Int64)
        )
        for name, frame in counts.items()
    ).sort("photo_id", "time_window")


RATIOS = "select photo_id, time_window, n_swipes, n_likes from like_ratios order by all"


def test_the_published_labels_are_those_of_today(london, history):
    assert london.sql(RATIOS).equals(recount(history, dt.datetime(9999, 1, 1)))
    assert london.sql(RATIOS)["n_swipes"].sum() > 237_048


@pytest.mark.parametrize("as_of", [MONTHS[n] for n in (1, 2, 7, 12, 18, 23)], ids=lambda at: f"{at:%Y-%m}")
def test_labels_as_of_any_month_equal_a_polars_recount(london, history, as_of):
    before = london.sql("from checksums").rows()
    found = london.sql(RATIOS, as_of=as_of)
    assert found.height >= 102
    assert found.equals(recount(history, as_of))
    assert london.sql("select max(swiped_at) < $1 from swipes", [as_of], as_of=as_of).item()
    assert london.sql("from checksums").rows() == before


@pytest.mark.thorough
@pytest.mark.parametrize("as_of", MONTHS[1:], ids=lambda at: f"{at:%Y-%m}")
def test_labels_as_of_every_month_equal_a_polars_recount(london, history, as_of):
    assert london.sql(RATIOS, as_of=as_of).equals(recount(history, as_of))

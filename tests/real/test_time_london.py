"""The ratings of London as two years of history that are loaded in one day: labels as of any month."""

import datetime as dt
import json
import subprocess
import sys

import polars as pl
import pytest

from photogenic import FeatureStore
from photogenic.warehouse.moment import EmptyMomentWarning

BEGIN = dt.datetime(2023, 1, 1)
MONTHS = [dt.datetime(2023 + n // 12, n % 12 + 1, 1) for n in range(25)]
"""The first instant of each month of the history, and of the one after it."""

FIRST, DAYS = pl.datetime(2023, 1, 1), 730


@pytest.fixture(scope="module")
def history(data):
    """Frames of main-photo events and swipes: all turn from smiling to neutral in two years, and many back."""
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
    """Return photo_id, time_window, n_swipes, n_likes: a swipe goes to the photo that was the newest at its instant."""
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


@pytest.mark.parametrize("as_of", [MONTHS[n] for n in (2, 12, 23)], ids=lambda at: f"{at:%Y-%m}")
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


def test_two_months_in_one_answer(london, history, tmp_path):
    jan, feb = dt.datetime(2024, 1, 31), dt.datetime(2024, 2, 29)
    query = """
        select photo_id, jan.photo_labels.weight as january, feb.photo_labels.weight as february
        from jan.photo_labels inner join feb.photo_labels using (photo_id) order by photo_id
    """
    found = london.sql(query, as_of={"jan": jan, "feb": feb})
    before, after = (
        recount(history, at)
        .filter(pl.col("time_window") == "latest")
        .select("photo_id", n=pl.col("n_swipes").cast(float))
        for at in (jan, feb)
    )
    expected = before.join(after, on="photo_id", suffix="_feb").sort("photo_id")
    assert found.rows() == expected.rows()
    assert found.filter(pl.col("february") > pl.col("january")).height > 50
    words = ("sql", query, "--as-of", "jan=2024-01-31", "--as-of", "feb=2024-02-29", "--format", "json")
    printed = _features(london, *words)
    assert [(*row.values(),) for row in json.loads(printed.stdout)] == found.rows()


def test_nothing_was_known_before_today_and_the_answer_says_so(london):
    printed = _features(
        london, "sql", "select count(*) as n from photo_labels", "--known-at", "2024-06-15", "--format", "csv"
    )
    assert printed.stdout.split() == ["n", "0"]
    assert "arrived" in printed.stderr
    with pytest.warns(EmptyMomentWarning, match="No swipe had arrived before"):
        assert london.sql("select count(*) from swipes", known_at=dt.datetime(2024, 6, 15)).item() == 0


@pytest.mark.parametrize(
    ("recipients", "n"), [("face-04", 11_620), pytest.param("face-", 237_048, marks=pytest.mark.thorough)]
)
def test_a_corrected_swipe_counts_once_and_a_retracted_one_not_at_all(data, tmp_path, recipients, n):
    """L1294 on face-041 was entered as a like, then corrected, then taken back."""
    first = "L1294,face-041,{},2024-02-01 00:01:48.925843"
    names = "sender_id,recipient_id,liked,swiped_at"
    read = "select liked from swipes where sender_id = 'L1294' and recipient_id = 'face-041'"
    head, *lines = (data / "london" / "swipes.csv").read_text().splitlines()
    lines = [line for line in lines if line.split(",")[1].startswith(recipients)]
    (tmp_path / "all.csv").write_text("\n".join([head, *lines]) + "\n")
    with FeatureStore(tmp_path / "store") as store:
        store.ingest_users(data / "london" / "users.csv")
        store.ingest_photos(data / "london" / "photos.csv")
        (report,) = store.ingest_swipes(tmp_path / "all.csv")
        assert report.n_new == n
        assert store.sql(read).rows() == [(True,)]
        store.build(only="labels")
        ratios = (
            "select n_likes, n_swipes from like_ratios where photo_id = 'face-041-neutral' and time_window = 'every'"
        )
        ((n_likes, n_swipes),) = store.sql(ratios).rows()
        (tmp_path / "swipes.csv").write_text(f"{names}\n{first.format(False)}\n")
        (report,) = store.ingest_swipes(tmp_path / "swipes.csv")
        assert (report.n_read, report.n_corrected) == (1, 1)
        assert store.sql(read).rows() == [(False,)]
        store.build(only="labels")
        assert store.sql(ratios).rows() == [(n_likes - 1, n_swipes)]
        (report,) = store.retract("swipes", tmp_path / "swipes.csv")
        assert (report.n_read, report.n_retracted) == (1, 1)
        assert store.sql(read).rows() == []
        store.build(only="labels")
        assert store.sql(ratios).rows() == [(n_likes - 1, n_swipes - 1)]
        (tmp_path / "again.csv").write_text("\r\n".join([head, *lines]) + "\r\n")
        (again,) = store.ingest_swipes(tmp_path / "again.csv")
        assert (again.n_known, again.n_new, again.n_refused) == (n - 1, 1, 0), "a later export states it again"
        assert store.sql("select count(*) from rejects").item() == 0


def _features(store, *words):
    program = [sys.executable, "-c", "from photogenic.app.cli.main import main; main()"]
    words = [*words, "--store", str(store.layout.root)]
    return subprocess.run([*program, *words], capture_output=True, text=True, check=True)

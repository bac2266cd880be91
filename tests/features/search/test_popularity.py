"""Popular within a population, and popularity as an order: values, other moments, and names of columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import polars as pl
import pytest

from photogenic import FeatureStore
from photogenic.features.search.options import SearchOptions
from photogenic.features.search.searcher import Searcher
from photogenic.warehouse import InputError, Store
from tests.features.search.planted import N, planted
from tests.features.toy import SETTINGS

EARLY = dt.datetime(2024, 1, 3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    db, _ = planted(tmp_path_factory.mktemp("popularity"))
    with FeatureStore(db.layout.root, settings=SETTINGS) as opened:
        yield opened


def within(store: FeatureStore, column: str, **at: object) -> dict[str, bool | None]:
    """Whether each photo is above the median of the labels with the same value of a column, by polars."""
    held = store.sql(
        "select p.photo_id, u.gender, u.followers, p.width, l.value from photos p left join users u using (user_id)"
        " left join photo_labels l using (photo_id)",
        **at,  # type: ignore[arg-type]
    )
    median = held.group_by(column).agg(pl.col("value").median().alias("median"))
    joined = held.join(median, on=column, how="left", nulls_equal=True)
    return dict(joined.select("photo_id", pl.col("value") > pl.col("median")).iter_rows())


@pytest.mark.parametrize("at", [{}, {"as_of": EARLY}])
@pytest.mark.parametrize(
    ("population", "column"),
    [("gender", "gender"), ("users.followers", "followers"), ("users.gender", "gender"), ("photos.width", "width")],
)
def test_popular_is_above_the_median_of_the_population(
    store: FeatureStore, population: str, column: str, at: dict[str, dt.datetime]
) -> None:
    expected = within(store, column, **at)
    found = store.similar("p0200", k=N, encoder="ranked", popular_within=population, **at)  # type: ignore[arg-type]
    assert len(found) > 50
    assert {name: expected[name] for name in found["photo_id"]} == dict(found.select("photo_id", "popular").iter_rows())
    popular = store.similar("p0200", k=N, encoder="ranked", popular=True, popular_within=population, **at)  # type: ignore[arg-type]
    assert set(popular["photo_id"]) == {name for name, it_is in expected.items() if it_is} - {"p0200"}
    named = store.similar("p0200", k=N, encoder="ranked", where="popular", popular_within=population, **at)  # type: ignore[arg-type]
    assert named.equals(popular)  # the predicate means the same population


def test_an_unknown_gender_is_a_group_of_its_own(store: FeatureStore) -> None:
    found = store.similar("p0001", k=N, encoder="ranked", popular_within="gender", where="gender is null")
    half = found["popular"].sum() / len(found)
    assert 0.3 < half <= 0.5


def test_everyone_is_the_default(store: FeatureStore) -> None:
    default = store.similar("p0001", k=N, encoder="ranked", popular=True)
    assert store.similar("p0001", k=N, encoder="ranked", popular=True, popular_within="everyone").equals(default)


def test_bands_have_a_hundred_labels_and_unknown_followers_are_apart(store: FeatureStore) -> None:
    held = store.sql(
        "select l.photo_id, l.value, u.followers, l.user_id from photo_labels l join users u using (user_id)"
        " order by followers, user_id, photo_id"
    )
    known, unknown = held.filter(pl.col("followers").is_not_null()), held.filter(pl.col("followers").is_null())
    assert 100 <= len(known) < 200  # so it is one band
    expected = {}
    for band in (known, unknown):
        expected |= dict(band.select("photo_id", pl.col("value") > pl.col("value").median()).iter_rows())
    found = store.similar("p0000", k=N, encoder="ranked", popular_within="band", where="true")
    assert dict(found.select("photo_id", "popular").iter_rows()) == {
        name: it_is for name, it_is in expected.items() if name != "p0000"
    }


def test_the_answer_says_the_population_and_where_it_is_small(store: FeatureStore) -> None:
    with Searcher(Store(store.database)) as searcher:

        def notes(**given: object) -> str:
            return " ".join(searcher.find(["p0001"], SearchOptions(encoder="ranked", **given)).notes)  # type: ignore[arg-type]

        assert notes() == ""
        assert "(everyone; posts as built with --normalise)" in notes(popular=True)
        assert "(everyone)" in notes(popular_within="everyone")
        assert "of the same gender (gender)" in notes(popular=True, popular_within="gender")
        assert "fewer than 10 labels" not in notes(popular_within="gender")
        assert "same users.followers" in notes(popular_within="users.followers")
        assert "fewer than 10 labels" in notes(popular_within="users.followers")
        assert "no known owner" in " ".join(
            searcher.find([searcher.cache.index("ranked").vectors[0]], encoder="ranked", other_users=True).notes
        )


@pytest.mark.parametrize(
    ("population", "error"),
    [
        ("nowhere.gender", "nowhere"),
        ("users.gendr", "gender"),
        ("users.user_id", "key"),
        ("like_ratios.n_swipes", "more than one row"),
        ("funnel.stage", "neither photo_id nor user_id"),
        ("sqlite_master.sql", "sqlite_master"),
    ],
)
@pytest.mark.parametrize("at", [{}, {"as_of": EARLY}])
def test_a_column_that_is_no_population_is_refused(
    store: FeatureStore, population: str, error: str, at: dict[str, dt.datetime]
) -> None:
    with pytest.raises(InputError, match=error):
        store.similar("p0001", encoder="ranked", popular_within=population, **at)  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [{}, {"as_of": EARLY}])
@pytest.mark.parametrize("by", ["like_ratio", "percentile"])
def test_popularity_alone_is_the_order_of_smoothed_ratios_and_percentiles(
    store: FeatureStore, by: str, at: dict[str, dt.datetime]
) -> None:
    column = {
        "like_ratio": "coalesce(r.smoothed_ratio, (select alpha / (alpha + beta) from like_ratio_prior"
        " where time_window = 'every'))",
        "percentile": "coalesce(l.percentile, 50)",
    }[by]
    expected = store.sql(
        f"select p.photo_id, round({column}, 9) as popularity from photos p left join like_ratios r"
        " on r.photo_id = p.photo_id and r.time_window = 'every' left join (select photo_id, 100 * percent_rank()"
        " over (partition by gender order by value) as percentile from photo_labels) l on l.photo_id = p.photo_id"
        " where p.photo_id <> 'p0001' order by popularity desc, p.photo_id",
        **at,  # type: ignore[arg-type]
    )
    found = store.similar("p0001", k=N, encoder="ranked", popularity=1.0, popularity_by=by, **at)  # type: ignore[arg-type]
    known = expected.filter(pl.col("photo_id").is_in(found["photo_id"].implode()))
    assert found["photo_id"].to_list() == known["photo_id"].to_list()
    assert len(found) > 50

"""Columns by name: what joins photos, and the errors of names that do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from photogenic import FeatureStore
from photogenic.warehouse import InputError
from photogenic.warehouse.columns import resolve, values
from tests.models.planted import planted


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    made = planted(Path(tmp_path_factory.mktemp("columns")), n=20)
    with made.database.write("test") as con:
        con.execute("update facts.photos set likes = 640 where photo_id = 'p001'")
        con.execute("update facts.users set followers = 7 where user_id <> (select min(user_id) from facts.users)")
    return made


def test_a_star_is_every_number_and_boolean_that_is_no_key(store: FeatureStore) -> None:
    with store.database.read() as con:
        found = resolve(con, ["photos.*", "users.followers", "photos.width"])
    assert [ref.name for ref in found] == ["photos.width", "photos.height", "photos.likes", "users.followers"]
    assert [ref.key for ref in found] == ["photo_id"] * 3 + ["user_id"]


def test_values_join_by_photo_or_by_owner_and_are_nan_where_missing(store: FeatureStore) -> None:
    with store.database.read() as con:
        owners = dict(con.execute("select photo_id, user_id from photo_owners").fetchall())
        refs = resolve(con, ["photos.likes", "users.followers", "photo_labels.popular"])
        asked = np.array(["p001", "p000", "nowhere"])
        likes, followers, popular = values(con, refs, asked, np.array([owners.get(one, "") for one in asked]))
    np.testing.assert_array_equal(likes, [640, np.nan, np.nan])
    np.testing.assert_array_equal(followers, [7, np.nan, np.nan])
    assert set(popular[:2]) <= {0.0, 1.0}
    assert np.isnan(popular[2])


@pytest.mark.parametrize(
    ("name", "said", "remedy"),
    [
        ("followers", "'followers' is not a column of a relation", "photos.width"),
        ("user.followers", "There is no relation 'user'", "--features users.followers"),
        ("users.follower", "users has no column 'follower'", "--features users.followers"),
        ("users.user_id", "users.user_id is a key", "from users limit 3"),
        ("users.gender", "users.gender is a text", "a relation of your own"),
        ("users.created_at", "users.created_at is an instant", "a relation of your own"),
        ("population.n_users", "population has neither photo_id nor user_id", "a relation of your own"),
        ("photos.width; drop table x", "is not a column of a relation", "photos.width"),
    ],
)
def test_a_name_that_joins_nothing_is_refused_with_the_nearest(
    store: FeatureStore, name: str, said: str, remedy: str
) -> None:
    with store.database.read() as con, pytest.raises(InputError) as error:
        resolve(con, [name])
    assert said in error.value.what
    assert remedy in error.value.remedy


def test_several_rows_of_one_photo_are_refused(store: FeatureStore) -> None:
    with store.database.read() as con:
        refs = resolve(con, ["like_ratios.n_swipes"])
        with pytest.raises(InputError, match="in more than one row, such as 'p0"):
            values(con, refs, np.array(["p000"]), np.array(["u"]))


def test_of_a_relation_with_intervals_the_rows_that_hold_now_count(store: FeatureStore) -> None:
    with store.database.read() as con:
        refs = resolve(con, ["recipient_timeline.stretch_no"])
        ((photo_id, stretch), *_) = con.execute(
            "select photo_id, stretch_no from recipient_timeline where year(valid_to) = 9999 and photo_id is not null"
        ).fetchall()
        assert values(con, refs, np.array([photo_id]), np.array(["u"])) == [np.array([stretch])]

"""Users and photos: the newest description counts, history is kept, a photo belongs to its first user."""

import datetime as dt

import pytest

from tests.ingest.ingest_store import StoreWithFiles


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def test_only_new_values_become_a_version(store):
    store.take_text("users", "user_id,gender,followers\na,f,1\nb,m,2\nc,,3\n")
    account = store.take_text("users", "user_id,gender,followers\na,f,1\nb,f,2\nc,,\nd,,\n")
    assert (account.n_new, account.n_known, account.n_new) == (4, 1, 3)
    assert store.rows("select user_id, gender, followers from facts.users order by user_id, ingested_at") == [
        ("a", "female", 1),
        ("b", "male", 2),
        ("b", "female", 2),
        ("c", None, 3),
        ("c", None, None),
        ("d", None, None),
    ]
    assert store.rows("select gender from users where user_id = 'b'") == [("female",)]


def test_a_column_that_is_not_in_the_file_does_not_change(store):
    store.take_text("users", "user_id,gender,created_at\na,f,2020-01-01\nb,,\n")
    account = store.take_text("users", "user_id,followers\na,7\nb,\nc,\n")
    assert (account.n_new, account.n_known) == (3, 1)
    assert store.rows("select user_id, gender, followers, created_at from users order by 1") == [
        ("a", "female", 7, dt.datetime(2020, 1, 1)),
        ("b", None, None, None),
        ("c", None, None, None),
    ]


def test_the_last_valid_line_of_a_user_counts(store):
    account = store.take_text("users", "user_id,gender\na,f\na,m\na,other\na,other\na,bad\nb,f\n")
    assert store.rows("select user_id, gender from facts.users order by 1") == [("a", "other"), ("b", "female")]
    assert store.rejects() == [(2, "superseded"), (3, "superseded"), (4, "duplicate"), (6, "bad_gender")]
    assert (account.n_read, account.n_new) == (6, 2)


def test_a_photo_belongs_to_its_first_user(store):
    account = store.take_text("photos", "photo_id,user_id\np,a\np,b\np,a\nq,a\n")
    assert store.rejects() == [(2, "duplicate"), (3, "photo_of_another_user")]
    assert account.n_new == 2
    account = store.take_text("photos", "photo_id,user_id,likes\np,b,9\nq,a,9\n")
    assert account.refused == {"photo_of_another_user": 1}
    assert store.rows("select photo_id, user_id, likes from photos order by 1") == [("p", "a", None), ("q", "a", 9)]


def test_set_at_makes_events_and_each_row_counts_for_what_it_adds(store):
    text = (
        "photo_id,user_id,likes,set_at\n"
        "p,a,1,2024-01-01\n"  # kept for its event
        "q,a,1,2024-01-02\n"
        "p,a,2,2024-01-03\n"  # describes p
        "p,a,1,2024-01-03\n"  # describes p now: the line before is superseded
        "r,a,1,\n"  # no event
        "p,b,1,2024-01-04\n"  # not b's
    )
    account = store.take_text("photos", text)
    assert store.rejects() == [(4, "superseded"), (7, "photo_of_another_user")]
    assert store.rows("select user_id, photo_id, set_at from facts.main_photos order by set_at") == [
        ("a", "p", dt.datetime(2024, 1, 1)),
        ("a", "q", dt.datetime(2024, 1, 2)),
        ("a", "p", dt.datetime(2024, 1, 3)),
    ]
    assert store.rows("select photo_id, likes from photos order by 1") == [("p", 1), ("q", 1), ("r", 1)]
    assert (account.n_new, account.n_main_photos) == (4, 3)
    again = store.take_text("photos", text + "q,a,1,2024-01-05\n")
    assert (again.n_new, again.n_known, again.n_main_photos) == (5, 4, 1)


def test_hashtags_likes_and_times_make_versions_too(store):
    rows = [
        '{"photo_id": "p", "user_id": "a", "hashtags": ["#Me", "x"]}',
        '{"photo_id": "p", "user_id": "a", "hashtags": "me x"}',
    ]
    for row in rows:
        store.take_text("photos", row, "photos.ndjson")
    assert store.rows("select hashtags from facts.photos") == [(["me", "x"],)]
    path = store.parquet("p.parquet", "select 'p' as photo_id, 'a' as user_id, ['me', 'y'] as hashtags, 3 as likes")
    store.take("photos", path)
    assert store.rows("select hashtags, likes from photos") == [(["me", "y"], 3)]
    assert store.rows("select count(*) from facts.photos") == [(2,)]

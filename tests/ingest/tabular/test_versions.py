"""Users and photos: the newest description counts, history is kept, a photo belongs to its first user.

The last tests are of deletions and versions that arrive before what the store has already.
"""

import datetime as dt

import pytest

from photogenic import FeatureStore
from tests.ingest.ingest_store import StoreWithFiles


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def test_only_new_values_become_a_version(store):
    store.take_text("users", "user_id,gender,followers\na,f,1\nb,m,2\nc,,3\n")
    account = store.take_text("users", "user_id,gender,followers\na,f,1\nb,f,2\nc,,\nd,,\n")
    assert (account.n_read, account.n_new, account.n_corrected, account.n_known) == (4, 1, 2, 1)
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
    assert (account.n_new, account.n_corrected, account.n_known) == (1, 1, 1)
    assert store.rows("select user_id, gender, followers, created_at from users order by 1") == [
        ("a", "female", 7, dt.datetime(2020, 1, 1)),
        ("b", None, None, None),
        ("c", None, None, None),
    ]


def test_the_last_valid_line_of_a_user_counts(store):
    account = store.take_text("users", "user_id,gender\na,f\na,m\na,other\na,other\na,bad\nb,f\n")
    assert store.rows("select user_id, gender from facts.users order by 1") == [("a", "other"), ("b", "female")]
    assert store.rejects() == [(2, "superseded"), (3, "superseded"), (6, "bad_gender")]
    assert (account.n_read, account.n_new, account.n_known, account.n_refused) == (6, 2, 1, 3)


def test_a_photo_belongs_to_its_first_user(store):
    account = store.take_text("photos", "photo_id,user_id\np,a\np,b\np,a\nq,a\n")
    assert store.rejects() == [(3, "photo_of_another_user")]
    assert (account.n_new, account.n_known) == (2, 1)
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
    assert (again.n_new, again.n_known, again.n_refused, again.n_main_photos) == (1, 4, 2, 1)


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


def counts(account):
    return account.n_new, account.n_corrected, account.n_retracted, account.n_known, account.n_refused


def test_updated_at_decides_which_version_is_the_newest(store):
    head = "user_id,gender,updated_at\n"
    assert counts(store.take_text("users", head + "a,f,2024-03-01\nb,m,2024-03-01\n")) == (2, 0, 0, 0, 0)
    later = store.take_text("users", head + "a,m,2024-02-01\nb,f,2024-04-01\n")
    assert counts(later) == (0, 1, 0, 1, 0)  # a's row is older than what the store has
    assert later.notes == ()
    assert store.rows("select user_id, gender from users order by 1") == [("a", "female"), ("b", "female")]
    assert store.rows("select gender from facts.users where user_id = 'a' order by updated_at") == [
        ("male",),
        ("female",),
    ]
    again = store.take_text("users", head + "a,f,2024-03-01\nb,f,2024-05-01\n")
    assert counts(again) == (0, 0, 0, 2, 0)
    between = store.take_text("users", head + "b,m,2024-04-15\n")
    assert counts(between) == (0, 0, 0, 1, 0)  # b was female still in May
    assert store.rows("select gender from users where user_id = 'b'") == [("female",)]


def test_one_file_may_tell_the_history_of_a_user(store):
    account = store.take_text("users", "user_id,gender,updated_at\na,m,2024-02-01\na,f,2024-01-01\na,m,2024-03-01\n")
    assert counts(account) == (1, 1, 0, 1, 0)
    assert store.rows("select gender from users") == [("male",)]


def test_an_old_file_that_turns_newer_values_back_says_so(store):
    old, new = "user_id,gender\na,f\nb,m\nc,f\n", "user_id,gender\na,m\nb,f\nc,f\n"
    store.take_text("users", old)
    assert store.take_text("users", new).notes == ()
    account = store.take_text("users", old)
    assert counts(account) == (0, 2, 0, 1, 0)
    [note] = account.notes
    assert note.startswith("2 users got back values that a later file had changed: give updated_at")
    assert note in str(account)


def test_a_deletion_is_a_retraction_and_can_be_taken_back(store):
    store.take_text("photos", "photo_id,user_id,url\np,a,u1\nq,a,u2\nr,a,u3\n")
    text = "photo_id,user_id,deleted_at\np,a,2024-05-01\nq,a,\n"
    assert counts(store.take_text("photos", text)) == (0, 0, 1, 1, 0)
    assert store.rows("select photo_id, url from photos order by 1") == [("q", "u2"), ("r", "u3")]
    assert store.rows("select photo_id, user_id, deleted_at from deleted_photos") == [
        ("p", "a", dt.datetime(2024, 5, 1))
    ]
    other = store.take_text("photos", "photo_id,user_id,likes\np,a,5\n")  # does not speak of the deletion
    assert counts(other) == (0, 1, 0, 0, 0)
    assert store.rows("select photo_id from deleted_photos") == [("p",)]
    assert counts(store.take_text("photos", "photo_id,user_id,deleted\np,a,false\nr,a,true\n")) == (0, 1, 1, 0, 0)
    assert store.rows("select photo_id, likes from photos order by 1") == [("p", 5), ("q", None)]
    assert store.rows("select photo_id, user_id, deleted_at from deleted_photos") == [("r", "a", store.now)]
    assert counts(store.take_text("photos", "photo_id,user_id,deleted\nr,a,yes\n")) == (0, 0, 0, 1, 0)
    assert counts(store.take_text("photos", "photo_id,user_id,deleted_at\nr,a,\n")) == (0, 1, 0, 0, 0)
    assert store.rows("select count(*) from photos") == [(3,)]


def test_a_deleted_user_keeps_swipes_and_loses_photos(store):
    store.take_text("users", "user_id,gender\na,f\nb,m\n")
    store.take_text("photos", "photo_id,user_id\np,a\nq,b\n")
    assert counts(store.take_text("users", "user_id,deleted_at\na,2024-05-01\n")) == (0, 0, 1, 0, 0)
    assert store.rows("select user_id from users") == [("b",)]
    assert store.rows("select user_id, gender, deleted_at from deleted_users") == [
        ("a", "female", dt.datetime(2024, 5, 1))
    ]
    assert store.rows("select photo_id from photos") == [("q",)]
    assert store.rows("select photo_id, user_id, deleted_at from deleted_photos") == [
        ("p", "a", dt.datetime(2024, 5, 1))
    ]


def test_an_arrival_in_the_past_does_not_replace_what_arrived_later(store):
    head = "user_id,gender,ingested_at\n"
    store.take_text("users", head + "a,f,2024-03-01\n")
    assert counts(store.take_text("users", head + "a,m,2024-02-01\n")) == (0, 0, 0, 1, 0)
    assert store.rows("select gender from users") == [("female",)]
    assert store.rows("select gender, ingested_at from facts.users order by 2") == [
        ("male", dt.datetime(2024, 2, 1)),
        ("female", dt.datetime(2024, 3, 1)),
    ]


def loaded(store, kind, folder, text, *, retract=False):
    path = folder / f"{kind}-{len(list(folder.iterdir()))}.csv"
    path.write_text(text)
    (report,) = (store.retract if retract else store.ingest)(kind, path)
    return report


def test_a_deletion_by_id_alone_that_arrived_before_the_photo_has_the_owner_of_the_photo(tmp_path):
    with FeatureStore(tmp_path / "store") as store:
        loaded(store, "photos", tmp_path, "photo_id,user_id,ingested_at\np,u,2025-01-05\n")
        report = loaded(store, "photos", tmp_path, "photo_id,ingested_at\np,2025-01-02\n", retract=True)
        assert (report.n_read, report.n_known) == (1, 1), "a newer version is there, which has not ended"
        assert store.sql("select user_id from photos").rows() == [("u",)]


def test_a_version_of_a_file_is_compared_with_what_had_arrived_only(tmp_path):
    text = "user_id,followers,updated_at,ingested_at\na,1,2025-01-01,2025-01-10\na,1,,2025-01-05\n"
    with FeatureStore(tmp_path / "store") as store:
        report = loaded(store, "users", tmp_path, text)
        assert (report.n_new, report.n_corrected, report.n_known) == (2, 0, 0)
        assert store.sql("select followers from users", known_at="2025-01-07").rows() == [(1,)]


def test_a_photo_of_a_deleted_user_has_no_label_though_no_photos_file_names_it(tmp_path):
    with FeatureStore(tmp_path / "store") as store:
        loaded(store, "users", tmp_path, "user_id,deleted_at\na,2025-02-01\nb,\n")
        loaded(store, "main_photos", tmp_path, "user_id,photo_id,set_at\na,p,2025-01-01\nb,q,2025-01-01\n")
        loaded(
            store,
            "swipes",
            tmp_path,
            "sender_id,recipient_id,liked,swiped_at\nb,a,yes,2025-01-02\na,b,yes,2025-01-02\n",
        )
        store.build(only="labels")
        assert store.sql("select photo_id from photo_labels").rows() == [("q",)]
        assert store.sql("select photo_id from photo_labels order by all", as_of="2025-01-15").rows() == [
            ("p",),
            ("q",),
        ]


def test_rows_of_a_file_that_say_the_same_count_once_though_one_arrives_with_what_is_stored(tmp_path):
    for kind, head in (("users", "user_id,followers"), ("photos", "photo_id,user_id,likes")):
        ids = "a," if kind == "users" else "p,a,"
        with FeatureStore(tmp_path / kind) as store:
            loaded(store, kind, tmp_path, f"{head},ingested_at\n{ids}10,2025-01-05\n")
            text = f"{head},ingested_at\n{ids}0,2025-01-05\n{ids}0,2025-01-06\n"
            report = loaded(store, kind, tmp_path, text)
            assert (report.n_corrected, report.n_known) == (1, 1)
            assert store.sql(f"select count(*) from facts.{kind}").item() == 2


def test_a_row_takes_what_it_does_not_say_from_the_row_before_it_in_the_file(tmp_path):
    told = {
        "a,true,2025-01-05\na,true,2025-01-07\n": (1, 0, 1),
        "a,true,2025-01-05\na,,2025-01-07\n": (1, 0, 1),
        "a,true,2025-01-05\na,false,2025-01-07\na,true,2025-01-09\na,true,2025-01-10\n": (2, 1, 1),
    }
    for no, (rows, expected) in enumerate(told.items()):
        with FeatureStore(tmp_path / f"store-{no}") as store:
            loaded(store, "users", tmp_path, "user_id,followers,ingested_at\na,10,2025-01-01\n")
            report = loaded(store, "users", tmp_path, f"user_id,deleted,ingested_at\n{rows}")
            assert (report.n_retracted, report.n_corrected, report.n_known) == expected
            found = store.sql(
                "select followers, deleted_at::date::text from facts.users where deleted_at is not null order by 2"
            )
            assert found.rows() == [(10, "2025-01-05"), (10, "2025-01-09")][: expected[0]]
            assert store.sql("select user_id from users").rows() == []
            assert store.sql("select user_id from users", known_at="2025-01-05").rows() == [("a",)]


def test_rows_of_a_file_that_are_true_from_one_instant_are_one_version_and_the_last_line_counts(tmp_path):
    text = "user_id,followers,updated_at,ingested_at\na,2,2025-01-04,2025-01-04\na,1,,2025-01-04\n"
    with FeatureStore(tmp_path / "store") as store:
        report = loaded(store, "users", tmp_path, text)
        assert (report.n_new, report.refused) == (1, {"superseded": 1})
        assert store.sql("select followers from facts.users").rows() == [(1,)]

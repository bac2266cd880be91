"""The same file again: it is skipped only if loading it again would change nothing."""

import itertools
import random

import pytest

from tests.ingest.ingest_store import SWIPES, StoreWithFiles

DAYS = {"f": "user_id,gender\nx,f\ny,m\n", "m": "user_id,gender\nx,m\ny,m\n", "o": "user_id,gender\nx,o\n"}
HEAD = "photo_id,user_id,likes,set_at\n"


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def genders(store):
    return dict(store.rows("select user_id, gender from users"))


def test_a_file_that_restores_an_earlier_state_is_loaded(store):
    for number, day in enumerate("fmf"):
        account = store.take_text("users", DAYS[day], f"day{number}.csv")
        assert not account.repeated
    assert genders(store) == {"x": "female", "y": "male"}
    assert (account.n_corrected, account.n_known) == (1, 1)
    assert store.take_text("users", DAYS["f"], "day3.csv").repeated
    assert store.rows("select count(*) from facts.users where user_id = 'x'") == [(3,)]


def test_a_call_that_is_repeated_does_nothing_also_after_a_crash(store):
    days = [store.file(f"day{number}.csv", DAYS[day]) for number, day in enumerate("fmfo")]
    store.take("users", *days[:2])
    assert [account.repeated for account in store.take("users", *days[:3])] == [True, True, False]
    assert [account.repeated for account in store.take("users", *days)] == [True, True, True, False]
    before = store.rows("select * from facts.users order by all")
    assert all(account.repeated for account in store.take("users", *days))
    assert store.take("users", days[3])[0].repeated
    assert store.rows("select * from facts.users order by all") == before
    assert [account.repeated for account in store.take("users", days[1], days[2])] == [False, False]
    assert genders(store)["x"] == "female"


@pytest.mark.parametrize("kind", ["users", "photos"])
def test_any_order_of_files_ends_as_if_each_had_been_read(store, kind):
    """Compared with a slow version: a dictionary into which every file of every call is written."""
    if kind == "users":
        texts = list(DAYS.values())
    else:
        texts = [f"{HEAD}{row}" for row in ("p,a,1,2024-01-01\n", "p,a,2,\nq,a,1,2024-01-03\n", "q,a,2,\n")]
    files = [store.file(f"{number}.csv", text) for number, text in enumerate(texts)]
    rng, expected = random.Random(kind), {}
    calls = [*itertools.permutations(range(3)), *(rng.choices(range(3), k=rng.randint(1, 4)) for _ in range(3))]
    value = {"f": "female", "m": "male", "o": "other"}
    for call in calls:
        store.take(kind, *(files[number] for number in call))
        for number in dict.fromkeys(call):
            for line in texts[number].splitlines()[1:]:
                key, *cells = line.split(",")
                expected[key] = value[cells[0]] if kind == "users" else int(cells[1])
        query = "select user_id, gender from users" if kind == "users" else "select photo_id, likes from photos"
        assert dict(store.rows(query)) == expected
    if kind == "photos":
        assert store.rows("select count(*) from facts.main_photos") == [(2,)]


def test_a_file_is_loaded_again_after_a_crawl(store):
    store.take_text("users", DAYS["f"])
    with store.db.write("crawl") as con:
        con.execute(
            "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
            " select user_id, 'other', 1, null, ingested_at + interval 1 second from facts.users"
        )
    account = store.take_text("users", DAYS["f"])
    assert (account.repeated, account.n_corrected, genders(store)) == (False, 2, {"x": "female", "y": "male"})


def test_a_file_of_events_is_skipped_even_if_its_rows_were_corrected_since(store):
    texts = {
        "swipes": [SWIPES + "a,b,1,2024-01-01\n", SWIPES + "a,b,0,2024-01-01\n"],
        "main_photos": ["user_id,photo_id,set_at\na,p,2024-01-01\n", "user_id,photo_id,set_at\na,q,2024-01-01\n"],
    }
    for kind, (one, other) in texts.items():
        repeated = [store.take_text(kind, text).repeated for text in (one, other, one, other)]
        assert repeated == [False, False, True, True]
        assert store.rows(f"select count(*) from facts.{kind}") == [(1,)]
        taken = [store.take_text(kind, text, retract=True) for text in (one, one, other)]
        assert [(report.repeated, report.n_retracted, report.n_known) for report in taken] == [
            (False, 1, 0),
            (True, 0, 0),
            (False, 0, 1),
        ]
        assert store.rows(f"select count(*) from facts.{kind}") == [(0,)]
    swipe = SWIPES + "a,b,1,2024-01-01\n"
    assert not store.take_text("swipes", swipe, arrived_at="2024-01-05").repeated
    assert store.take_text("swipes", swipe, arrived_at="2024-01-05T00:00Z").repeated


def test_one_file_under_two_names_in_one_call_is_loaded_once(store):
    for kind, text in {"swipes": SWIPES + "a,b,1,2024-01-01\n", "users": DAYS["f"]}.items():
        accounts = store.take(kind, store.file("a.csv", text), store.file("b.csv", text))
        assert [account.repeated for account in accounts] == [False, True]

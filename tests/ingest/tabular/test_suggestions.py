"""Columns that are suggested for missing ones: all at once, by likeness of the name and by fit of the type, or none."""

from __future__ import annotations

import shlex

import duckdb
import pytest

from photogenic.warehouse import InputError
from tests.ingest.ingest_store import StoreWithFiles

ROWS = {
    "from_member": ["m1", "m2", "m3"],
    "To Member": ["m2", "m3", "m4"],
    "event_id": ["e1", "e2", "e3"],
    "verdict": ["like", "pass", "like"],
    "event time": ["2024-05-01 10:00:00", "2024-05-02", "2024-05-03"],
    "city": ["Bern", "Basel", "Chur"],
}


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def csv(columns):
    return "\n".join([",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]) + "\n"


def suggested(store, kind, path):
    """The mapping that the error suggests, without what it leaves open."""
    with pytest.raises(InputError) as caught:
        store.take(kind, path)
    words = shlex.split(caught.value.remedy)
    assert set(words[::2]) == {"--map"}
    return dict(word.split("=", 1) for word in words[1::2] if not word.endswith("=THEIRS"))


def test_the_suggestion_can_be_pasted_and_works(store):
    path = store.file("swipes.csv", csv(ROWS))
    with pytest.raises(InputError) as caught:
        store.take("swipes", path)
    assert caught.value.what == f"{path} has no columns 'sender_id', 'recipient_id', 'liked', 'swiped_at'."
    assert caught.value.remedy == (
        "--map sender_id=from_member --map 'recipient_id=To Member' --map liked=verdict --map 'swiped_at=event time'"
    )
    [account] = store.take("swipes", path, mapping=suggested(store, "swipes", path))
    assert account.n_new == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("from_user_id", "to_user_id"),
        ("actor", "target"),
        ("swiper", "swipee"),
        ("rater_id", "ratee_id"),
        ("viewerId", "viewedId"),
        ("Source User", "Destination User"),
        ("swiper_id", "swiped_id"),
        ("sendr", "recipent"),
    ],
)
def test_pairs_of_names(store, one, other):
    columns = {other: ROWS["To Member"], one: ROWS["from_member"], "liked": ["1", "0", "1"]}
    path = store.file("swipes.csv", csv({**columns, "swiped_at": ROWS["event time"]}))
    assert suggested(store, "swipes", path) == {"sender_id": one, "recipient_id": other}


@pytest.mark.parametrize("kind", ["csv", "parquet", "ndjson"])
def test_the_type_must_fit(store, kind):
    """A time, a boolean, a fraction and a list are no id, a word is no time, and a fraction no verdict."""
    query = "select timestamp '2024-01-01' as from_time, 'x' as swiped, 0.5 as target_score, {'a': 1} as sender, "
    query += "true as actor, ['r'] as recipients, 'someone' as when, 1.25 as verdict_score"
    path = store.parquet("swipes.parquet", query)
    if kind != "parquet":
        text = store.folder / f"swipes.{kind}"
        format_ = "json" if kind == "ndjson" else "csv"
        source = "select * exclude (sender, recipients)" if kind == "csv" else "select *"
        duckdb.execute(f"copy ({source} from '{path}') to '{text}' (format {format_})")
        path = text
    expected = {"recipient_id": "swiped", "swiped_at": "from_time"}
    assert suggested(store, "swipes", path) == expected | ({} if kind == "csv" else {"sender_id": "sender.a"})


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        ("swipes", "event_id,id,gender,city"),
        ("swipes", "member_id,created_at,age"),
        ("users", "name,age"),
        ("photos", "event,place"),
    ],
)
def test_nothing_is_suggested_where_nothing_is_alike(store, kind, header):
    assert suggested(store, kind, store.file("a.csv", header + "\n")) == {}


def test_users_and_photos(store):
    path = store.file("users.csv", "Member No,sex\n7,f\n")
    assert suggested(store, "users", path) == {"user_id": "Member No"}
    path = store.file("photos.csv", "image_id,owner,posted\n7,3,2024-01-01\n")
    assert suggested(store, "photos", path) == {"photo_id": "image_id", "user_id": "owner"}
    path = store.file("main.csv", "pic,account,valid_from,changed\n7,3,2024-01-01,2024-01-01\n")
    assert suggested(store, "main_photos", path) == {"photo_id": "pic", "user_id": "account", "set_at": "changed"}


def test_a_column_of_ours_that_is_there_is_not_suggested_for_another(store):
    path = store.file("swipes.csv", "recipient_id,liked,swiped_at,from\na,1,2024-01-01,b\n")
    assert suggested(store, "swipes", path) == {"sender_id": "from"}


def test_hostile_names_of_columns(store):
    names = ["$(rm -rf ~)_from", "a'b_to", "\x1b[31mliked?", "x" * 100_000]
    path = store.file("swipes.csv", ",".join(f'"{name}"' for name in names) + "\n")
    with pytest.raises(InputError) as caught:
        store.take("swipes", path)
    assert "\x1b" not in str(caught.value)
    assert "'sender_id=$(rm -rf ~)_from'" in caught.value.remedy
    many = store.file("many.csv", ",".join(f"c{at}" for at in range(3000)) + "\n")
    with pytest.raises(InputError, match="no columns") as caught:
        store.take("swipes", many)
    assert caught.value.expected.endswith("c39 and 2,960 more")


@pytest.mark.parametrize(
    ("kind", "alone"), [("swipes", True), ("main_photos", True), ("photos", False), ("users", False)]
)
def test_a_file_that_takes_back_is_told_what_it_lacks(store, kind, alone):
    path = store.file("back.csv", "when,city\n2024-05-01,Bern\n")
    with pytest.raises(InputError, match=r"back\.csv has no column") as caught:
        store.take(kind, path, retract=True)
    assert ("event_id alone" in caught.value.expected) == alone


@pytest.mark.parametrize("arrived_at", ["loaded", "2024-13-01"])
def test_a_column_of_arrivals_that_is_missing(store, arrived_at):
    """A time with a mistake in it is taken for the name of a column."""
    path = store.file("users.csv", "user_id,loaded_at\nann,2024-05-01\n")
    with pytest.raises(InputError, match=f"no column '{arrived_at}'") as caught:
        store.take("users", path, arrived_at=arrived_at)
    assert caught.value.expected.endswith("user_id, loaded_at; or a time such as 2024-02-01T00:00:00Z, for all rows")
    assert caught.value.remedy.startswith("--arrived-at ")

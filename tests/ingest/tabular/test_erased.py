"""Rows about erased people are refused in every format, and nothing of a refused row is kept."""

import json

import pytest

from photogenic.warehouse import StoreError
from photogenic.warehouse.erasure.tombstones import Tombstones
from tests.ingest.ingest_store import SWIPES, StoreWithFiles
from tests.scanner import found

GONE, PHOTO = "somebody-gone", "photo-gone"


@pytest.fixture
def store(tmp_path):
    store = StoreWithFiles(tmp_path)
    Tombstones(store.db.layout).add([("user", GONE), ("photo", PHOTO)])
    return store


def rejected(store):
    return store.rows("select kind, line, reason, detail, raw from facts.rejects order by all")


def nothing_is_kept(store):
    assert found(store.db.layout.root, {GONE: [GONE.encode()], PHOTO: [PHOTO.encode()]}) == {GONE: set(), PHOTO: set()}


ROWS = {
    "users": ("user_id,gender", f"{GONE},female", "other,male"),
    "photos": ("photo_id,user_id,path", f"p1,{GONE},a/{GONE}.jpg", "p2,other,b.jpg"),
    "main_photos": ("user_id,photo_id,set_at", f"{GONE},p1,2024-01-01", "other,p2,2024-01-01"),
    "swipes": ("sender_id,recipient_id,liked,swiped_at", f"{GONE},other,1,2024-01-01", "a,other,1,2024-01-01"),
}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_every_kind_of_row_in_every_format(store, kind, form):
    header, theirs, others = ROWS[kind]
    names, rows = header.split(","), [line.split(",") for line in (theirs, others)]
    if form == "csv":
        path = store.file("given.csv", "\n".join([header, theirs, others]) + "\n")
    elif form == "ndjson":
        path = store.file(
            "given.ndjson", "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)
        )
    else:
        values = " union all ".join(
            "select " + ", ".join(f"'{value}' as {name}" for name, value in zip(names, row, strict=True))
            for row in rows
        )
        path = store.parquet("given.parquet", values)
    [account] = store.take(kind, path)
    assert (account.n_read, account.n_new, account.refused) == (2, 1, {"erased": 1})
    first = 2 if form == "csv" else 1
    assert rejected(store) == [(kind, first, "erased", None, None)]
    nothing_is_kept(store)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("swipes", f"{SWIPES}a,{GONE},1,2024-01-01\n"),
        ("photos", f"photo_id,user_id\n{PHOTO},somebody-else\n"),
        ("main_photos", f"user_id,photo_id,set_at\nsomebody-else,{PHOTO},2024-01-01\n"),
        ("swipes", f"{SWIPES}{GONE},{GONE},1,2024-01-01\n"),
        ("swipes", f"{SWIPES}  {GONE} ,b,1,2024-01-01\n"),
    ],
    ids=["as a recipient", "a photo by another's name", "a photo set by another", "twice in a row", "with blanks"],
)
def test_every_column_that_names_them(store, kind, text):
    account = store.take_text(kind, text)
    assert account.refused == {"erased": 1}
    nothing_is_kept(store)


@pytest.mark.parametrize("text", ["17.0", "17", "17.00"])
def test_ids_that_an_older_store_wrote_with_a_fraction_are_refused(store, text):
    Tombstones(store.db.layout).add([("user", "17.0")])
    [account] = store.take("users", store.file("given.csv", f"user_id,gender\n{text},f\n170,f\n17.5,f\n"))
    assert (account.n_new, account.refused) == (2, {"erased": 1})


def test_erased_precedes_all_other_reasons(store):
    account = store.take_text("swipes", f"{SWIPES}{GONE},b,perhaps,2024-01-01\nb,{GONE},1,never\n")
    assert account.refused == {"erased": 2}
    nothing_is_kept(store)


def test_no_text_of_an_unreadable_row_is_kept(store):
    account = store.take_text("swipes", f"{SWIPES}{GONE},b,1,2024-01-01,more\nb,c,1\n")
    assert account.refused == {"too_few_columns": 1, "too_many_columns": 1}
    assert [raw for *_, raw in rejected(store)] == [None, None]
    nothing_is_kept(store)


def test_columns_that_are_not_ours_are_not_kept(store):
    line = json.dumps({"sender_id": "a", "recipient_id": "b", "liked": "perhaps", "swiped_at": "2024", "friend": GONE})
    store.take_text("swipes", line + "\n", name="given.ndjson")
    assert json.loads(rejected(store)[0][-1])["sender_id"] == "a"
    nothing_is_kept(store)


def test_pictures_of_erased_people_are_not_loaded(store):
    store.file(f"{GONE}.jpg", b"\xff\xd8 no picture")
    account = store.take_text("photos", f"photo_id,user_id,path\np1,{GONE},{GONE}.jpg\n")
    assert account.pictures == {}


def test_other_people_are_not_affected(store):
    account = store.take_text("swipes", f"{SWIPES}{GONE}-2,b,1,2024-01-01\n{GONE[:-1]},b,1,2024-01-01\n")
    assert account.n_new == 2


def test_a_hash_does_not_reveal_the_id(store, tmp_path):
    folder = store.db.layout.erased
    assert (folder / "salt").stat().st_mode & 0o777 == 0o600
    other = StoreWithFiles(tmp_path / "other")
    Tombstones(other.db.layout).add([("user", GONE)])
    mine, theirs = ((s.db.layout.erased / "tombstones").read_text().split() for s in (store, other))
    assert not set(mine) & set(theirs), "every store has its own salt"
    assert Tombstones(store.db.layout).hash("user", "x") != Tombstones(store.db.layout).hash("photo", "x")


@pytest.mark.parametrize("salt", [None, "short"])
def test_nothing_is_loaded_without_the_salt(store, salt):
    path = store.db.layout.erased / "salt"
    path.unlink()
    if salt:
        path.write_text(salt)
    with pytest.raises(StoreError, match="The list of erased people of the store cannot be used"):
        store.take_text("users", "user_id\na\n")


@pytest.mark.parametrize("name", ["salt", "tombstones"])
def test_a_flipped_bit_restores_no_erased_person(store, name):
    path = store.db.layout.erased / name
    text = path.read_text()
    path.write_text(text[:5] + ("0" if text[5] != "0" else "1") + text[6:])
    with pytest.raises(StoreError, match="The list of erased people of the store cannot be used"):
        store.take_text("users", "user_id\na\n")

"""Values inside objects, by their path: NDJSON and Parquet."""

from __future__ import annotations

import datetime as dt
import gzip
import json

import pytest

from photogenic.warehouse import InputError
from tests.ingest.ingest_store import StoreWithFiles

PATHS = {"photo_id": "photo.id", "user_id": "photo.owner.user", "set_at": "meta.main.since"}
EXPECTED = [("p1", "u1", dt.datetime(2024, 1, 2)), ("p2", "u2", None), ("p3", "u3", None)]


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def rows():
    return [
        {"photo": {"id": "p1", "owner": {"user": "u1"}}, "meta": {"main": {"since": "2024-01-02"}}, "x": 1},
        {"photo": {"id": "p2", "owner": {"user": "u2"}}, "meta": {"main": None}},
        {"photo": {"id": "p3", "owner": {"user": "u3"}}, "meta": None},
        {"photo": {"id": None, "owner": {"user": "u4"}}},
        {"photo": None},
    ]


def photos(store):
    photos_ = "select photo_id, user_id, set_at from facts.photos left join facts.main_photos using (photo_id, user_id)"
    return store.rows(f"{photos_} order by 1")


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_objects_of_ndjson(store, compress):
    text = "\n".join(map(json.dumps, rows())).encode()
    account = store.take_text("photos", compress(text), "photos.ndjson", mapping=PATHS)
    assert account.refused == {"no_photo_id": 2}
    assert photos(store) == EXPECTED
    assert account.ignored == ("meta", "photo", "x")


def test_structs_of_parquet(store):
    path = store.file("rows.ndjson", "\n".join(map(json.dumps, rows())))
    store.parquet("photos.parquet", f"select photo, meta, x from read_json('{path}')")
    [account] = store.take("photos", store.folder / "photos.parquet", mapping=PATHS)
    assert account.refused == {"no_photo_id": 2}
    assert photos(store) == EXPECTED


@pytest.mark.parametrize("name", ["users.ndjson", "users.parquet", "users.csv"])
def test_a_column_whose_own_name_has_a_dot_precedes(store, name):
    if name.endswith("csv"):
        path = store.file(name, "user,user.id\nno,yes\n")
    elif name.endswith("ndjson"):
        path = store.file(name, '{"user": {"id": "no"}, "user.id": "yes"}\n')
    else:
        path = store.parquet(name, """select {'id': 'no'} as user, 'yes' as "user.id" """)
    store.take("users", path, mapping={"user_id": "user.id"})
    assert store.rows("select user_id from facts.users") == [("yes",)]


def test_keys_with_dots_slashes_tildes_and_another_case(store):
    text = json.dumps({"a.b": {"C d": {"~/'\"": "u"}}, "g": {"Sex": "f"}})
    mapping = {"user_id": "a.b.c-d.~/'\"", "gender": "G.sex"}
    store.take_text("users", text, "users.ndjson", mapping=mapping)
    assert store.rows("select user_id, gender from facts.users") == [("u", "female")]
    store.parquet("users.parquet", """select {'C d': {'E': 'v'}} as "a.b", {'Sex': 'm'} as g""")
    store.take("users", store.folder / "users.parquet", mapping={"user_id": "a.b.c_d.e", "gender": "g.sex"})
    assert store.rows("select user_id, gender from facts.users where user_id = 'v'") == [("v", "male")]


def test_a_path_that_appears_in_a_late_row(store):
    text = '{"user_id": "a", "more": {}}\n' * 2000 + '{"user_id": "b", "more": {"sex": {"is": "f"}}}\n'
    store.take_text("users", text, "users.ndjson", mapping={"gender": "more.sex.is"})
    assert store.rows("select user_id, gender from facts.users order by 1") == [("a", None), ("b", "female")]


def test_an_object_at_the_path_and_a_key_twice_are_refused(store):
    text = '{"u": {"id": {"x": 1}}}\n{"u": {"id": "a", "id": "b"}}\n{"u": {"id": [1]}}\n{"u": {"id": "{c}"}}\n'
    account = store.take_text("users", text, "users.ndjson", mapping={"user_id": "u.id"})
    assert account.refused == {"nested_value": 2, "repeated_key": 1}
    assert store.rows("select user_id from facts.users") == [("{c}",)]


@pytest.mark.parametrize("name", ["photos.ndjson", "photos.parquet"])
def test_paths_are_suggested_and_objects_never(store, name):
    path = store.file("photos.ndjson", '{"main_since": "2024-01-02", "member": "u", "photo": {"id": "p", "w": 3}}\n')
    if name.endswith("parquet"):
        path = store.parquet(name, f"select * from read_json('{path}')")
    with pytest.raises(InputError) as caught:
        store.take("photos", path)
    assert caught.value.what.endswith("has no columns 'photo_id', 'user_id'.")
    assert caught.value.expected == "those names among its columns: main_since, member, photo.id, photo.w"
    assert caught.value.remedy == "--map photo_id=photo.id --map user_id=member"
    with pytest.raises(InputError) as caught:
        store.take("photos", path, mapping={"photo_id": "photo", "user_id": "member"})
    assert caught.value.remedy == "--map photo_id=photo.id"
    with pytest.raises(InputError, match=r"no column 'photo\.idd'") as caught:
        store.take("photos", path, mapping={"photo_id": "photo.idd", "user_id": "member"})
    assert caught.value.remedy == "--map photo_id=photo.id"
    [account] = store.take("photos", path, mapping={"photo_id": "photo.id", "user_id": "member"})
    assert account.n_new == 1


def test_uuids_and_times_inside_structs(store):
    query = "select {'id': '\\x00\\x01\\x02\\x03\\x04\\x05\\x06\\x07\\x08\\x09\\x0A\\x0B\\x0C\\x0D\\x0E\\x0F'::blob, "
    query += "'at': timestamp '2024-01-02'} as u"
    mapping = {"user_id": "u.id", "created_at": "u.at"}
    store.take("users", store.parquet("users.parquet", query), mapping=mapping)
    assert store.rows("select user_id, created_at from facts.users") == [
        ("00010203-0405-0607-0809-0a0b0c0d0e0f", dt.datetime(2024, 1, 2))
    ]


def test_deep_and_wide_objects_are_no_trouble(store):
    deep = '{"a":' * 900 + "1" + "}" * 900
    wide = json.dumps({"user_id": "w", "more": {f"k{at}": {"x": at} for at in range(20_000)}})
    path = store.file("users.ndjson", f'{{"id": "d", "more": {deep}}}\n{wide}\n')
    with pytest.raises(InputError) as caught:
        store.take("users", path, mapping={"user_id": "more." + "a." * 300 + "b"})
    assert len(str(caught.value)) < 5000
    [account] = store.take("users", path)
    assert account.refused == {"no_user_id": 1}

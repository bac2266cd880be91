"""Folders of files: which files are read, their partitions, links, and what the account says of the rest."""

from __future__ import annotations

import datetime as dt
import os

import pytest

from photogenic.ingest.readers.folders import partitions
from photogenic.warehouse import InputError
from tests.ingest.ingest_store import SWIPES, StoreWithFiles

DAY = dt.datetime(2024, 5, 1)


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def swipe(sender, day="2024-05-01"):
    return f"{SWIPES}{sender},r,1,{day}\n"


def senders(store):
    return [sender for sender, *_ in store.swipes()]


def names(store, accounts):
    return [account.source.removeprefix(f"{store.folder}/lake/") for account in accounts]


def test_all_files_of_a_folder_in_order_without_hidden_ones(store):
    for name in ("b.csv", "a/z.csv", "a/b.tsv.gz.csv", "_month=3/m.csv"):
        store.file(f"lake/{name}", swipe(name[0]))
    store.parquet(
        "lake/a/000000_0",
        "select 'p' as sender_id, 'r' as recipient_id, 1 as liked, timestamp '2024-05-01' as swiped_at",
    )
    for name in ("_SUCCESS", ".b.csv.crc", ".hidden.csv", "_temporary/0/c.csv", "a/_metadata"):
        store.file(f"lake/{name}", swipe("hidden"))
    accounts = store.take("swipes", store.folder / "lake")
    assert names(store, accounts) == ["_month=3/m.csv", "a/000000_0", "a/b.tsv.gz.csv", "a/z.csv", "b.csv"]
    assert senders(store) == ["_", "a", "b", "p"]
    assert all(account.notes == () for account in accounts)


def test_what_is_left_out_is_named_in_the_first_account(store):
    store.file("lake/a.csv", swipe("a"))
    store.file("lake/b.csv", swipe("b"))
    for name in ("readme.md", "x.bin", "y.bin", "z.bin", "empty"):
        store.file(f"lake/{name}", b"" if name == "empty" else b"\0\1")
    os.mkfifo(store.folder / "lake" / "pipe.csv")
    first, second = store.take("swipes", store.folder / "lake")
    assert first.notes == ("left out, of another format: empty, pipe.csv, readme.md and 3 more",)
    assert second.notes == ()
    assert "readme.md" in str(first)


def test_a_folder_with_nothing_to_read(store):
    store.file("lake/readme.md", "hello")
    with pytest.raises(InputError, match=r"lake holds no file that can be read; left out, .*readme\.md") as caught:
        store.take("swipes", store.folder / "lake")
    assert ".parquet" in caught.value.expected or "Parquet" in caught.value.expected
    assert caught.value.remedy.startswith("find ")


def test_links_inside_are_followed_once_and_others_left_out(store):
    store.file("lake/real/a.csv", swipe("a"))
    store.file("lake/.versions/3/c.csv", swipe("c"))
    store.file("other/b.csv", swipe("b"))
    lake = store.folder / "lake"
    (lake / "current").symlink_to(".versions/3")
    (lake / "again").symlink_to("real")
    (lake / "again.csv").symlink_to("real/a.csv")
    (lake / "circle").symlink_to(".")
    (lake / "real" / "up").symlink_to("..")
    (lake / "self").symlink_to("self")
    (lake / "nowhere.csv").symlink_to("nothing.csv")
    (lake / "out").symlink_to(store.folder / "other")
    (lake / "out.csv").symlink_to(store.folder / "other" / "b.csv")
    accounts = store.take("swipes", lake)
    assert names(store, accounts) == ["current/c.csv", "real/a.csv"]
    assert senders(store) == ["a", "c"]
    [note] = accounts[0].notes
    assert note == "left out, links that lead out of the folder or nowhere: nowhere.csv, out, out.csv and 1 more"


def test_a_link_to_a_folder_may_be_named(store):
    store.file("lake/a.csv", swipe("a"))
    (store.folder / "link").symlink_to("lake")
    [account] = store.take("swipes", store.folder / "link")
    assert account.n_new == 1


def test_partitions_are_columns_that_can_be_mapped(store):
    text = "sender_id,recipient_id,liked\ns,r,1\n"
    for folder in ("day=2024-05-01/app=a%2Fb", "day=2024-05-02/app=a%2Fb", "day=__HIVE_DEFAULT_PARTITION__/app=x"):
        store.file(f"lake/{folder}/part.csv", text)
    accounts = store.take("swipes", store.folder / "lake", mapping={"swiped_at": "day"})
    assert [account.refused for account in accounts] == [{}, {}, {"no_time": 1}]
    assert store.swipes() == [("s", "r", True, DAY), ("s", "r", True, DAY + dt.timedelta(days=1))]
    assert accounts[0].ignored == ("app",)
    [(raw,)] = store.rows("select raw::varchar from facts.rejects")
    assert raw == '{"sender_id":"s","recipient_id":"r","liked":"1","day":null,"app":"x"}'


@pytest.mark.parametrize("name", ["part.csv", "part.ndjson", "part.parquet", "part.csv.gz"])
def test_partitions_of_every_format_by_their_own_name_and_case(store, name):
    import gzip

    path = f"lake/Liked=Nope/Swiped-At=2024-05-01/{name}"
    if name.endswith("parquet"):
        (store.folder / path).parent.mkdir(parents=True)
        store.parquet(path, "select 's' as sender_id, 'r' as recipient_id")
    elif name.endswith("ndjson"):
        store.file(path, '{"sender_id": "s", "recipient_id": "r"}\n')
    else:
        text = b"sender_id,recipient_id\ns,r\n"
        store.file(path, gzip.compress(text) if name.endswith("gz") else text)
    for source in ("lake", "lake/*/*/part*", "lak[e]/**/part*"):
        [account] = store.take("swipes", str(store.folder / source))
        assert account.refused == {}, source
        assert account.repeated == (source != "lake")
    assert store.swipes() == [("s", "r", False, DAY)]


def test_a_column_of_the_file_precedes_that_of_a_folder(store):
    store.file("lake/gender=m/a.csv", "user_id,Gender\na,f\n")
    store.file("lake/gender=m/b.csv", "user_id\nb\n")
    store.take("users", store.folder / "lake")
    assert store.rows("select user_id, gender from facts.users order by 1") == [("a", "female"), ("b", "male")]


def test_equal_files_of_two_partitions_are_two_ingests(store):
    for gender in ("f", "m"):
        store.file(f"lake/gender={gender}/a.csv", "user_id\na\n")
    assert [account.repeated for account in store.take("users", store.folder / "lake")] == [False, False]
    assert [account.repeated for account in store.take("users", store.folder / "lake")] == [True, True]
    assert store.rows("select gender from facts.users order by ingested_at") == [("female",), ("male",)]


def test_folders_above_the_named_one_add_no_columns(store):
    store.file("gender=m/lake/a.csv", "user_id\na\n")
    store.take("users", store.folder / "gender=m" / "lake")
    store.take("users", store.folder / "gender=m" / "lake" / "a.csv")
    assert store.rows("select distinct gender from facts.users") == [(None,)]


def test_a_missing_column_may_be_suggested_from_a_folder(store):
    store.file("lake/from_member=7/a.csv", "to_member,liked,swiped_at\nr,1,2024-05-01\n")
    with pytest.raises(InputError) as caught:
        store.take("swipes", store.folder / "lake")
    assert caught.value.remedy == "--map sender_id=from_member --map recipient_id=to_member"


def test_a_folder_that_holds_a_table_of_delta_lake_is_refused(store):
    store.file("lake/swipes/_delta_log/00000.json", "{}")
    store.file("lake/swipes/a.csv", swipe("a"))
    with pytest.raises(InputError, match=r"holds a table of Delta Lake, .*lake/swipes") as caught:
        store.take("swipes", store.folder / "lake")
    assert caught.value.remedy == f"features ingest KIND {store.folder}/lake/swipes"


def test_names_of_partitions():
    folders = ["lake", "a=1", "b=%20x%3D", "a=2", "=3", "c=", "d=__HIVE_DEFAULT_PARTITION__", "é=ü"]
    assert partitions(folders) == (("a", "2"), ("b", " x="), ("c", ""), ("d", None), ("é", "ü"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read(store):
    path = store.file("lake/inner/a.csv", swipe("a")).parent
    path.chmod(0)
    with pytest.raises(InputError, match="inner cannot be read"):
        store.take("swipes", store.folder / "lake")

"""Folders of exports: what is written again, what is refused, and that readers see one export as a whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import deltalake
import lance
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from photogenic import FeatureStore
from photogenic.warehouse.errors import ConflictError, InputError, LockedError, QueryError, StoreError
from photogenic.warehouse.labels.build import build_labels
from tests.warehouse.export.exporting import files, listed, opened, read, with_duckdb
from tests.warehouse.small import add_facts

ROOT = Path(__file__).parents[3]
MONTHS = "select *, strftime(swiped_at + to_days(cast(30 * n as int)), '%Y-%m') as month from swipes, range(2) as r(n)"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with_store = opened(tmp_path_factory.mktemp("exported"), n=6)
    yield with_store
    with_store.close()


@pytest.fixture
def store(tmp_path):
    with_store = opened(tmp_path / "own", n=6)
    yield with_store
    with_store.close()


def rows_of(store, query):
    return sorted(map(repr, store.sql(query).iter_rows()))


def rows_in(folder, name):
    return sorted(map(repr, with_duckdb(f"from read_parquet({[str(file) for file in files(folder, name)]})")))


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def states(done):
    return {one.name: one.state for one in done}


def test_every_relation_has_its_rows(shared, tmp_path):
    done = shared.export("all", to=tmp_path, verify=True)
    assert {"photo_labels", "users", "swipes", "like_ratios"} <= {one.name for one in done}
    for one in done:
        ((n_rows,),) = shared.sql(f"select count(*) from {one.name}").iter_rows()
        assert one.n_rows == n_rows == sum(pq.read_metadata(file).num_rows for file in files(tmp_path, one.name))
    assert rows_in(tmp_path, "like_ratios") == rows_of(shared, "from like_ratios")


@pytest.mark.parametrize("form", ["parquet", pytest.param("csv", marks=pytest.mark.thorough), "delta", "lance"])
def test_the_same_rows_are_not_written_again(store, tmp_path, form):
    out = tmp_path / "out"
    named = ["like_ratios", "users"]
    assert states(store.export(named, to=out, format=form)) == {"like_ratios": "written", "users": "written"}
    before = times(out)
    again = store.export(named, to=out, format=form, verify=True)
    assert states(again) == {"like_ratios": "unchanged", "users": "unchanged"}
    assert times(out) == before
    add_facts(store.database, users=[("new", "male", 1)])
    third = store.export(named, to=out, format=form)
    assert states(third) == {"like_ratios": "unchanged", "users": "written"}
    assert {one.name: one.n_rows for one in third}["users"] == 7


def test_a_file_that_was_lost_is_written_again(shared, tmp_path):
    shared.export("users", to=tmp_path)
    files(tmp_path, "users")[0].unlink()
    assert states(shared.export("users", to=tmp_path)) == {"users": "written"}


def test_a_file_that_was_changed_is_found_by_verify(shared, tmp_path):
    shared.export("users", to=tmp_path)
    (file,) = files(tmp_path, "users")
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)
    with pytest.raises(StoreError, match="is damaged"):
        shared.export("users", to=tmp_path, verify=True)


def test_only_partitions_with_other_rows_are_written(store, tmp_path):
    def export():
        (done,) = store.export(to=tmp_path / "out", query=MONTHS, partition=["month", "liked"])
        return done, set(files(tmp_path / "out", "query"))

    first, before = export()
    assert (first.n_rows, first.n_files) == (132, 4)
    add_facts(store.database, swipes=[("u1", "u2", True, 24 * 200)])
    second, after = export()
    assert second.n_rows == 134
    assert second.n_written == 2
    assert before < after
    found = ds.dataset(tmp_path / "out" / "query", partitioning="hive").to_table()
    columns = ["sender_id", "recipient_id", "swiped_at", "month", "liked"]
    expected = store.sql(f"select {', '.join(columns)} from ({MONTHS}) order by all").rows()
    found = [
        (row["sender_id"], row["recipient_id"], row["swiped_at"], row["month"], row["liked"] in (True, "true"))
        for row in found.to_pylist()
    ]
    assert sorted(found) == sorted(expected)


def test_a_partition_that_has_no_rows_any_more_is_removed(shared, tmp_path):
    query = "select n, n % 3 as part from range($most) as r(n)"
    shared.export(to=tmp_path, query=query, params={"most": 9}, partition="part")
    (done,) = shared.export(to=tmp_path, query=query + " where n % 3 < 2", params={"most": 9}, partition="part")
    assert (done.n_rows, done.n_written) == (6, 0)
    assert sorted(path.name for path in (tmp_path / "query").iterdir()) == ["part=0", "part=1"]


def test_names_of_partitions_with_odd_texts_come_back(shared, tmp_path):
    query = "select * from (values ('a/b c=\N{SNOWMAN}%41', 1), (null, 2), ('..', 3)) as v(part, n)"
    shared.export(to=tmp_path, query=query, partition="part")
    assert with_duckdb(f"select part, n from read_parquet('{tmp_path}/query/*/*.parquet') order by n") == [
        ("a/b c=\N{SNOWMAN}%41", 1),
        (None, 2),
        ("..", 3),
    ]
    assert {file["partition"] for file in listed(tmp_path)["query"]["files"]} == {
        "part=a/b c=\N{SNOWMAN}%41",
        "part=__HIVE_DEFAULT_PARTITION__",
        "part=..",
    }
    (again,) = shared.export(to=tmp_path, query=query + " where n < 9", partition="part")
    assert again.n_written == 0


def test_files_have_at_most_so_many_rows(shared, tmp_path):
    (done,) = shared.export(to=tmp_path, query="from range(10)", max_rows_per_file=4)
    assert done.n_files == 3
    assert [file["rows"] for file in listed(tmp_path)["query"]["files"]] == [4, 4, 2]


def test_a_moment_and_a_training_set(store, tmp_path):
    store.create_training_set("may", target="users.followers", features="photos.likes")
    out = tmp_path / "out"
    store.export(["training-set:may"], to=out, partition="split")
    assert sum(pq.read_metadata(file).num_rows for file in files(out, "may")) == len(store.load_training_set("may"))
    about = listed(out)["may"]["about"]
    assert json.loads(about["photogenic.training_set"])["n_rows"] == len(store.load_training_set("may"))
    (done,) = store.export("swipes", to=out, as_of="2024-01-01T12:00:00Z")
    assert done.n_rows == store.sql("from swipes", as_of="2024-01-01T12:00:00Z").height
    assert 0 < done.n_rows < store.sql("from swipes").height
    with pytest.raises(ConflictError, match="was frozen"):
        store.export("training-set:may", to=out, as_of="2024-01-01")


def test_facts_as_before_and_their_folder_is_no_place_for_relations(shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [one.table for one in shared.export("facts")][:2] == ["users", "photos"]
    assert (tmp_path / "facts" / "swipes").is_dir()
    assert shared.export("facts", to="facts")[0].n_rows == 6
    with pytest.raises(InputError, match="holds something that no export of rows wrote"):
        shared.export("users", to="facts")
    shared.export("users", to="relations")
    with pytest.raises(InputError, match="has relations of another export"):
        shared.export("relations")
    with pytest.raises(InputError, match="users is given without an address"):
        shared.export("users")


@pytest.mark.parametrize("form", ["parquet", "csv", "delta", "lance", "feast"])
def test_a_folder_that_holds_something_else_stays_as_it_is(shared, tmp_path, form):
    for name in ("users", "users.lance"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds something"):
        shared.export("users", to=tmp_path, format=form)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["thesis.txt", "thesis.txt"]
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(InputError):
        shared.export("users", to=file, format=form)
    assert file.read_text() == "x"


def test_a_foreign_delta_table_is_not_replaced_but_may_be_added_to(shared, tmp_path):
    deltalake.write_deltalake(tmp_path / "n", shared.sql("select 1::bigint as n").to_arrow())
    with pytest.raises(InputError, match="was not written by an export"):
        shared.export(to=tmp_path, query="select 2::bigint as n", table="n", format="delta")
    shared.export(to=tmp_path, query="select 2::bigint as n", table="n", format="delta", append=True)
    (again,) = shared.export(to=tmp_path, query="select 2::bigint as n", table="n", format="delta", append=True)
    assert again.state == "unchanged"
    assert sorted(read(tmp_path, "n", "delta")["n"].to_pylist()) == [1, 2]


def test_lance_keeps_an_index_while_the_rows_are_the_same(shared, tmp_path):
    shared.export("users", to=tmp_path, format="lance")
    lance.dataset(tmp_path / "users.lance").create_scalar_index("followers", "BTREE")
    assert states(shared.export("users", to=tmp_path, format="lance")) == {"users": "unchanged"}
    lance.dataset(tmp_path / "users.lance").delete("followers = 1")
    assert states(shared.export("users", to=tmp_path, format="lance")) == {"users": "written"}
    assert lance.dataset(tmp_path / "users.lance").count_rows() == 6


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"what": "userz"}, InputError, "no relation 'userz'"),
        ({"what": "facts.users"}, InputError, "no relation"),
        ({"what": 'users" where false --'}, InputError, "no relation"),
        ({"what": "users", "table": "../escape"}, InputError, "table is called"),
        ({"what": "users", "table": ".hidden"}, InputError, "table is called"),
        ({"what": ["users", "photos"], "table": "both"}, ConflictError, "--table names one table"),
        ({"query": "copy users to 'stolen.csv'"}, QueryError, "SELECT|reads|read"),
        ({"query": "select 1 as a, 2 as A"}, InputError, "two columns called a"),
        ({"query": "from read_csv('/etc/passwd')"}, QueryError, "SELECT|reads|read"),
        ({"what": "users", "partition": "nothing"}, InputError, "no column 'nothing'"),
        ({"what": "users", "partition": "created_at"}, InputError, "of type TIMESTAMP"),
        ({"query": "select '' as part, 1 as n", "partition": "part"}, InputError, "no name of a folder"),
        ({"query": "select 1 as part", "partition": "part"}, InputError, "every column"),
        (
            {"query": "select range as part, 1 as n from range(20000)", "partition": "part"},
            InputError,
            "10,000 folders",
        ),
        ({"what": "users", "append": True}, ConflictError, "--append"),
        ({"what": "users", "format": "lance", "partition": "gender"}, ConflictError, "no partitions"),
        ({"what": "users", "format": "postgresql"}, ConflictError, "does not fit"),
        ({"what": "users", "every": "1mo"}, ConflictError, "--every"),
        ({"what": "training-set:none"}, InputError, "no training set"),
        ({"what": "users", "params": {"a": 1}}, ConflictError, "--param"),
        ({"what": [], "query": None}, ConflictError, "Nothing was named"),
    ],
)
def test_refused(shared, tmp_path, given, error, words):
    given = {"what": None, **given}
    with pytest.raises(error, match=words):
        shared.export(given.pop("what"), to=tmp_path / "out", **given)
    assert not [path for path in tmp_path.rglob("*.*") if path.suffix in (".parquet", ".csv", ".lance")]


@pytest.mark.parametrize("to", ["ftp://host/folder", "s3://", "nothing://x"])
def test_addresses_that_cannot_be(shared, to):
    with pytest.raises(InputError):
        shared.export("users", to=to)


def test_a_manifest_of_a_stranger_removes_no_file_of_theirs(shared, tmp_path):
    shared.export("users", to=tmp_path / "out")
    path = tmp_path / "out" / "_manifest.json"
    (tmp_path / "kept.parquet").write_text("mine")
    facts = json.loads(path.read_text())
    del facts["manifest_sha256"]
    facts["items"][0]["files"][0]["file"] = "users/../../kept.parquet"
    path.write_text(json.dumps(facts))
    with pytest.raises(InputError, match="cannot be used"):
        shared.export("users", to=tmp_path / "out")
    assert (tmp_path / "kept.parquet").read_text() == "mine"


def test_people_erased_are_in_no_later_export(store, tmp_path):
    store.export(["users", "swipes"], to=tmp_path / "out")
    store.erase("u1")
    store.export(["users", "swipes"], to=tmp_path / "out", verify=True)
    for name in ("users", "swipes"):
        assert "'u1'" not in str(rows_in(tmp_path / "out", name))
    assert b"u1" not in b"".join(path.read_bytes() for path in (tmp_path / "out" / "users").iterdir())


STEPS = (
    pytest.param("photogenic.warehouse.export.folder:FolderWriter._write_files", marks=pytest.mark.thorough),
    "photogenic.warehouse.export.folder:FolderWriter.write",
    pytest.param("photogenic.warehouse.export.folder:FolderWriter._move", marks=pytest.mark.thorough),
    "photogenic.warehouse.export.manifest:Manifest.write",
    "photogenic.warehouse.filesystems.location:Location.remove",
)
"""Functions after which the process is killed."""

PROGRAM = """
import importlib, os, signal, sys
from photogenic import FeatureStore

module, _, name = sys.argv[3].partition(":")
kind, _, method = name.partition(".")
owner = getattr(importlib.import_module(module), kind)
original = getattr(owner, method)

def and_die(*args, **named):
    original(*args, **named)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, method, and_die)
FeatureStore(sys.argv[1]).export(["users", "like_ratios"], to=sys.argv[2])
"""


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_the_former_export_or_the_new_one_is_there_as_a_whole(store, tmp_path, step):
    out = tmp_path / "out"
    store.export(["users", "like_ratios"], to=out)
    old = {name: rows_in(out, name) for name in ("users", "like_ratios")}
    add_facts(store.database, users=[("new", "male", 1)], swipes=[("u1", "u2", True, 50)])
    build_labels(store.store)
    new = {name: rows_of(store, f"from {name}") for name in old}
    assert new["users"] != old["users"]
    command = [sys.executable, "-c", PROGRAM, str(store.layout.root), str(out), step]
    done = subprocess.run(command, check=False, capture_output=True, timeout=120, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert {name: rows_in(out, name) for name in old} in (old, new)
    store.export(["users", "like_ratios"], to=out, verify=True)
    assert {name: rows_in(out, name) for name in old} == new
    there = {path for path in out.rglob("*") if path.is_file()}
    assert there == {out / ".lock", out / "_manifest.json", *files(out, "users"), *files(out, "like_ratios")}


def test_two_exports_to_one_folder_take_turns(shared, tmp_path):
    with shared.progress.stage("test", 1, "x"):
        other = FeatureStore(shared.layout.root)
        errors = []

        def run(store, name):
            try:
                store.export(name, to=tmp_path)
            except LockedError as error:
                errors.append(error)

        threads = [threading.Thread(target=run, args=pair) for pair in ((shared, "users"), (other, "photos"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        other.close()
    done = set(listed(tmp_path))
    assert len(done) + len(errors) == 2
    for name in done:
        assert rows_in(tmp_path, name) == rows_of(shared, f"from {name}")


def test_all_items_are_of_one_snapshot(store, tmp_path, monkeypatch):
    from photogenic.warehouse.export.folder import FolderWriter

    original = FolderWriter.write

    def write(self, reader, target, options):
        done = original(self, reader, target, options)
        add_facts(FeatureStore(store.layout.root).database, users=[(f"late-{target.name}", "male", 1)])
        return done

    monkeypatch.setattr(FolderWriter, "write", write)
    done = store.export(["photos", "users"], to=tmp_path / "out")
    assert {one.name: one.n_rows for one in done} == {"photos": 12, "users": 6}
    assert os.fspath(tmp_path / "out") in done[0].address

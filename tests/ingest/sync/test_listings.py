"""Files, objects and tables of a lake: which of them are read again, and which are not."""

import os
import shutil
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from photogenic.ingest.tabular import load
from photogenic.ingest.tabular.mapping_file import mapping_of
from photogenic.warehouse.filesystems import open_location
from tests.ingest.sync.sync_store import SyncStore, outcomes

HEAD = "sender_id,recipient_id,liked,swiped_at\n"


def listing(folder, *given, **source):
    return SyncStore(folder, query=None, watermark=None, given=given, **source)


def write(path, text, age=60):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(time.time_ns() - int(age * 1e9),) * 2)


@pytest.fixture
def store(tmp_path):
    write(tmp_path / "log/1.csv", HEAD + "a,b,1,2024-01-01\n")
    return listing(tmp_path, str(tmp_path / "log/*.csv"))


def test_only_new_files_are_read(store, tmp_path):
    assert outcomes(store.sync()) == (1, 1, 0, 0, 0, 0)
    assert outcomes(store.sync()) == (0,) * 6
    write(tmp_path / "log/0.csv", HEAD + "a,c,1,2024-01-01\n")
    plan = store.sync(plan=True)
    assert (plan.n_objects, plan.n_bytes) == (1, len(HEAD) + 17)
    report = store.sync()
    assert outcomes(report) == (1, 1, 0, 0, 0, 0)
    assert (report.old_position, report.new_position) == ("1 object", "2 objects")


def test_a_file_with_more_rows_is_read_again_and_its_former_rows_are_known(store, tmp_path):
    store.sync()
    write(tmp_path / "log/1.csv", HEAD + "a,b,1,2024-01-01\na,c,1,2024-01-01\n")
    assert outcomes(store.sync()) == (2, 1, 0, 0, 1, 0)


def test_a_file_that_was_touched_is_not_loaded_again(tmp_path):
    users = listing(tmp_path, str(tmp_path / "users"), name="users", kind="users")
    for n, gender in ((1, "female"), (2, "male")):
        write(tmp_path / f"users/{n}.csv", f"user_id,gender\nu,{gender}\n")
    users.sync()
    write(tmp_path / "users/1.csv", "user_id,gender\nu,female\n", age=30)
    assert users.sync(plan=True).n_objects == 1
    assert outcomes(users.sync()) == (0,) * 6
    assert users.sync(plan=True).n_objects == 0
    assert users.rows("select gender from users") == [("male",)]


def test_a_file_that_returns_to_former_rows_is_loaded_again(tmp_path):
    users = listing(tmp_path, str(tmp_path / "users.csv"), name="users", kind="users")
    for age, gender in ((50, "female"), (40, "male"), (30, "female")):
        write(tmp_path / "users.csv", f"user_id,gender\nu,{gender}\n", age=age)
        users.sync()
        assert users.rows("select gender from users") == [(gender,)]


def test_swipes_that_return_to_former_rows_are_loaded_again(store, tmp_path):
    for age, liked in ((50, 0), (40, 1), (30, 0)):
        write(tmp_path / "log/1.csv", HEAD + f"a,b,{liked},2024-01-01\n", age=age)
        store.sync()
        assert store.rows("select liked from swipes") == [(bool(liked),)]


def test_a_file_that_was_written_a_moment_ago_is_looked_at_again(store, tmp_path):
    path = tmp_path / "log/1.csv"
    write(path, HEAD + "a,b,1,2024-01-01\n", age=0)
    store.sync()
    stat = path.stat()
    path.write_text(HEAD + "a,b,0,2024-01-01\n")
    os.utime(path, ns=(stat.st_mtime_ns,) * 2)  # the same size within the same tick of the clock
    time.sleep(max(0.0, stat.st_mtime + 2.1 - time.time()))
    assert outcomes(store.sync()) == (1, 0, 1, 0, 0, 0)
    assert outcomes(store.sync()) == (0,) * 6


def test_files_that_were_moved_away_are_said_and_a_name_that_never_was_is_an_error(store, tmp_path):
    store.sync()
    (tmp_path / "log/1.csv").unlink()
    report = store.sync()
    assert report.notes == (f"No file matches '{tmp_path}/log/*.csv'",)
    write(tmp_path / "log/2.csv", HEAD + "a,d,1,2024-01-01\n")
    assert outcomes(store.sync())[1] == 1
    other = listing(tmp_path, str(tmp_path / "lgo/*.csv"), name="other")
    assert other.try_sync().error.startswith("No file matches")


def test_another_mapping_is_refused_and_from_start_reads_all_with_it(store, tmp_path):
    store.sync()
    store.changed(mapping=mapping_of("swipes", {"sender_id": "recipient_id", "recipient_id": "sender_id"}))
    assert "mapping" in store.try_sync().error
    assert outcomes(store.sync(from_start=["swipes"])) == (1, 1, 0, 0, 0, 0)
    assert not store.try_sync().error


def test_more_globs_are_no_other_definition(store, tmp_path):
    store.sync()
    write(tmp_path / "more/1.csv", HEAD + "x,y,1,2024-01-01\n")
    store.changed(given=(*store.source.given, str(tmp_path / "more")))
    assert outcomes(store.sync()) == (1, 1, 0, 0, 0, 0)


def test_a_damaged_file_keeps_those_before_it_and_is_tried_again(store, tmp_path):
    write(tmp_path / "log/2.parquet", "PAR1 not at all")
    write(tmp_path / "log/3.csv", HEAD + "a,e,1,2024-01-01\n")
    store.changed(given=(str(tmp_path / "log"),))
    assert "2.parquet" in store.try_sync().error
    assert store.rows("select count(*) from swipes") == [(1,)]
    (tmp_path / "log/2.parquet").unlink()
    assert outcomes(store.sync()) == (1, 1, 0, 0, 0, 0)


def test_a_file_that_changes_while_it_is_read_leaves_no_row_and_no_position(store, tmp_path, monkeypatch):
    whole = load.add_events

    def changing(*given):
        write(tmp_path / "log/1.csv", HEAD + "a,b,1,2024-01-01\na,c,1,2024-01-01\n", age=5)
        return whole(*given)

    monkeypatch.setattr("photogenic.ingest.tabular.load.add_events", changing)
    assert "changed while it was read" in store.try_sync().error
    monkeypatch.undo()
    assert outcomes(store.sync()) == (2, 2, 0, 0, 0, 0)


def test_pictures_of_a_list_that_was_killed_before_them_are_taken_in_by_the_next_sync(tmp_path, monkeypatch):
    write(tmp_path / "photos.csv", "photo_id,user_id,path\np,u,p.jpg\n")
    Image.effect_noise((40, 40), 80).convert("RGB").save(tmp_path / "p.jpg")
    photos = listing(tmp_path, str(tmp_path / "photos.csv"), name="photos", kind="photos")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("photogenic.ingest.tabular.load.import_pictures", killed)
    with pytest.raises(KeyboardInterrupt):
        photos.sync()
    monkeypatch.undo()
    photos.sync()
    assert photos.rows("select status from photos") == [("ok",)]


def test_objects_are_read_once_and_again_when_they_change(tmp_path, bucket):
    table = pa.table({"sender_id": ["a"], "recipient_id": ["b"], "liked": [True], "swiped_at": ["2024-01-01"]})
    folder = open_location(f"{bucket.address}/swipes")

    def put(name, *senders):
        rows = pa.concat_tables([table.set_column(0, "sender_id", [[sender]]) for sender in senders])
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink)
        (folder / name).write_bytes(sink.getvalue().to_pybytes())

    put("1.parquet", "a")
    store = listing(tmp_path, f"{bucket.address}/swipes/*.parquet")
    assert outcomes(store.sync())[:2] == (1, 1)
    put("2.parquet", "b")
    put("1.parquet", "a", "c")
    assert outcomes(store.sync()) == (3, 2, 0, 0, 1, 0)
    assert outcomes(store.sync()) == (0,) * 6


def test_a_table_of_delta_lake_by_its_version(tmp_path):
    deltalake = pytest.importorskip("deltalake")

    def rows(*senders):
        n = len(senders)
        return pa.table(
            {
                "sender_id": list(senders),
                "recipient_id": ["b"] * n,
                "liked": [True] * n,
                "swiped_at": ["2024-01-01"] * n,
            }
        )

    path = str(tmp_path / "lake")
    deltalake.write_deltalake(path, rows("a", "b"))
    store = listing(tmp_path, path)
    assert outcomes(store.sync()) == (2, 2, 0, 0, 0, 0)
    assert outcomes(store.sync()) == (0,) * 6
    deltalake.write_deltalake(path, rows("c"), mode="append")
    assert store.sync(plan=True).n_objects == 1
    assert outcomes(store.sync()) == (1, 1, 0, 0, 0, 0)
    shutil.rmtree(path)
    assert store.try_sync().notes or store.try_sync().error

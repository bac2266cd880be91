"""A backup is one state of the store, also while the store changes, and if the backup is killed."""

import os
import random
import shutil
import threading

import numpy as np
import pytest

from photogenic import FeatureStore
from photogenic.features.search import index
from photogenic.maintenance.backup import backup
from photogenic.maintenance.backup.repository import Archive
from photogenic.maintenance.backup.restore import staging_of
from photogenic.warehouse import Database, Layout, Store
from tests.features.compute.killed import killed
from tests.features.toy import SETTINGS, clustered, put_vectors
from tests.maintenance.kept import IDS, answers, faults, files

pytestmark = pytest.mark.slow


def test_one_state_while_everything_is_replaced(store, other, tmp_path, monkeypatch):
    """Between the freeze and the copying of vectors, a writer adds a photo, its vector, a new index."""
    before = answers(store)
    true, done = backup.immutable_files, []

    def immutable_files(layout):
        if not done:
            done.append(True)
            with store.database.write("test") as con:
                con.execute("delete from facts.users where user_id = 'u-photo-001'")
            put_vectors(store.layout, "toy", [*IDS[2:], "newer"], clustered(np.random.default_rng(5), 23, 16, 4))
            index.build(Store(store.database), "toy")
        return true(layout)

    monkeypatch.setattr(backup, "immutable_files", immutable_files)
    store.backup(tmp_path / "kept")
    monkeypatch.undo()
    other.restore(tmp_path / "kept")
    assert answers(other) == before
    assert store.embeddings("toy")[0] != before[2]
    assert faults(other) == []


def test_one_state_while_a_process_writes_all_the_time(store, other, tmp_path):
    """Snapshot, vectors and index are of the same state."""
    stop = threading.Event()

    def write():
        layout = Layout(store.layout.root)
        db, n = Database(layout, SETTINGS), 0
        while not stop.is_set():
            n += 1
            ids = IDS[: 12 + n % 12]
            put_vectors(layout, "toy", ids, clustered(np.random.default_rng(n), len(ids), 16, 4))
            index.build(Store(db), "toy")
            with db.write("test") as con:
                con.execute("insert into facts.journals values ($1)", [str(n)])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(4):
            store.backup(tmp_path / "kept")
            place = FeatureStore(tmp_path / f"place-{n}", settings=SETTINGS)
            place.restore(tmp_path / "kept")
            assert faults(place) == []
            ids, X = place.embeddings("toy")
            assert len(ids) == len(X) in range(12, 25)
    finally:
        stop.set()
        writer.join()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("call", ["backup", "restore", "replace"])
def test_killed_before_any_change_of_a_file_it_continues(store, tmp_path, call):
    kills = 25 if os.environ.get("FAULTS_ALL") else 2
    store.backup(tmp_path / "kept")
    former = files(tmp_path / "kept", "lock")
    with store.database.write("test") as con:
        con.execute(
            "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
            " values ('new', null, null, null, timestamp '2024-05-01')"
        )
    expected = answers(store)
    if call != "backup":
        store.backup(tmp_path / "kept")

    def begin(root):
        shutil.copytree(tmp_path / "kept", root / "kept")
        if call != "restore":
            shutil.copytree(store.layout.root, root / "store")
        place = FeatureStore(root / "store", settings=SETTINGS)
        if call == "replace":
            with place.database.write("test") as con:
                con.execute(
                    "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
                    " values ('lost', null, null, null, timestamp '2024-05-01')"
                )
        return place

    calm = tmp_path / "calm"
    begin(calm)
    done = killed(0, call, calm / "store", calm / "kept")
    assert done.returncode == 0, done.stderr
    for moment in random.Random(kills).sample(range(2, int(done.stdout)), kills):
        root = tmp_path / str(moment)
        place = begin(root)
        was = answers(place) if call == "replace" else None
        assert killed(moment, call, root / "store", root / "kept").returncode == -9
        if call == "backup":
            held = Archive(root / "kept").read()
            assert all(Archive(root / "kept").path(one.sha256).exists() for one in held.files)
            place.backup(root / "kept")
            assert (
                files(root / "kept", "lock", "manifest.json").keys()
                == files(calm / "kept", "lock", "manifest.json").keys()
            )
            place = FeatureStore(root / "again", settings=SETTINGS)
            place.restore(root / "kept")
        else:
            if call == "restore":
                assert not place.layout.snapshot.exists() or answers(place) == expected
            else:
                assert answers(place) in (was, expected)
            if not place.layout.snapshot.exists() or call == "replace":
                place.restore(root / "kept", replace=call == "replace")
            assert not staging_of(place.layout.root).exists()
        assert answers(place) == expected
        assert faults(place) == []
        shutil.rmtree(root)
    assert former != files(calm / "kept", "lock")

"""Purge deleted photos: nothing of them is left, history stays, an index keeps its cells."""

import datetime as dt
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import faiss
import numpy as np
import polars as pl
import pytest

from photogenic import sql
from photogenic.features.search import index
from photogenic.features.search.index_files import Index
from photogenic.features.search.ivf import IvfIndex
from photogenic.features.search.ivf_update import kept_cells, update_ivf
from photogenic.features.vectors import reader
from photogenic.ingest.tabular.load import ingest
from photogenic.maintenance.erase.purge import finish_purge, purge
from photogenic.warehouse import Database, InputError, Layout, StoreError
from photogenic.warehouse.labels.build import build_labels
from tests.features.toy import SETTINGS
from tests.maintenance.kept import IDS, picture
from tests.scanner import found, patterns

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
GONE = ["photo-003", "photo-007"]
REST = [one for one in IDS if one not in GONE]


def delete(store, photo_ids, tmp_path, name="deleted.csv"):
    path = tmp_path / name
    rows = [f"{photo_id},u-{photo_id},true\n" for photo_id in photo_ids]
    path.write_text("photo_id,user_id,deleted\n" + "".join(rows))
    return ingest(store.store, "photos", [path])


def ask(store, query):
    with store.database.read() as con:
        return con.execute(query).fetchall()


def state(root):
    with Database(Layout(root), SETTINGS).read() as con:
        names = (*sql.RELATIONS, "deleted_photos", "photos", "neighbours", "main_photos")
        rows = {name: sorted(map(repr, con.execute(f"from {name}").fetchall())) for name in names}
    return rows | {"index": index.load(Layout(root), "toy").ids.to_list()}


def needles(store):
    ids, X = reader.read(store.layout, "toy")
    return {
        **{f"vector {n}": patterns(X[ids.index(n)]) for n in GONE},
        **{f"bytes {n}": [picture(n)] for n in GONE},
        **{f"digest {n}": [hashlib.sha256(picture(n)).hexdigest().encode()] for n in GONE},
    }


def test_nothing_is_left_of_the_photos_and_the_history_of_others_stays(store, tmp_path):
    sought = needles(store)
    assert all(found(store.layout.root, sought).values())
    audit = ask(store, "from swipe_audit order by all")
    like_ratios = ask(store, "select photo_id, n_swipes from like_ratios where time_window = 'every' order by 1")
    delete(store, GONE, tmp_path)
    build_labels(store.store)
    [receipt] = purge(store.store, GONE)
    assert not any(found(store.layout.root, sought).values())
    assert (receipt.people, len(receipt.photos)) == ((), 2)
    assert receipt.counts["pictures"] == receipt.counts["embeddings/toy"] == 2
    assert receipt.looked_at["indices"] == 1
    assert not any(name in json.dumps(receipt.counts) for name in GONE)
    assert index.load(store.layout, "toy").ids.to_list() == REST
    assert store.embeddings("toy")[0] == REST
    assert [photo_id for (photo_id,) in ask(store, "select photo_id from deleted_photos order by 1")] == GONE
    kept = ask(store, "select photo_id, n_swipes from like_ratios where time_window = 'every' order by 1")
    assert kept == like_ratios, "the swipes that they received stay"
    told = {reason: n for reason, n, *_ in audit}
    moved = sum(n for photo_id, n in like_ratios if photo_id in GONE)
    after = {reason: n for reason, n, *_ in ask(store, "from swipe_audit")}
    assert after["kept"] + moved == told["kept"]
    assert after["stale_photo"] == told.get("stale_photo", 0) + moved
    assert {n for (n,) in ask(store, "select photo_id from photo_labels")} <= {*REST}
    assert store.database.is_published()


def test_labels_after_a_purge_equal_a_full_build(store, tmp_path):
    delete(store, GONE, tmp_path)
    purge(store.store, GONE)
    before = ask(store, "select relation, checksum from facts.relation_state order by 1")
    build_labels(store.store, anew=True)
    assert ask(store, "select relation, checksum from facts.relation_state order by 1") == before


def test_neighbours_have_no_gap_and_equal_those_of_a_new_search(store, tmp_path):
    delete(store, GONE, tmp_path)
    purge(store.store, GONE)
    rows = ask(store, "select photo_id, rank, neighbour_id from neighbours order by 1, 2")
    assert len(rows) == 3 * len(REST)
    for photo_id in REST[:5]:
        near = store.similar(photo_id, k=3)["photo_id"].to_list()
        assert [neighbour for own, _, neighbour in rows if own == photo_id] == near


def test_a_purged_photo_does_not_come_back(store, tmp_path):
    delete(store, GONE, tmp_path)
    purge(store.store, GONE)
    path = tmp_path / "again.csv"
    path.write_text("photo_id,user_id,deleted\nphoto-003,u-photo-003,false\nnew,u-photo-003,\n")
    [report] = ingest(store.store, "photos", [path])
    assert (report.n_new, report.refused) == (1, {"erased": 1})
    assert purge(store.store, GONE) == []


def test_only_deleted_photos_are_purged(store, tmp_path):
    delete(store, GONE[:1], tmp_path)
    with pytest.raises(InputError, match=r"1 of 2 photos are not deleted: 'photo-007'"):
        purge(store.store, GONE)
    assert store.embeddings("toy")[0] == [one for one in IDS if one != GONE[0]]
    assert not store.layout.erase_journal.exists()
    assert index.load(store.layout, "toy").ids.to_list() == IDS


def test_bytes_that_another_photo_has_are_kept(store, tmp_path):
    sha256 = hashlib.sha256(picture(GONE[0])).hexdigest()
    with store.database.write("test") as con:
        con.execute(f"update facts.photo_files set sha256 = '{sha256}' where photo_id = 'photo-011'")
    delete(store, GONE, tmp_path)
    purge(store.store, GONE)
    assert store.layout.photo(sha256).exists()
    delete(store, ["photo-011"], tmp_path, "more.csv")
    purge(store.store, ["photo-011"])
    assert not store.layout.photo(sha256).exists()


def test_an_unknown_file_is_reported_and_the_purge_stays_unfinished(store, tmp_path):
    delete(store, GONE, tmp_path)
    note = store.layout.root / "notes.txt"
    note.write_text(hashlib.sha256(picture(GONE[0])).hexdigest())
    with pytest.raises(StoreError, match=r"The purge is not finished: remains of the photos .*notes\.txt"):
        purge(store.store, GONE)
    with pytest.raises(StoreError, match="was interrupted"):
        delete(store, ["photo-011"], tmp_path, "more.csv")
    note.unlink()
    [receipt] = finish_purge(store.store)
    assert len(receipt.photos) == 2
    assert finish_purge(store.store) == purge(store.store, GONE) == []


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_killed_before_any_change_of_a_file_the_result_is_the_same(store, tmp_path):
    delete(store, GONE, tmp_path)
    sought, n_moments = needles(store), 40 if os.environ.get("FAULTS_ALL") else 4

    def child(root, last):
        command = [sys.executable, "-m", "tests.maintenance.erase.erase_child", str(root), str(last), "purge", *GONE]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    calm = tmp_path / "calm"
    shutil.copytree(store.layout.root, calm)
    done = child(calm, 0)
    assert done.returncode == 0, done.stderr
    n, n_prepared = map(int, done.stdout.split())
    rng, after = random.Random(n_moments), state(calm)
    half = n_moments // 2
    for moment in rng.sample(range(1, n_prepared), half) + rng.sample(range(n_prepared, n), half):
        root = tmp_path / str(moment)
        shutil.copytree(store.layout.root, root)
        assert child(root, moment).returncode == -9
        assert child(root, 0).returncode == 0
        assert state(root) == after
        assert not any(found(root, sought).values())
        shutil.rmtree(root)


@pytest.mark.timeout(300)
def test_two_processes_at_once_purge_once(store, tmp_path):
    delete(store, GONE, tmp_path)
    command = [sys.executable, "-m", "tests.maintenance.erase.erase_child", str(store.layout.root), "0", "purge", *GONE]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    told = [process.communicate()[1].decode() for process in both]
    assert sorted(process.returncode for process in both) in ([0, 0], [0, 1]), told
    assert all("LockedError" in text for process, text in zip(both, told, strict=True) if process.returncode)
    assert len(list((store.layout.erased / "receipts").glob("*.json"))) == 1
    assert index.load(store.layout, "toy").ids.to_list() == REST


def test_search_and_labels_leave_out_a_deleted_photo_before_the_next_build(store, tmp_path):
    held = index.load(store.layout, "toy").manifest
    near = store.similar("photo-000", k=23)["photo_id"].to_list()
    assert {*GONE} <= {*near}
    delete(store, GONE, tmp_path)
    assert [one for one in near if one not in GONE] == store.similar("photo-000", k=21)["photo_id"].to_list()
    with pytest.raises(InputError, match="was deleted at"):
        store.similar(GONE[0], k=3)
    with pytest.raises(StoreError, match="was deleted"):
        store.embeddings("toy", GONE)
    assert not {*GONE} & {n for row in ask(store, "select photo_id, neighbour_id from neighbours") for n in row}
    assert index.build(store.store, "toy") == held, "the index is as it was"
    build_labels(store.store)
    assert not {*GONE} & {n for (n,) in ask(store, "select photo_id from photo_labels")}


def test_the_timeline_ends_where_the_photo_was_deleted(store, tmp_path):
    [(began,)] = ask(store, "select valid_from from photo_periods where photo_id = 'photo-003'")
    at = began + dt.timedelta(hours=5)
    path = tmp_path / "deleted.csv"
    path.write_text(f"photo_id,user_id,deleted_at\nphoto-003,u-photo-003,{at}\n")
    ingest(store.store, "photos", [path])
    build_labels(store.store)
    assert ask(store, "select valid_from, valid_to from photo_periods where photo_id = 'photo-003'") == [(began, at)]
    rows = ask(store, "select reason, valid_from from recipient_timeline where user_id = 'u-photo-003' order by 2")
    assert rows == [("stale_photo", began), ("photo_removed", at)]


def test_the_cells_of_an_ivf_index_are_kept_however_many_photos_go(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 16)).astype(np.float32)
    ids = pl.Series([f"p{n:05}" for n in range(2000)])
    trained = IvfIndex.train(X, "IVF16,SQ8")

    class Former(Index):
        ivf = trained

    told = SimpleNamespace(n_photos=2000, metric="l2", kind="IVF16,SQ8", n_trained=2000, n_drifted=0)
    former = Former(tmp_path, told, ids, X)
    cells = faiss.vector_to_array(faiss.downcast_index(trained.index.quantizer).codes).copy()
    left = np.flatnonzero(rng.random(2000) < 0.4)
    rest, Y = ids.gather(left), np.ascontiguousarray(X[left])
    kept = kept_cells(former, "IVF16,SQ8", "l2", rest, Y, drift=float("inf"))
    ivf, n_trained, n_drifted = update_ivf(kept, "IVF16,SQ8", rest, Y)
    assert (n_trained, n_drifted, int(ivf.index.ntotal)) == (2000, 2000 - len(left), len(left))
    assert np.array_equal(faiss.vector_to_array(faiss.downcast_index(ivf.index.quantizer).codes), cells)

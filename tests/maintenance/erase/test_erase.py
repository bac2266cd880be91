"""Erase people from a store without pictures: what is removed, what is kept, and the messages."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from photogenic import FeatureStore, sql
from photogenic.features.search import index
from photogenic.features.similarity.neighbours import update
from photogenic.ingest.tabular.load import ingest
from photogenic.maintenance.doctor.checks import examine
from photogenic.maintenance.erase.erase import erase
from photogenic.models.runs import run_store
from photogenic.warehouse import Database, InputError, Layout, LockedError, Store, StoreError
from photogenic.warehouse.erasure.tombstones import Tombstones, discard_if_erased
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.storage.lock import locked
from photogenic.warehouse.storage.manifest import load_with_digest
from tests.features.toy import SETTINGS, clustered, database, put_photos, put_vectors
from tests.scanner import found, patterns

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
IDS = [f"photo-{n:03}" for n in range(40)]
PERSON, PHOTO = "u-photo-007", "photo-007"
RATER = "s-3"
SWIPE = (
    "insert into facts.swipes (sender_id, recipient_id, liked, swiped_at, ingested_at)"
    " values ($1, 'u-photo-001', true, timestamp '2024-03-01', timestamp '2024-03-02')"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """40 people with a photo each, their labels, vectors and index; two of the photos have the same bytes."""
    folder = tmp_path_factory.mktemp("erase")
    db, rng = database(folder), np.random.default_rng(0)
    put_photos(
        db,
        pl.DataFrame(
            {
                "photo_id": IDS,
                "gender": ["female", "male"] * 20,
                "n_likes": rng.integers(0, 9, 40),
                "n_swipes": rng.integers(9, 20, 40),
            }
        ),
    )
    X = clustered(rng, 40, 16, 4)
    put_vectors(db.layout, "toy", IDS, X)
    index.build(Store(db), "toy")
    update(Store(db), ["toy"], 3)
    with db.write("test") as con:
        con.execute("update facts.photo_files set sha256 = md5('shared') where photo_id in ('photo-008', 'photo-009')")
        for (sha256,) in con.execute("select distinct sha256 from facts.photo_files").fetchall():
            path = db.layout.photo(sha256)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"picture {sha256}".encode())
            small = db.layout.thumbnails / "thumb" / sha256[:2] / f"{sha256}.jpg"
            small.parent.mkdir(parents=True, exist_ok=True)
            small.write_bytes(b"small")
    build_labels(Store(db))
    return db, X


@pytest.fixture
def db(made, tmp_path):
    shutil.copytree(made[0].layout.root, tmp_path / "store")
    return Database(Layout(tmp_path / "store"), SETTINGS)


def ask(db, query):
    with db.read() as con:
        return con.execute(query).fetchall()


def state(db):
    names = (*sql.RELATIONS, "users", "photos", "swipes", "neighbours", "main_photos")
    return {name: sorted(map(repr, ask(db, f"from {name}"))) for name in names}


def left(db, *texts):
    hits = found(db.layout.root, {text: [text.encode()] for text in texts})
    return {text: files for text, files in hits.items() if files}


def test_rows_vectors_and_bytes_are_removed_and_others_kept(db, made):
    [(sha256,)] = ask(db, f"select sha256 from photos where photo_id = '{PHOTO}'")
    needles = {"vector": patterns(made[1][7]), "id": [PERSON.encode()], "photo": [PHOTO.encode()]}
    assert all(found(db.layout.root, needles).values())
    [receipt] = erase(Store(db), [PERSON])
    assert not any(found(db.layout.root, needles).values())
    assert left(db, sha256) == {}
    assert not db.layout.photo(sha256).exists()
    assert {name for name, n in receipt.counts.items() if n} >= {
        "users",
        "photos",
        "swipes",
        "embeddings/toy",
        "pictures",
    }
    assert index.load(db.layout, "toy").ids.to_list() == [one for one in IDS if one != PHOTO]
    assert ask(db, "select count(*), count(distinct user_id) from photo_labels") == [(39, 39)]
    assert ask(db, "select count(*) from neighbours") == [(39 * 3,)], "the neighbors are computed again"
    assert len(list(db.layout.photos.glob("*/*.jpg"))) == len(list(db.layout.thumbnails.glob("*/*/*.jpg"))) == 38
    assert db.is_published()


def test_labels_equal_those_of_facts_without_the_person(db, made, tmp_path):
    shutil.copytree(made[0].layout.root, tmp_path / "plain")
    plain = Database(Layout(tmp_path / "plain"), SETTINGS)
    people = [PERSON, "u-photo-020", RATER]
    with plain.write("test") as con:
        for table, columns in {
            "users": ["user_id"],
            "photos": ["user_id"],
            "main_photos": ["user_id"],
            "swipes": ["sender_id", "recipient_id"],
        }.items():
            for column in columns:
                con.execute(f"delete from facts.{table} where {column} in (select unnest($1))", [people])
        con.execute("delete from facts.photo_files where photo_id in ('photo-007', 'photo-020')")
    build_labels(Store(plain), anew=True)
    erase(Store(db), people)
    ours, theirs = state(db), state(plain)
    ours.pop("neighbours"), theirs.pop("neighbours")
    assert ours == theirs
    report = build_labels(Store(db), anew=True)
    assert {built.name: built.checksum for built in report.relations} == dict(
        ask(plain, "select relation, checksum from facts.relation_state")
    )


def test_a_user_who_only_swiped(db):
    n = ask(db, f"select count(*) from swipes where sender_id = '{RATER}'")[0][0]
    before = ask(db, "select sum(n_swipes) from like_ratios where time_window = 'latest'")[0][0]
    [receipt] = erase(Store(db), [RATER])
    assert receipt.counts["swipes"] == n > 0
    assert before - ask(db, "select sum(n_swipes) from like_ratios where time_window = 'latest'")[0][0] == n
    assert left(db, f"{RATER}\0") == {}


def test_a_user_with_the_id_of_another_persons_photo(db):
    """Only swipes are erased: the photo of that id, its vector and its labels are those of somebody else."""
    with db.write("test") as con:
        con.execute(SWIPE, ["photo-020"])
    build_labels(Store(db))
    erase(Store(db), ["photo-020"])
    assert ask(db, "select count(*) from swipes where sender_id = 'photo-020'") == [(0,)]
    assert ask(db, "select user_id from photos where photo_id = 'photo-020'") == [("u-photo-020",)]
    assert ask(db, "select count(*) from neighbours where neighbour_id = 'photo-020' or photo_id = 'photo-020'") != [
        (0,)
    ]


def test_bytes_that_another_photo_has_are_kept(db):
    [(sha256,)] = ask(db, "select distinct sha256 from photos where photo_id = 'photo-008'")
    erase(Store(db), ["u-photo-008"])
    assert db.layout.photo(sha256).exists()
    assert ask(db, "select sha256 from photos where photo_id = 'photo-009'") == [(sha256,)]
    erase(Store(db), ["u-photo-009"])
    assert not db.layout.photo(sha256).exists()


def test_unknown_people_are_reported_by_position_and_nobody_is_erased(db):
    before = state(db)
    with pytest.raises(InputError, match="1 of 3 people named are not in the store: number 2") as error:
        erase(Store(db), [PERSON, "nobody-of-that-name", RATER])
    assert "nobody-of-that-name" not in str(error.value)
    assert state(db) == before
    assert not db.layout.erase_journal.exists()
    with pytest.raises(InputError, match="No user was named"):
        erase(Store(db))
    erase(Store(db), [PERSON])
    with pytest.raises(InputError, match="1 of these were erased before"):
        erase(Store(db), [PERSON])


def test_no_store_is_created(tmp_path):
    with pytest.raises(StoreError, match="There is no store"):
        FeatureStore(tmp_path / "none").erase(["a"])
    assert not (tmp_path / "none").exists()


def test_text_of_refused_rows_and_ids_in_paths_are_removed(db, tmp_path):
    path = tmp_path / f"of {PERSON}.csv"
    path.write_text(f"sender_id,recipient_id,liked,swiped_at\n{PERSON},b,perhaps,2024-01-01\nx,y,perhaps,2024-01-01\n")
    ingest(Store(db), "swipes", [path])
    erase(Store(db), [PERSON])
    rows = ask(db, "select reason, detail, raw is null, source from rejects order by line")
    assert rows == [
        ("bad_liked", None, True, str(tmp_path / "of (erased).csv")),
        ("bad_liked", "perhaps", False, str(tmp_path / "of (erased).csv")),
    ]
    assert left(db, PERSON) == {}


def test_a_user_known_only_from_a_refused_row(db, tmp_path):
    path = tmp_path / "given.csv"
    path.write_text("sender_id,recipient_id,liked,swiped_at\nonly-refused,b,perhaps,2024-01-01\n")
    ingest(Store(db), "swipes", [path])
    erase(Store(db), ["only-refused"])
    assert left(db, "only-refused") == {}


def test_former_versions_and_retractions_are_removed_and_those_of_others_kept(db, tmp_path):
    """An event that was corrected and then taken back by its id is in no table of events, and its ids must go too."""

    def give(kind, text, *, retract=False):
        path = tmp_path / f"{kind}-{len(text)}.csv"
        path.write_text(text)
        [report] = ingest(Store(db), kind, [path], retract=retract)
        return report

    swipes = "event_id,sender_id,recipient_id,liked,swiped_at\n"
    for liked in "01":
        rows = [
            f"by-person,{PERSON},u-photo-001",
            f"on-person,u-photo-001,{PERSON}",
            "of-others,u-photo-001,u-photo-002",
        ]
        give("swipes", swipes + "".join(f"{row},{liked},2024-03-05\n" for row in rows) + "\n" * int(liked))
    report = give("swipes", "event_id\nby-person\non-person\nof-others\n", retract=True)
    assert report.n_retracted == 3
    for photo in (PHOTO, "photo-006"):
        text = f"of-person-too,{PERSON},{photo},2024-03-05\nof-other-too,u-photo-006,photo-006,2024-03-06\n"
        give("main_photos", "event_id,user_id,photo_id,set_at\n" + text + "\n" * (photo != PHOTO))
    give("main_photos", "event_id\nof-person-too\nof-other-too\n", retract=True)
    assert ask(db, "select count(*) from facts.replaced_swipes") == [(6,)]
    gone = (PERSON, "by-person", "on-person", "of-person-too")
    assert {*left(db, *gone, "of-others", "of-other-too")} == {*gone, "of-others", "of-other-too"}
    erase(Store(db), [PERSON])
    assert left(db, *gone) == {}
    assert ask(db, "select event_id, liked from facts.replaced_swipes order by 2") == [
        ("of-others", False),
        ("of-others", True),
    ]
    for kind, own in (("swipes", "of-others"), ("main_photos", "of-other-too")):
        assert ask(db, f"select event_id from facts.retracted_{kind}") == [(own,)]
        assert {event for (event,) in ask(db, f"select event_id from facts.replaced_{kind}")} == {own}
    report = build_labels(Store(db), anew=False)
    checksums = ask(db, "select relation, checksum from facts.relation_state order by 1")
    build_labels(Store(db), anew=True)
    assert ask(db, "select relation, checksum from facts.relation_state order by 1") == checksums


@pytest.mark.parametrize("word", ["%", "a.b|c", "it's", "Grüße 17", 'say "hi"', "back\\slash"])
def test_ids_of_any_spelling(db, word):
    with db.write("test") as con:
        con.execute(SWIPE, [word])
    [receipt] = erase(Store(db), [word])
    assert receipt.counts["swipes"] == 1
    assert Tombstones(db.layout).contains("user", word)


def test_an_id_inside_another_id_is_not_removed(db):
    with db.write("test") as con:
        for sender in ("person-1", "person-12"):
            con.execute(SWIPE, [sender])
    [receipt] = erase(Store(db), ["person-1"])
    assert ask(db, "select sender_id from swipes where sender_id like 'person%'") == [("person-12",)]
    assert receipt.looked_at["ids_sought_in_columns_only"] == 1


def test_heads_trained_on_erased_people_are_marked(db):
    with db.write("test") as con:
        for run_id, splits in {"a": ("train", "test"), "b": ("test", "train"), "c": ("dev", None)}.items():
            con.execute(
                "insert into facts.runs values ($1, 'popular', 'all', 'toy', 'ridge', 'mse', 1, 1, 1, 9, 9, '{}', '{}',"
                " timestamp '2024-06-01', null, 'trained')",
                [run_id],
            )
            for photo_id, split in zip(("photo-007", "photo-030"), splits, strict=True):
                con.execute("insert into facts.predictions values ($1, $2, $3, 0.5)", [run_id, photo_id, split])
        folder = db.layout.models / "a"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"results": {"kept": 1}}))
        (db.layout.models / "unfinished").mkdir()
        con.execute("delete from facts.swipes where sender_id = 'u-photo-007'")
    [receipt] = erase(Store(db), [PERSON])
    assert receipt.runs == {"a": 1, "c": 1}
    assert ask(db, "select run_id, results->>'trained_on_erased' from runs order by 1") == [
        ("a", "1"),
        ("b", None),
        ("c", "1"),
    ]
    assert load_with_digest((folder / "manifest.json").read_bytes()) == {"results": {"kept": 1, "trained_on_erased": 1}}
    assert not (db.layout.models / "unfinished").exists()
    assert ask(db, "select count(*) from predictions") == [(3,)]
    [receipt] = erase(Store(db), ["u-photo-030"])
    assert receipt.runs == {"b": 1}


def test_a_training_that_ends_after_the_erase_restores_no_data(db):
    run = run_store.Run(
        *("r", "popular", "all", "toy", "ridge", "mse", 0.1, 0.1, 0.2, 1, 1, 1, 16, "fc", "identity", {}, "", {}, {}),
        created_at="2024-06-01T00:00:00",
    )
    said = pl.DataFrame({"run_id": "r", "photo_id": [PHOTO, "photo-001"], "split": "train", "prediction": 0.5})
    erase(Store(db), [PERSON])
    run_store.record(db, [run], said)
    run_store.keep(db, pl.DataFrame({"run_id": "s", "photo_id": [PHOTO], "prediction": 0.5}))
    assert ask(db, "select run_id, photo_id from predictions") == [("r", "photo-001")]
    assert ask(db, "select results->>'trained_on_erased' from runs") == [("1",)]


def test_files_made_without_the_lock_are_removed_after_an_erase(db, tmp_path):
    path = db.layout.reports / "report.html"

    def write():
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"of {PERSON}")

    with discard_if_erased(db.layout, path):
        write()
    assert path.exists()
    with pytest.raises(StoreError, match="People were erased"), discard_if_erased(db.layout, path):
        erase(Store(db), [PERSON])
        write()
    assert not path.exists()


def test_nothing_is_erased_during_a_download(db):
    with locked(db.layout.fetch / "lock", "fetch", 0), pytest.raises(LockedError):
        erase(Store(db), [PERSON])
    assert ask(db, f"select count(*) from users where user_id = '{PERSON}'") == [(1,)]


def test_an_unknown_file_is_reported_and_the_erase_stays_unfinished(db):
    note = db.layout.root / "notes.txt"
    note.write_text(f"ask {PERSON} about it")
    with pytest.raises(StoreError, match=r"notes\.txt"):
        erase(Store(db), [PERSON])
    for write in (lambda: build_labels(Store(db)), lambda: ingest(Store(db), "users", [note.with_name("lock")])):
        with pytest.raises((StoreError, InputError)):
            write()
    [finding] = [one for one in examine(Store(db)) if one.check == "erase"]
    assert (finding.state, finding.remedy) == ("fault", f"features erase --yes --store {db.layout.root}")
    note.unlink()
    [receipt] = erase(Store(db))
    assert len(receipt.people) == 1
    assert [one for one in examine(Store(db)) if one.check == "erase"] == []
    build_labels(Store(db))


@pytest.mark.parametrize(
    ("omitted", "answer", "found_by"),
    [
        ("delete_rows", {}, r"snapshot .*user_id"),
        ("purge", 0, r"parquet column photo_id: 1"),
        ("_indexed", [], r"index of toy: 1"),
        ("merge_journals", None, r"fetch.*ndjson"),
    ],
)
def test_verification_is_independent_of_the_removal(db, monkeypatch, omitted, answer, found_by):
    """Each of the four searches finds what was not removed."""
    module = "erase" if omitted == "merge_journals" else "staged_store"
    monkeypatch.setattr(f"photogenic.maintenance.erase.{module}.{omitted}", lambda *_: answer)
    if omitted == "merge_journals":
        db.layout.fetch.mkdir()
        (db.layout.fetch / "left.ndjson").write_text(json.dumps({"photo_id": PHOTO}))
    with pytest.raises(StoreError, match=found_by):
        erase(Store(db), [PERSON])
    assert list(db.layout.erased.glob("receipts/*")) == []


@pytest.mark.timeout(900)
def test_killed_before_any_change_of_a_file_the_result_is_the_same(db, tmp_path):
    kills = 40 if os.environ.get("FAULTS_ALL") else 4

    def child(store, last, *people):
        command = [sys.executable, "-m", "tests.maintenance.erase.erase_child", str(store), str(last), "erase", *people]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    calm = Database(Layout(tmp_path / "calm"), SETTINGS)
    shutil.copytree(db.layout.root, calm.layout.root)
    done = child(calm.layout.root, 0, PERSON)
    assert done.returncode == 0, done.stderr
    n, n_prepared = map(int, done.stdout.split())
    rng, before, after = random.Random(kills), state(db), state(calm)
    moments = rng.sample(range(1, n_prepared), kills // 2) + rng.sample(range(n_prepared, n), kills - kills // 2)
    for moment in moments:
        root = tmp_path / str(moment)
        shutil.copytree(db.layout.root, root)
        shaken = Database(Layout(root), SETTINGS)
        assert child(root, moment, PERSON).returncode == -9
        assert state(shaken) in (before, after)
        cut_off = shaken.layout.erase_journal.exists()
        if cut_off:
            with pytest.raises(StoreError, match="was interrupted"):
                build_labels(Store(shaken))
        if cut_off or state(shaken) == before:
            assert child(root, 0, *([] if cut_off else [PERSON])).returncode == 0
        assert state(shaken) == after
        assert left(shaken, PERSON, PHOTO) == {}
        assert index.load(shaken.layout, "toy").ids.to_list() == index.load(calm.layout, "toy").ids.to_list()
        files = {p.relative_to(root) for p in root.rglob("*") if "receipts" not in p.parts}
        assert files == {
            p.relative_to(calm.layout.root) for p in calm.layout.root.rglob("*") if "receipts" not in p.parts
        }
        shutil.rmtree(root)

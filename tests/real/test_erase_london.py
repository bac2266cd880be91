"""Five people of the london data set are erased; a scanner that does not know the store's layout finds no traces.

In another copy of that store, photos are purged whose people stay.
"""

import asyncio
import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from photogenic import FeatureStore, sql
from photogenic.app.serve.pages.thumbnails import Pictures
from photogenic.features.search import index
from photogenic.features.similarity.perceptual_hash import photo_hashes
from photogenic.models.runs import run_store
from tests.models.planted import train
from tests.scanner import found, patterns

FACES = ["face-001", "face-041", "face-097"]
RATERS = ["L1294", "L1326"]
PEOPLE = [*FACES, *RATERS]
ENCODERS = ["efficientnet_lite0", "dlib_face"]


def make(folder, data):
    """Put into a store the london data set with everything that can be computed from it, and a refused row."""
    folder.mkdir()
    broken = folder / "broken.csv"
    broken.write_text("sender_id,recipient_id,liked,swiped_at\nL1294,face-002,perhaps,2024-03-01\n")
    with FeatureStore(folder / "store") as store:
        store.ingest_users(data / "london" / "users.csv")
        store.ingest_photos(data / "london" / "photos.csv")
        store.ingest_swipes(data / "london" / "swipes.csv", broken)
        store.build(neighbours=5, near_duplicates=True, flip=True)
        train(store, target="like_ratio", encoders=["dlib_face"], heads=["ridge", "kernel"], setup="one_face")
        store.report()
        with ThreadPoolExecutor() as pool:
            pictures = Pictures(store.layout, pool)
            for (sha256,) in store.sql("select sha256 from photos").rows():
                assert asyncio.run(pictures.of(sha256, "thumb"))


@pytest.fixture(scope="module")
def everything(data, tmp_path_factory):
    """A function that returns a store of its own with everything that can be computed from the london data set."""
    folder = tmp_path_factory.mktemp("london") / "made"
    make(folder, data)

    def copied(root):
        shutil.copytree(folder / "store", root)
        return FeatureStore(root)

    return copied


@pytest.fixture(scope="module")
def london(everything, tmp_path_factory):
    with everything(tmp_path_factory.mktemp("erased") / "store") as store:
        yield store


def needles_of(store, people):
    """Return everything by which these people could be recognized."""
    photos = store.sql("select * from photos order by photo_id").filter(pl.col("user_id").is_in(people))
    photos = photos.select("photo_id", "sha256")
    return {f"id {one}": [one.encode()] for one in [*people, *photos["photo_id"]]} | needles_of_photos(store, photos)


def needles_of_photos(store, photos):
    """Return everything by which these photos could be recognized, besides their ids."""
    needles = {}
    for photo_id, sha256 in photos.select("photo_id", "sha256").iter_rows():
        data = store.layout.photo(sha256).read_bytes()
        assert hashlib.sha256(data).hexdigest() == sha256
        needles[f"digest of {photo_id}"] = [sha256.encode(), bytes.fromhex(sha256)]
        needles[f"bytes of {photo_id}"] = [data, data[len(data) // 2 :][:512]]
    kernels = store.sql("select run_id from runs where head = 'kernel'")["run_id"]
    heads = [run_store.load(store.layout, run_id) for run_id in kernels if run_store.finished(store.layout, run_id)]
    for encoder in ENCODERS:
        for flip in (False, True):
            ids, X = store.embeddings(encoder, flip=flip)
            for photo_id in set(ids) & set(photos["photo_id"]):
                vector = X[ids.index(photo_id)]
                needles[f"{encoder} of {photo_id}, {flip}"] = patterns(vector)
    ids, X = store.embeddings("dlib_face")
    for _, model in heads:
        own = (X - model.arrays["mean"]) / model.arrays["scale"]
        held = {row.tobytes() for row in model.arrays["support"]}
        for photo_id in set(ids) & set(photos["photo_id"]):
            if own[ids.index(photo_id)].astype(np.float32).tobytes() in held:
                needles[f"support {photo_id}"] = [own[ids.index(photo_id)].astype(np.float32).tobytes()]
    return needles


def test_no_trace_of_five_people_is_found_in_the_store(london, data, tmp_path):
    needles = needles_of(london, PEOPLE)
    others = needles_of(london, ["face-002"])
    before = found(london.layout.root, needles)
    assert [name for name, files in before.items() if not files] == [], "the scanner must find each of them"
    assert any(name.startswith("support") for name in needles), "a head must hold a vector of these people"
    assert {"reports/report.html", "snapshot.duckdb", "warehouse.duckdb"} <= set().union(*before.values())
    assert any(file.startswith("thumbnails/") for file in set().union(*before.values()))

    (receipt,) = london.erase(PEOPLE)

    after = found(london.layout.root, needles)
    assert {name: files for name, files in after.items() if files} == {}
    rest = found(london.layout.root, others)
    assert [n for n, files in rest.items() if not files and not n.startswith("support")] == [], "other people remain"
    assert receipt.counts["photos"] == 6
    assert receipt.counts["swipes"] == 237_048 - london.sql("select count(*) from swipes").item()
    told = (london.layout.erased / "receipts" / f"{receipt.erase_id}.json").read_text()
    assert not any(one in told for one in PEOPLE)


def test_labels_equal_those_of_facts_without_these_people(london, data, tmp_path):
    """Compare with another store, into which the files were ingested without their lines."""
    with FeatureStore(tmp_path / "store") as fresh:
        names = {"users": ["user_id"], "photos": ["user_id"], "swipes": ["sender_id", "recipient_id"]}
        for kind, columns in names.items():
            rows = pl.read_csv(data / "london" / f"{kind}.csv", infer_schema=False)
            for column in columns:
                rows = rows.filter(~pl.col(column).is_in(PEOPLE))
            rows.write_csv(tmp_path / f"{kind}.csv")
            options = {"images": data / "london"} if kind == "photos" else {}
            getattr(fresh, f"ingest_{kind}")(tmp_path / f"{kind}.csv", **options)
        fresh.build(neighbours=5, near_duplicates=True, flip=True)
        for name in (*sql.RELATIONS, "faces", "neighbours", "near_duplicates"):
            assert sorted(map(repr, london.sql(f"from {name}").rows())) == sorted(
                map(repr, fresh.sql(f"from {name}").rows())
            ), name
        for encoder in ENCODERS:
            assert london.embeddings(encoder)[0] == fresh.embeddings(encoder)[0]


def test_ingesting_their_files_again_does_not_restore_them(london, data):
    n = london.sql("select count(*) from swipes").item()
    lines = (data / "london" / "swipes.csv").read_text().splitlines()
    again = london.layout.root.parent / "again.csv"
    again.write_text("\n".join([lines[0], *(line for line in lines if line.startswith(tuple(PEOPLE)))]) + "\n")
    (account,) = london.ingest_swipes(again)
    assert account.n_new == 0
    assert account.refused == {"erased": account.n_read}
    assert london.sql("select count(*) from swipes").item() == n
    assert found(london.layout.root, {one: [one.encode()] for one in PEOPLE}) == {one: set() for one in PEOPLE}


@pytest.mark.thorough
def test_no_trace_of_purged_photos_is_found_but_their_ids(everything, tmp_path):
    with everything(tmp_path / "store") as store:
        photos = store.sql("select photo_id, sha256, user_id from photos order by photo_id")
        gone = photos.filter(pl.col("user_id").is_in(FACES))
        needles = needles_of_photos(store, gone)
        others = needles_of_photos(store, photos.filter(pl.col("user_id") == "face-002"))
        prints = photo_hashes(store).join(gone, on="sha256")
        for sha256, *values in prints.select("sha256", "hash", "mirror").iter_rows():
            needles |= {f"print {n} of {sha256}": [value] for n, value in enumerate(values) if value is not None}
        assert any(name.startswith("print") for name in needles)
        assert any(name.startswith("support") for name in needles), "a head must hold a vector of these photos"
        before = found(store.layout.root, needles)
        assert [name for name, files in before.items() if not files] == [], "the scanner must find each of them"
        places = {file.partition("/")[0] for files in before.values() for file in files}
        assert places >= {"photos", "thumbnails", "embeddings", "faces", "hashes", "indices", "snapshot.duckdb"}
        like_ratios = store.sql("select * from like_ratios where time_window = 'every' order by photo_id")
        path = tmp_path / "gone.csv"
        gone.select("photo_id").write_csv(path)

        (_,), (receipt,) = store.purge(path)

        after = found(store.layout.root, needles)
        assert {name: files for name, files in after.items() if files} == {}
        rest = found(store.layout.root, others)
        assert [n for n, files in rest.items() if not files and not n.startswith("support")] == [], "others remain"
        assert (len(receipt.photos), receipt.people, receipt.counts["pictures"]) == (len(gone), (), len(gone))
        assert not (store.layout.reports / "report.html").exists()
        ids = "({})".format(", ".join(f"'{photo_id}'" for photo_id in gone["photo_id"]))
        for relation in ("faces", "neighbours", "near_duplicates", "predictions", "photo_labels", "photos"):
            assert store.sql(f"select count(*) from {relation} where photo_id in {ids}").item() == 0, relation
        assert store.sql(f"select count(*) from neighbours where neighbour_id in {ids}").item() == 0
        for encoder in ENCODERS:
            for flip in (False, True):
                assert not {*store.embeddings(encoder, flip=flip)[0]} & {*gone["photo_id"]}
            assert not {*index.load(store.layout, encoder).ids} & {*gone["photo_id"]}
        kept = store.sql("select * from like_ratios where time_window = 'every' order by photo_id")
        assert kept.equals(like_ratios), "the swipes that they received stay"
        told = (store.layout.erased / "receipts" / f"{receipt.erase_id}.json").read_text()
        assert not any(photo_id in told for photo_id in gone["photo_id"])

"""Five people of the london data set are erased; a scanner that does not know the store's layout finds no traces."""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from photogenic import FeatureStore, sql
from photogenic.app.serve.pages.thumbnails import Pictures
from photogenic.models.runs import run_store
from tests.models.planted import train
from tests.scanner import found, patterns

FACES = ["face-001", "face-041", "face-097"]
RATERS = ["L1294", "L1326"]
PEOPLE = [*FACES, *RATERS]
ENCODERS = ["efficientnet_lite0", "dlib_face"]


@pytest.fixture(scope="module")
def london(data, tmp_path_factory):
    """The london data set with everything that can be computed from it, and a file with a refused row."""
    folder = tmp_path_factory.mktemp("london")
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
        yield store


def needles_of(store, people):
    """Return everything by which these people could be recognized."""
    photos = store.sql("select * from photos order by photo_id").filter(pl.col("user_id").is_in(people))
    photos = photos.select("photo_id", "sha256")
    needles = {f"id {one}": [one.encode()] for one in [*people, *photos["photo_id"]]}
    for photo_id, sha256 in photos.iter_rows():
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

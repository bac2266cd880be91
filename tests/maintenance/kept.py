"""A small store with everything that a backup must contain, and functions that compare stores."""

import hashlib
import json

import numpy as np
import polars as pl

from photogenic import sql
from photogenic.features.search import index
from photogenic.features.similarity.neighbours import update
from photogenic.ingest.journal.journal import Journal
from photogenic.maintenance.doctor.checks import examine
from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.storage.layout import write_atomically
from tests.features.toy import clustered, database, put_photos, put_vectors

IDS = [f"photo-{n:03}" for n in range(24)]
PERSON, PHOTO = "u-photo-007", "photo-007"


def picture(photo_id):
    return f"picture {photo_id}".encode()


def make(folder):
    """24 people with a photo each, labels, vectors, index, a run, a report, a journal that is not merged."""
    db, rng = database(folder), np.random.default_rng(0)
    put_photos(
        db,
        pl.DataFrame(
            {
                "photo_id": IDS,
                "gender": ["female", "male"] * 12,
                "n_likes": rng.integers(0, 9, 24),
                "n_swipes": rng.integers(9, 20, 24),
            }
        ),
    )
    put_vectors(db.layout, "toy", IDS, clustered(rng, 24, 16, 4))
    index.build(Store(db), "toy")
    update(Store(db), ["toy"], 3)
    with db.write("test") as con:
        for photo_id in IDS:
            data = picture(photo_id)
            sha256 = hashlib.sha256(data).hexdigest()
            con.execute("update facts.photo_files set sha256 = $1 where photo_id = $2", [sha256, photo_id])
            write_atomically(db.layout.photo(sha256), data)
    build_labels(Store(db))
    weights = b"weights"
    write_atomically(db.layout.models / "run-1" / "weights.safetensors", weights)
    facts = {"weights_sha256": hashlib.sha256(weights).hexdigest(), "results": {}}
    write_atomically(db.layout.models / "run-1" / "manifest.json", json.dumps(facts).encode())
    write_atomically(db.layout.models / "run-1" / "tensorboard" / "events", b"events")
    write_atomically(db.layout.models / "run-2" / "checkpoint" / "state.safetensors", b"on its way")
    write_atomically(db.layout.reports / "pictures" / "one.png", b"PNG")
    write_atomically(db.layout.thumbnails / "thumb" / "ab" / "x.jpg", b"small")
    write_atomically(db.layout.root / "demo" / "world" / "users.csv", b"user_id\n")
    extra = b"downloaded, not merged"
    sha256 = hashlib.sha256(extra).hexdigest()
    write_atomically(db.layout.photo(sha256), extra)
    journal = Journal(db.layout.fetch)
    journal.append({"photo_id": "photo-999", "sha256": sha256})
    journal.close()
    return db


def answers(store):
    names = (*sql.RELATIONS, *sql.VIEWS)
    with store.database.read() as con:
        there = {name for (name,) in con.execute("select table_name from information_schema.tables").fetchall()}
        told = {name: sorted(map(repr, con.execute(f"from {name}").fetchall())) for name in names if name in there}
    near = [store.similar(photo_id, k=3)["photo_id"].to_list() for photo_id in IDS[10:13]]
    ids, X = store.embeddings("toy")
    return told, near, ids, X.tobytes()


def files(root, *without):
    """path -> bytes of every file, without those whose path has a part of that name."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {*path.relative_to(root).parts} & set(without)
    }


def faults(store):
    """Faults of the store, without those of this machine and of test data that is not a picture."""
    return [one for one in examine(Store(store.database), thorough=True) if one.state == "fault"]

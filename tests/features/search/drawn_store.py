"""A store of 300 drawn photos, made without pictures, on whose neighbors all doors are compared.

Owners have up to 8 photos, genders and followers or none; photos have a label from swipes, from posts, from both or
none; some have no vector, and some vectors are of photos that left the store. Among the four encoders one has whole
numbers, among which many distances are equal, one has vectors of no length, and the name of one is no name in SQL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from photogenic.features.search import index
from photogenic.warehouse import Database, Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from tests.features.search.oracle import Photos
from tests.features.toy import clustered, database, put_vectors

__all__ = ["ENCODERS", "make_store", "photos_of"]

N = 300
ENCODERS = {"toy_l2": "l2", "toy_cosine": "cosine", "whole": "l2", "Toy:two-words.1": "cosine"}
GONE = 12
"""Photos with vectors that left the store after the index was made."""


def make_store(root: Path, seed: int = 5) -> Database:
    """Make the store in `root`/store."""
    rng = np.random.default_rng(seed)
    db = database(root)
    users, photos = _drawn(rng)
    _put(db, users, photos)
    build_labels(Store(db), options=LabelOptions(window="every"))
    names = photos["photo_id"].to_list()
    for number, (encoder, metric) in enumerate(ENCODERS.items()):
        X = _vectors(rng, encoder)
        held = [row for row in range(N) if (row * 7 + number) % 11]
        put_vectors(db.layout, encoder, [names[row] for row in held], X[held], metric=metric)  # type: ignore[arg-type]
        index.build(Store(db), encoder)
    gone = photos["photo_id"].sample(GONE, seed=seed).to_list()
    with db.write("test") as con:
        con.execute("delete from facts.photos where photo_id in (select unnest($1))", [gone])
    return db


def photos_of(db: Database, encoder: str) -> Photos:
    """Read what the oracle needs: vectors as stored, and labels as published."""
    from photogenic.features.vectors.reader import read_living

    ids, X = read_living(db, encoder, None, False)
    with db.read() as con:
        rows = con.sql(Path(__file__).with_name("labels.sql").read_text()).pl().to_dicts()
    labels: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        labels.setdefault(row["photo_id"], []).append(row)
    there = [at for at, photo_id in enumerate(ids) if photo_id in labels and labels[photo_id][0]["is_there"]]
    return Photos(
        encoder,
        [ids[at] for at in there],
        X[there].astype(np.float64),
        ENCODERS[encoder],
        labels,
        is_whole=encoder == "whole",
    )


def _vectors(rng: np.random.Generator, encoder: str) -> np.ndarray:
    if encoder == "whole":
        return rng.integers(0, 3, (N, 4)).astype(np.float32)
    X = clustered(rng, N, 24, 15) * rng.uniform(1, 3, (N, 1)).astype(np.float32)
    X[9::10] = X[8::10]
    if encoder == "toy_cosine":
        X[5::60] = 0
    return X


def _drawn(rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    owners, photos = [], []
    while len(photos) < N:
        n, user = len(owners), f"u{len(owners):03d}"
        followers = None if n % 6 == 5 else int(10 ** rng.uniform(1, 5))
        owners.append((user, (None, "female", "male", "female", "male", "other")[n % 6], followers))
        for place in range(min(int(rng.integers(1, 9)), N - len(photos))):
            n_swipes = int(rng.choice([0, 1, 2, 5, 30]))
            likes = int(rng.integers(1, 9000)) if rng.random() < 0.3 else None
            photos.append((user, place, n_swipes, int(rng.integers(0, n_swipes + 1)), likes))
    names = [f"p{at:03d}" for at in rng.permutation(N)]
    users = pl.DataFrame(owners, ["user_id", "gender", "followers"], orient="row")
    columns = ["user_id", "place", "n_swipes", "n_likes", "likes"]
    return users, pl.DataFrame(photos, columns, orient="row").with_columns(photo_id=pl.Series(names))


def _put(db: Database, users: pl.DataFrame, photos: pl.DataFrame) -> None:
    at = "timestamp '2024-01-01'"
    with db.write("test") as con:
        con.register("owners", users)
        con.register("given", photos)
        con.execute(
            "insert into facts.users (user_id, gender, followers, ingested_at)"
            f" select user_id, gender, followers, {at} from owners"
        )
        con.execute(
            "insert into facts.photos (photo_id, user_id, path, posted_at, likes, ingested_at)"
            f" select photo_id, user_id, photo_id || '.jpg', timestamp '2023-05-01', likes, {at} from given"
        )
        con.execute(
            "insert into facts.photo_files"
            f" select photo_id, md5(photo_id), 300 + n_swipes, 400, 9, 'ok', null, {at} from given"
        )
        con.execute(
            "insert into facts.main_photos (user_id, photo_id, set_at, ingested_at)"
            f" select user_id, photo_id, {at} + place * interval 2 day, {at} from given"
        )
        con.execute(
            "insert into facts.swipes (sender_id, recipient_id, liked, swiped_at, ingested_at)"
            " select 's-' || photo_id || '-' || i, user_id, i < n_likes,"
            f" {at} + place * interval 2 day + interval 1 hour, {at}"
            " from (select *, unnest(range(n_swipes)) as i from given)"
        )
        con.unregister("given")
        con.unregister("owners")

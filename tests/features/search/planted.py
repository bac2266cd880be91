"""A store of owners with several photos each, labels of swipes, unknown genders, followers, and equal vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from photogenic.features.search import index
from photogenic.warehouse import Database, Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from tests.features.toy import clustered, database, put_vectors

N, DIM, OWNERS = 240, 10, 40
AT = "timestamp '2024-01-01'"


def photo_id(row: int) -> str:
    return f"p{row:04d}"


def planted(folder: Path, seed: int = 0) -> tuple[Database, np.ndarray]:
    """Photo i is the main photo of owner i % 40 for a day from day i // 40 on; some received no swipe.

    Every tenth photo has the vector of the one before. Owner 0 owns many photos more, which are all alike.
    """
    rng = np.random.default_rng(seed)
    X = clustered(rng, N, DIM, 8) * rng.uniform(1, 2, (N, 1)).astype(np.float32)
    X[9::10] = X[8::10]
    owners = np.where(np.arange(N) >= 200, 0, np.arange(N) % OWNERS)
    X[200:] = X[200] + rng.normal(size=(40, DIM)).astype(np.float32) * 1e-3
    n_swipes = np.where(np.arange(N) % 7 == 0, 0, rng.integers(1, 12, N))
    photos = pl.DataFrame(
        {
            "photo_id": [photo_id(row) for row in range(N)],
            "user_id": [f"o{owner}" for owner in owners],
            "day": np.arange(N) // OWNERS if OWNERS else 0,
            "n_swipes": n_swipes,
            "n_likes": rng.integers(0, n_swipes + 1),
        }
    ).with_columns(day=pl.when(pl.col("user_id") == "o0").then(pl.int_range(pl.len())).otherwise(pl.col("day")))
    users = pl.DataFrame(
        {
            "user_id": [f"o{owner}" for owner in range(OWNERS)],
            "gender": [("female", "male", None)[owner % 3] for owner in range(OWNERS)],
            "followers": [None if owner % 5 == 0 else owner * 10 for owner in range(OWNERS)],
        }
    )
    db = database(folder)
    with db.write("test") as con:
        con.register("given", photos)
        con.register("owners", users)
        con.execute(
            "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
            f" select user_id, gender, followers, null, {AT} from owners"
        )
        con.execute(
            "insert into facts.photos (photo_id, user_id, path, url, posted_at, likes, hashtags, ingested_at)"
            f" select photo_id, user_id, photo_id || '.jpg', null, null, null, null, {AT} from given"
        )
        con.execute(
            f"insert into facts.photo_files select photo_id, md5(photo_id), 300, 400, 9, 'ok', null, {AT} from given"
        )
        con.execute(
            "insert into facts.main_photos (user_id, photo_id, set_at, ingested_at)"
            f" select user_id, photo_id, {AT} + to_days(cast(day as integer)), {AT} from given"
        )
        con.execute(
            "insert into facts.swipes (sender_id, recipient_id, liked, swiped_at, ingested_at)"
            " select 's-' || photo_id || '-' || i, user_id, i < n_likes,"
            f" {AT} + to_days(cast(day as integer)) + interval 12 hour, {AT}"
            " from (select *, unnest(range(n_swipes)) as i from given)"
        )
        con.unregister("given")
        con.unregister("owners")
    build_labels(Store(db), options=LabelOptions(window="every"))
    for name, metric in (("ranked", "l2"), ("ranked_cosine", "cosine")):
        put_vectors(db.layout, name, photos["photo_id"].to_list(), X, metric=metric)  # type: ignore[arg-type]
        index.build(Store(db), name)
    return db, X

"""A small store with every kind of part of the user's own: relations, a feature of pictures, a training set, runs."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from photogenic import FeatureStore
from photogenic.features.compute.pipeline import compute
from photogenic.features.pictures import registry
from photogenic.features.search import index
from photogenic.features.similarity.neighbours import update
from photogenic.models.training_sets.create import create
from photogenic.models.training_sets.options import from_values
from photogenic.synthetic.portraits.portrait import encode_jpeg
from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels, update_own
from photogenic.warehouse.storage.layout import write_atomically
from tests.features.pictures.conftest import OWN
from tests.models.planted import planted, train
from tests.warehouse.definitions.own import audit_file, received, sql_file, within

PERSON, PHOTO = "u-p007", "p007"
N = 60

NEAREST = """
select
    cast(photo_id as varchar) as photo_id, -- the photo
    cast(min_by(neighbour_id, rank) as varchar) as nearest_id, -- the nearest
    cast('near ' || string_agg(neighbour_id, ', ' order by rank) as varchar) as told -- all of them in a text
from neighbours
where encoder = 'toy_a'
group by photo_id
"""
REDS = """
select
    cast(photos.user_id as varchar) as user_id, -- the owner
    cast(max(redness.redness) as double) as reddest -- of the photos
from redness
inner join photos on redness.photo_id = photos.photo_id
group by photos.user_id
"""
RELATIONS = {
    "received": received(),
    "nearest": sql_file("nearest", NEAREST, reads="neighbours", grain="photo_id"),
    "reds": sql_file("reds", REDS, reads="redness, photos"),
    "more_reds": sql_file(
        "more_reds",
        "select\n    cast(user_id as varchar) as user_id, -- the owner\n    cast(2 * reddest as double) as twice -- x\n"
        "from reds",
        reads="reds",
    ),
}
AUDITS = {"positive": audit_file("positive", "select 1 from received where n_received < 1", reads="received")}


def make_own_parts(folder: Path) -> Path:
    """Make the store, and return its folder."""
    store = planted(folder, N)
    rng = np.random.default_rng(1)
    with store.database.write("test") as con:
        for (photo_id,) in con.execute("select photo_id from facts.photo_files order by all").fetchall():
            color = rng.integers(0, 255, 3, dtype=np.uint8)
            data = encode_jpeg(Image.fromarray(np.tile(color, (48, 48, 1))))
            sha256 = hashlib.sha256(data).hexdigest()
            con.execute("update facts.photo_files set sha256 = $1 where photo_id = $2", [sha256, photo_id])
            write_atomically(store.layout.photo(sha256), data)
    inside = within(store.database, RELATIONS, AUDITS)
    build_labels(inside)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_OWN", {})
        patch.setenv("FEATURES_MODULES", OWN)
        sys.modules.pop(OWN, None)
        compute(inside, [], features=["redness"])
        sys.modules.pop(OWN, None)
    index.build(inside, "toy_a")
    update(inside, ["toy_a"], 3)
    update_own(inside)
    train(store, "like_ratio", ["toy_a"], ["ridge"], "all")
    create(inside, "may", from_values({"target": "received.n_received", "features": "redness.redness,reds.reddest"}))
    said = store.sql("select photo_id, prediction from predictions")
    store.add_run("mine", said.with_columns(pl.col("prediction") / 2), target="like_ratio", setup="all")
    store.promote_run(store.sql("select run_id from runs where origin = 'trained'").item())
    return store.layout.root


def own_answers(store: FeatureStore | Store) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of all that is the user's own, and of the lists of it."""
    names = (*RELATIONS, "redness", "own_relations", "training_sets", "runs", "predictions", "neighbours")
    with store.database.read() as con:
        return {name: sorted(con.execute(f"from {name}").fetchall(), key=repr) for name in names}

"""A store without pictures: vectors are written directly, labels are built from swipes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from photogenic.features.encoders.base import Backbone, Encoder
from photogenic.features.encoders.registry import ENCODERS
from photogenic.features.vectors.writer import VectorWriter
from photogenic.warehouse import Database, Layout, Settings, Store

SETTINGS = Settings(memory_limit="500MB", threads=2, lock_timeout_s=0)


def database(folder: Path) -> Database:
    return Database(Layout(folder / "store"), SETTINGS)


def toy_encoder(
    name: str, dim: int, metric: Literal["l2", "cosine"], kind: Literal["photo", "face"] = "photo"
) -> Encoder:
    backbone = Backbone(f"{name}-net", kind, 8, "centre", (0, 0, 0), (1, 1, 1), build=_no_network)
    entry = Encoder(name, backbone, "top", dim, metric, "none", "nobody")
    ENCODERS[name] = entry
    return entry


def put_vectors(
    layout: Layout, name: str, ids: Sequence[str], X: np.ndarray, *, metric: Literal["l2", "cosine"] = "l2"
) -> None:
    """Make these the vectors of the encoder: stored ones stay, and those of other photos are removed."""
    writer = VectorWriter(layout, toy_encoder(name, X.shape[1], metric), "")
    sha256s = [_sha256(i, x) for i, x in zip(ids, X, strict=True)]
    held = set(writer.stored().select("photo_id", "sha256").iter_rows())
    new = [at for at, key in enumerate(zip(ids, sha256s, strict=True)) if key not in held]
    if new:
        writer.append([ids[at] for at in new], [sha256s[at] for at in new], [False] * len(new), X[new].astype("f4"))
    writer.commit(pl.DataFrame({"photo_id": list(ids), "sha256": sha256s}, schema={"photo_id": str, "sha256": str}))


def put_photos(db: Database, rows: pl.DataFrame) -> None:
    """Add users, photos and swipes of `rows`: photo_id, gender, n_likes, n_swipes; the owner of `p7` is `u-p7`."""
    from photogenic.warehouse.labels.build import build_labels

    with db.write("test") as con:
        con.register("given", rows)
        at = "timestamp '2024-01-01'"
        con.execute(
            f"insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
            f" select 'u-' || photo_id, gender, null, null, {at} from given"
        )
        con.execute(
            "insert into facts.photos (photo_id, user_id, path, url, posted_at, likes, hashtags, ingested_at)"
            f" select photo_id, 'u-' || photo_id, photo_id || '.jpg', null, null, null, null, {at} from given"
        )
        con.execute(
            "insert into facts.photo_files"
            f" select photo_id, md5(photo_id), 300 + n_swipes, 400, 9, 'ok', null, {at} from given"
        )
        con.execute(
            "insert into facts.main_photos (user_id, photo_id, set_at, ingested_at)"
            f" select 'u-' || photo_id, photo_id, {at}, {at} from given"
        )
        con.execute(
            "insert into facts.swipes (sender_id, recipient_id, liked, swiped_at, ingested_at)"
            " select 's-' || i, 'u-' || photo_id, i < n_likes, timestamp '2024-02-01', "
            f"{at} from (select *, unnest(range(n_swipes)) as i from given)"
        )
        con.unregister("given")
    build_labels(Store(db))


def clustered(rng: np.random.Generator, n: int, dim: int, n_clusters: int) -> np.ndarray:
    """Unit vectors around cluster centers. float32 (n, dim)."""
    centres = rng.normal(size=(n_clusters, dim))
    X = centres[rng.integers(0, n_clusters, n)] + 0.7 * rng.normal(size=(n, dim))
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def _sha256(photo_id: str, x: np.ndarray) -> str:
    import hashlib

    return hashlib.sha256(photo_id.encode() + np.asarray(x, "f4").tobytes()).hexdigest()


def _no_network(path: Path | None) -> None:
    raise AssertionError("a toy encoder has no network")

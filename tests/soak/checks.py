"""Checks of the store in the soak test; they run in forks and print JSON."""

from __future__ import annotations

import hashlib
import traceback
from pathlib import Path
from typing import Any

from photogenic import FeatureStore
from photogenic.warehouse import PhotogenicError

ENCODER = "mean_colour"


def look(root: str) -> dict[str, Any]:
    """Return counts, labels and nearest photos; `wrong`: photos that differ from those of a plain search."""
    try:
        with FeatureStore(root) as store:
            said: dict[str, Any] = {"counts": _counts(store), "labels": None, "wrong": []}
            if store.sql("select 1 from information_schema.tables where table_name = 'like_ratios'").height:
                ratios = store.sql("select photo_id, time_window, n_likes, n_swipes from like_ratios order by all")
                said["labels"] = [list(row) for row in ratios.rows()]
            if store.layout.index(ENCODER).joinpath("manifest.json").exists():
                said["wrong"] = _searched(store)
            return said
    except PhotogenicError as error:
        return {"refused": [error.what, error.expected, error.remedy]}
    except Exception:
        return {"crashed": traceback.format_exc()}


def _counts(store: FeatureStore) -> dict[str, int]:
    """Read everything of one snapshot in one query."""
    query = " union all ".join(
        f"select '{name}' as name, count(*) as n from {name}" for name in ("users", "photos", "main_photos", "swipes")
    )
    return dict(store.sql(query).rows())


def _searched(store: FeatureStore) -> list[str]:
    import numpy as np

    ids, X = store.embeddings(ENCODER)
    index = store.searcher.cache.index(ENCODER)
    known = set(store.sql("select photo_id from photos")["photo_id"])
    wrong = []
    for at in range(0, len(ids), max(1, len(ids) // 3)):
        try:
            near = store.similar(ids[at], k=4, encoder=ENCODER)
        except PhotogenicError:
            if ids[at] not in index.ids:
                continue  # the index is of former vectors, as between two steps of a build
            raise
        distance = np.linalg.norm(X.astype(np.float64) - X[at], axis=1)
        place = {photo: n for n, photo in enumerate(ids)}
        for photo, said in near.select("photo_id", "distance").rows():
            if photo not in known:
                wrong.append(f"{photo} is nobody's")
            elif photo in place and abs(said - distance[place[photo]]) > 1e-3:
                wrong.append(f"{photo} at {said}, not {distance[place[photo]]}")
    return wrong


def final(root: str) -> dict[str, Any]:
    """Return all relations that are compared with the independent count."""
    with FeatureStore(root) as store:
        ids, _ = store.embeddings(ENCODER)
        index = store.searcher.cache.index(ENCODER)
        photos = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in store.layout.photos.glob("??/*")}
        return {
            "vectors": ids,
            "indexed": index.ids.to_list(),
            "bytes": photos,
            "pictures": dict(store.sql("select photo_id, sha256 from photos where sha256 is not null").rows()),
            "swipes": [
                list(map(str, row))
                for row in store.sql("select sender_id, recipient_id, liked, swiped_at from swipes").rows()
            ],
            "people": store.sql("select user_id from users")["user_id"].to_list(),
            "rejects": dict(store.sql("select kind, count(*) from rejects group by all").rows()),
            "checksums": dict(store.sql("select relation, checksum from checksums").rows()),
            "audit": [list(row) for row in store.sql("select reason, n_swipes, n_likes from swipe_audit").rows()],
        }


def traces(root: str, *ids: str) -> dict[str, list[str]]:
    """Return the files that still contain erased ids."""
    from tests.scanner import found

    hits = found(Path(root), {one: [one.encode()] for one in ids})
    return {one: sorted(files) for one, files in hits.items() if files}

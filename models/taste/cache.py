"""Taste models of a store: learned at the first request, stored until swipes, labels or vectors change.

models/taste/<encoder>.npz holds what all senders share; it holds no data of single senders.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from photogenic import sql
from photogenic._lazy import duckdb, pl
from photogenic.models.data.array_types import Array
from photogenic.models.data.samples import read_vectors
from photogenic.models.taste.fit import Groups, Pairs
from photogenic.models.taste.photos import Projection
from photogenic.models.taste.taste import Photos, Taste, evaluate, fit, marginal
from photogenic.warehouse import InputError, Store
from photogenic.warehouse.erasure.tombstones import discard_if_erased
from photogenic.warehouse.storage.layout import write_atomically

__all__ = ["NORMAL_90", "Personal", "personal"]

NORMAL_90 = 1.6448536269514722
"""Standard deviations around the mean that contain 90 % of a normal distribution, the level of conformal.py."""

VERSION = 1
"""Version of the method; another version is learned again."""


@dataclass(frozen=True, slots=True)
class Personal:
    """Taste of one sender.

    Attributes:
        evaluation: evaluation on held-out swipes of known senders; see `models.taste.taste.evaluate`.
        n_swipes: number of swipes of this sender on photos with vectors.
    """

    taste: Taste
    mode: Array
    covariance: Array
    evaluation: dict[str, Any]
    n_swipes: int

    def __call__(self, X: Array) -> list[tuple[float, float, float]]:
        """Return P(like) of photos without swipes, with its 90 % bounds: vectors (n, D)."""
        F = self.taste.of_vectors(X)
        mode, covariance = (np.repeat(part, len(F), 0) for part in (self.mode, self.covariance))
        mean, deviation = self.taste.logit_of_like(F, mode, covariance, self.taste.projection.doubt)
        reach = NORMAL_90 * deviation
        ends = (marginal(centre, np.zeros(len(F))) for centre in (mean - reach, mean + reach))
        return list(zip(marginal(mean, deviation).tolist(), *(end.tolist() for end in ends), strict=True))


def personal(store: Store, sender: str, encoder: str) -> Personal:
    """Return the taste of a sender from all swipes so far; learn the shared part first if it is out of date.

    Args:
        store: store with swipes and vectors.
        sender: user id.
        encoder: encoder name, or `a+b`.

    Raises:
        InputError: the sender has swiped on no photo with vectors, or too few photos have swipes.
    """
    ids, X = read_vectors(store.layout, encoder)
    with store.database.read() as con:
        own = _with_vectors(_rows(con, sender), ids)
        if own.is_empty():
            raise InputError(
                f"Sender {sender!r} has swiped on no photo that has vectors of {encoder}.",
                "the user_id of a sender who has",
                "features sql 'select sender_id, count(*) as n from swipes group by all order by n desc limit 10'",
            )
        told = con.execute("select relation, checksum from checksums order by all").fetchall()
        state = con.execute("select count(*), max(swiped_at)::varchar, bit_xor(hash(swipes)) from swipes").fetchall()
        digest = hashlib.sha256(json.dumps([VERSION, encoder, told, state]).encode() + X.tobytes()).hexdigest()[:16]
        path = store.layout.models / "taste" / f"{encoder}.npz"
        found = _held(path, digest)
        if found is None:
            with discard_if_erased(store.layout, path):
                pairs = _with_vectors(_rows(con, None), ids)
                found = _learned(pairs, ids, X)
                _keep(path, digest, *found)
    taste, genders, evaluation = found
    rows, _ = _pairs(own, ids, genders)
    believed = taste.weights(rows)
    return Personal(taste, believed.mode, believed.covariance, evaluation, int(rows.n.sum()))


def _rows(con: duckdb.DuckDBPyConnection, sender: str | None) -> pl.DataFrame:
    frame: pl.DataFrame = con.sql(sql.read("training/taste"), params={"sender": sender}).pl()
    return frame


def _with_vectors(rows: pl.DataFrame, ids: list[str]) -> pl.DataFrame:

    places = pl.DataFrame({"photo_id": ids, "photo": np.arange(len(ids))})
    return rows.join(places, on="photo_id").sort("sender_id", "photo_id")


def _pairs(rows: pl.DataFrame, ids: list[str], genders: list[str]) -> tuple[Pairs, list[str]]:
    """Return the rows as arrays, and the owner of each photo; '' if the photo has no swipes."""
    sender = rows["sender_id"].rle_id().to_numpy().astype(np.intp)
    first = np.flatnonzero(np.diff(sender, prepend=-1))
    group = np.array([genders.index(gender) for gender in rows["gender"].gather(first).to_list()], np.intp)
    n, likes = (rows[name].to_numpy().astype(np.float64) for name in ("n_swipes", "n_likes"))
    photo = rows["photo"].to_numpy().astype(np.intp)
    owners = dict(rows.select("photo_id", "owner_id").unique().iter_rows())
    return Pairs(sender, photo, n, likes, group), [owners.get(name, "") for name in ids]


def _learned(rows: pl.DataFrame, ids: list[str], X: Array) -> tuple[Taste, list[str], dict[str, Any]]:
    if rows["owner_id"].n_unique() < 10:
        raise InputError(
            f"Only photos of {rows['owner_id'].n_unique()} users have both swipes and vectors.",
            "photos of at least 10 users, to learn taste from",
            "features build",
        )
    genders = sorted(rows["gender"].unique().to_list())
    pairs, owners = _pairs(rows, ids, genders)
    photos = Photos(X, np.unique(owners, return_inverse=True)[1])
    evaluation = evaluate(photos, pairs, rows["held_out"].to_numpy(), rows["unseen"].to_numpy())
    return fit(photos, pairs), genders, evaluation


def _keep(path: Path, digest: str, taste: Taste, genders: list[str], evaluation: dict[str, Any]) -> None:
    projection, buffer = taste.projection, io.BytesIO()
    arrays = {"mean": projection.mean, "scale": projection.scale, "axes": projection.axes, "level": projection.level}
    arrays |= {"group_mean": taste.groups.mean, "group_covariance": taste.groups.covariance}
    arrays |= {name: getattr(taste, name) for name in ("directions", "foretold", "n", "likes", "places")}
    told = json.dumps({"digest": digest, "genders": genders, "judged": evaluation, "doubt": projection.doubt})
    np.savez(buffer, allow_pickle=False, told=np.frombuffer(told.encode(), np.uint8), **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def _held(path: Path, digest: str) -> tuple[Taste, list[str], dict[str, Any]] | None:
    """Read what was learned from the same swipes and vectors. None: there is no such file."""
    if not path.exists():
        return None
    try:
        return _opened(path, digest)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None  # damaged: it is learned again


def _opened(path: Path, digest: str) -> tuple[Taste, list[str], dict[str, Any]] | None:
    with np.load(path, allow_pickle=False) as held:
        told = json.loads(held["told"].tobytes())
        if told["digest"] != digest:
            return None
        projection = Projection(held["mean"], held["scale"], held["axes"], held["level"], told["doubt"])
        groups = Groups(held["group_mean"], held["group_covariance"])
        rest = (held[name] for name in ("foretold", "n", "likes", "places"))
        return Taste(projection, held["directions"], groups, *rest), told["genders"], told["judged"]

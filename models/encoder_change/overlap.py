"""Overlap of the neighbors by two encoders, with intervals over owners, and the photos whose neighbors differ most.

The neighbors are searched among all photos that both encoders have vectors of, and within gender: for the photos of
each gender, among those of the same gender. The bootstrap draws owners, because photos of one person are alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photogenic.features.compare.neighborhoods import Neighborhoods, Rows
from photogenic.features.compare.overlap import PERSISTENCE, in_common, rank_biased_overlap, share_at
from photogenic.features.compare.shared_photos import SharedPhotos
from photogenic.models.evaluation.metrics import bootstrap, interval, per_user

__all__ = ["MovedPhoto", "OverlapRow", "moved_photos", "overlap_rows"]


@dataclass(frozen=True, slots=True)
class OverlapRow:
    """One figure of one group of photos.

    Attributes:
        among: `all`, or the gender within which neighbors are searched; `unknown` where the owner has none.
        measure: `overlap@K`, the mean share of the K nearest in common, or `rbo`, rank-biased overlap.
        value: mean over the photos, 0 to 1; None without neighbors.
        low, high: 95 % interval over owners.
        by_chance: mean of two rankings at random.
        n_photos, n_owners: photos whose neighbors were searched, and their owners.
        n_searched: photos among which the neighbors were searched.
    """

    among: str
    measure: str
    value: float | None
    low: float | None
    high: float | None
    by_chance: float | None
    n_photos: int
    n_owners: int
    n_searched: int


@dataclass(frozen=True, slots=True)
class MovedPhoto:
    """A photo and its nearest photos by each encoder, nearest first.

    Attributes:
        in_common: how many of the k nearest both encoders have.
        rbo: rank-biased overlap of the neighbors, which orders photos with as many in common.
    """

    photo_id: str
    user_id: str | None
    gender: str | None
    in_common: int
    rbo: float
    neighbours_a: list[str]
    neighbours_b: list[str]


def overlap_rows(shared: SharedPhotos, near: Neighborhoods, ks: Sequence[int], *, seed: int = 0) -> list[OverlapRow]:
    """Return the figures overall, then within each gender.

    Args:
        shared: photos that both encoders have vectors of.
        near: neighbors of the sample, at least max(ks) of each photo.
        ks: numbers of neighbors.
        seed: seed of the bootstrap.
    """
    everything = _Group("all", near.all_a, near.all_b, _owners(shared, near.queries), len(shared))
    rows = list(_figures(everything, ks, seed))
    genders = shared.photos["gender"].to_list()
    for name in sorted(set(genders), key=lambda each: (each is None, each)):
        which = np.array([genders[at] == name for at in near.queries], bool)
        own, a, b = _owners(shared, near.queries[which]), near.within_a[which], near.within_b[which]
        group = _Group("unknown" if name is None else name, a, b, own, genders.count(name))
        rows += _figures(group, ks, seed)
    return rows


def moved_photos(shared: SharedPhotos, near: Neighborhoods, k: int, n: int) -> list[MovedPhoto]:
    """Return the `n` photos of the sample with the fewest of the k nearest in common; if equal, the least rbo."""
    common, ranked = in_common(near.all_a, near.all_b), _n_ranked(near.all_a, near.all_b)
    share, rbo = share_at(common, ranked, k), rank_biased_overlap(common, ranked)
    ids = shared.photos["photo_id"].to_list()
    found = []
    for at in np.lexsort((near.queries, rbo, share))[:n]:
        if ranked[at] == 0:
            continue
        photo = shared.photos.row(int(near.queries[at]), named=True)
        a, b = (rows[at][rows[at] >= 0][:k] for rows in (near.all_a, near.all_b))
        found.append(
            MovedPhoto(
                photo["photo_id"],
                photo["user_id"],
                photo["gender"],
                int(np.isin(a, b).sum()),
                float(rbo[at]),
                [ids[row] for row in a],
                [ids[row] for row in b],
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class _Group:
    """Neighbors of the photos of one group, their owners, and the number of photos that were searched."""

    among: str
    a: Rows
    b: Rows
    owners: NDArray[np.str_]
    n_searched: int


def _figures(group: _Group, ks: Sequence[int], seed: int) -> Iterator[OverlapRow]:
    among, a, b, owners, n_searched = group.among, group.a, group.b, group.owners, group.n_searched
    common, ranked = in_common(a, b), _n_ranked(a, b)
    columns = {f"overlap@{k}": share_at(common, ranked, k) for k in ks} | {"rbo": rank_biased_overlap(common, ranked)}
    known = ranked > 0
    n, n_owners = int(known.sum()), len(np.unique(owners[known]))
    chance = {f"overlap@{k}": min(k, n_searched - 1) / (n_searched - 1) for k in ks} if n_searched > 1 else {}
    if n_searched > 1:
        chance["rbo"] = _rbo_by_chance(min(a.shape[1], n_searched - 1), n_searched - 1)
    if not n:
        yield from (OverlapRow(among, name, None, None, None, chance.get(name), 0, 0, n_searched) for name in columns)
        return
    values = np.stack([np.ones(n), *(column[known] for column in columns.values())], 1)
    draws = bootstrap(per_user(values, owners[known]), np.random.default_rng(seed))
    for at, name in enumerate(columns, 1):
        low, high = interval(draws[:, at] / draws[:, 0])
        yield OverlapRow(among, name, float(values[:, at].mean()), low, high, chance.get(name), n, n_owners, n_searched)


def _rbo_by_chance(depth: int, n_others: int) -> float:
    """Return the expected rank-biased overlap of two rankings at random: d / n of the first d are in common."""
    d, p = np.arange(1, depth + 1), PERSISTENCE
    return float(depth / n_others * p**depth + (1 - p) / p * np.sum(d / n_others * p**d))


def _n_ranked(a: Rows, b: Rows) -> Rows:
    return np.asarray(np.minimum((a >= 0).sum(1), (b >= 0).sum(1)), np.int64)


def _owners(shared: SharedPhotos, rows: Rows) -> NDArray[np.str_]:
    """Return the owner of each photo; a photo without an owner is a group of its own."""
    chosen = shared.photos[rows]
    found: NDArray[np.str_] = chosen["user_id"].fill_null(chosen["photo_id"]).to_numpy().astype(np.str_)
    return found

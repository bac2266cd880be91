"""Order the photos of a search: by distance, mixed with popularity, at most n per owner, and diverse.

1. Likeness of a photo: 1 - (distance - nearest) / (farthest - nearest), over the photos that may be results.
   Popularity is scaled in the same way, with 1 for the most popular. Where all are equal, each is 1.
2. score = (1 - w) * likeness + w * popularity; photos are in the order of score, equal ones in order of photo_id.
3. `per_user`: the first n photos of each owner stay.
4. `diverse`: of the first `pool_size(k)` photos, choose one after the other by maximal marginal relevance:
   (1 - l) * score - l * the greatest likeness to a photo that was chosen before. The likeness of two photos is
   1 - distance / farthest, at least 0, with the farthest of 1: it stays within 0 and 1 where all photos are about as
   far from the query, and where two photos are nearer to each other than any is to the query.

Exact search applies the rules to all photos that may be results. A search by the index applies them to a pool, which
is also what the scales are over: the photos that the index finds nearest, at least 1,000 and at least 20 k. Where a
pool has fewer than k photos that satisfy the rules, exact search answers.

Source: Carbonell and Goldstein 1998 (maximal marginal relevance).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from photogenic.features.search.combine import CombinedQueries
from photogenic.features.search.exact import Metric
from photogenic.features.search.filters import PhotoFilter, scaled
from photogenic.features.search.options import SearchOptions
from photogenic.features.search.planner import Plan, choose
from photogenic.features.search.scan import Scan, in_order, scans

__all__ = ["Ranked", "answer", "index_pool", "pool_size", "rank"]

T = TypeVar("T", np.float64, np.int64)

_INDEX_POOL, _INDEX_POOL_PER_RESULT = 1000, 20
_FEW_QUERIES = 4
_MOST_FETCHED = 4096
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Ranked:
    """The results of queries.

    Attributes:
        plan: how the search was carried out.
        distances: float64 (q, k), padded with infinity.
        rows: rows of the index, int64 (q, k), padded with -1.
        scores: float64 (q, k), padded with -infinity; None: the order is that of distance.
    """

    plan: Plan
    distances: NDArray[np.float64]
    rows: NDArray[np.int64]
    scores: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class _List:
    """Photos in order: positions among the candidates, distances, scores, and the scale of likeness."""

    places: NDArray[np.int64]
    distances: NDArray[np.float64]
    scores: NDArray[np.float64]
    scale: tuple[float, float]


def pool_size(k: int) -> int:
    """Number of photos among which diverse ones are chosen: 10 k, at least 100 and at most 2,000."""
    return min(max(10 * k, 100), 2000)


def index_pool(k: int) -> int:
    """Number of photos that the index finds for an order that is not that of distance: at least 1,000 and 20 k."""
    return max(_INDEX_POOL, _INDEX_POOL_PER_RESULT * k)


def rank(queries: CombinedQueries, candidates: PhotoFilter, options: SearchOptions) -> Ranked:
    """Find the first k photos of each query by the rules of this module.

    Args:
        queries: vectors, photos and owners that are left out.
        candidates: photos that may be results, with their popularity where it is asked for.
        options: k and the rules.
    """
    index, Q = candidates.index, queries.vectors
    is_plain = options.is_by_distance and options.per_user is None and not options.other_users
    if is_plain and all(len(rows) <= 1 for rows in queries.own):
        exclude = np.array([rows[0] if len(rows) else -1 for rows in queries.own], np.int64)
        plan, distances, rows = answer(Q, candidates, options.k, exclude=exclude, exact=options.exact)
        return Ranked(plan, distances, rows, None)
    has_ivf = index.manifest.kind != "Flat"
    plan = choose(len(Q), len(candidates), len(index), index.manifest.dim, has_ivf=has_ivf, exact=options.exact)
    wanted = pool_size(options.k) if options.diverse else options.k
    found: list[_List | None] = [None] * len(Q)
    if plan.way != "exact" and index.ivf is not None:
        found = _by_index(queries, candidates, options, wanted)
    elif options.is_by_distance and len(Q) > _FEW_QUERIES:
        found = _by_batch(queries, candidates, options, wanted)
    rest = [at for at, one in enumerate(found) if one is None]
    for at, scan in zip(rest, scans(candidates, Q[rest]), strict=True):
        found[at] = _by_scan(scan, queries.left_out(at, candidates, other_users=options.other_users), options, wanted)
    lists = [one for one in found if one is not None]
    if options.diverse:
        lists = [_diverse(candidates, one, options.k, options.diverse) for one in lists]
    k = min(options.k, len(candidates))
    return Ranked(
        plan,
        _padded([one.distances for one in lists], k, np.inf, np.float64),
        _padded([candidates.rows[one.places] for one in lists], k, -1, np.int64),
        None if options.is_by_distance else _padded([one.scores for one in lists], k, -np.inf, np.float64),
    )


def answer(
    Q: NDArray[np.float32],
    candidates: PhotoFilter,
    k: int,
    *,
    exclude: NDArray[np.int64] | None = None,
    exact: bool | None = None,
) -> tuple[Plan, NDArray[np.float64], NDArray[np.int64]]:
    """Find the k nearest photos of each query, without a rule but that its own row is left out.

    Args:
        Q: float32 (q, d).
        candidates: photos that may be results.
        k: number of photos.
        exclude: int64 (q,), the row to leave out of each query's results; -1 leaves out none.
        exact: as in `SearchOptions`.

    Returns:
        The plan, distances float64 (q, k), rows of the index int64 (q, k), padded with infinity and -1.
    """
    index, dim = candidates.index, candidates.index.manifest.dim
    own = np.full(len(Q), -1) if exclude is None else exclude
    n_wanted = k + bool((own >= 0).any())
    plan = choose(len(Q), len(candidates), len(index), dim, has_ivf=index.manifest.kind != "Flat", exact=exact)
    if plan.way == "exact" or index.ivf is None:
        return plan, *_without(*candidates.nearest(Q, n_wanted), own, k)
    metric = index.manifest.metric
    distances, rows = index.ivf.search(index.vectors, Q, n_wanted, metric, candidates.row_mask())
    if len(candidates) < n_wanted:
        distances, rows = candidates.nearest(Q, n_wanted)
    elif (short := rows[:, -1] < 0).any():
        distances[short], rows[short] = candidates.nearest(Q[short], n_wanted)
    return plan, *_without(distances, rows, own, k)


def _without(
    distances: NDArray[np.float64], rows: NDArray[np.int64], own: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The first k results of each query without its own row."""
    is_own = (rows == own[:, None]) & (own >= 0)[:, None]
    if is_own.any():
        order = np.argsort(is_own, axis=1, kind="stable")
        distances = np.take_along_axis(np.where(is_own, np.inf, distances), order, 1)
        rows = np.take_along_axis(np.where(is_own, -1, rows), order, 1)
    return distances[:, :k], rows[:, :k]


def _by_scan(scan: Scan, left_out: NDArray[np.int64], options: SearchOptions, wanted: int) -> _List:
    """Apply the rules to all candidates."""
    candidates, weight = scan.candidates, options.popularity
    if len(left_out) == len(candidates):
        return _List(np.empty(0, np.int64), np.empty(0), np.empty(0), (0.0, 0.0))
    scale = (0.0, 0.0) if options.is_by_distance else scan.range(left_out)
    popularity = candidates.scaled_popularity(left_out) if weight else np.empty(0)

    def score(places: NDArray[np.int64]) -> NDArray[np.float64]:
        alike = _likeness(scan.distances(places), scale)
        return (1 - weight) * alike + weight * popularity[places] if weight else alike

    def key(places: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.negative(score(places)) if weight else scan.distances(places)

    low = scan.low
    if weight:
        low = np.multiply(scan.low, (1 - weight) / _span(scale), dtype=np.float64)
        low -= weight * popularity
        low -= (1 - weight) * (1 + scale[0] / _span(scale))
        low -= _ROUNDING * (1 + scale[1] / _span(scale))
    low[left_out] = np.inf
    owners = candidates.owners if options.per_user is not None else None
    counts, full = dict[int, int](), list[int]()

    def skip() -> NDArray[np.bool_] | None:
        if owners is None or not full:
            return None
        unwanted = np.isin(owners, full)
        full.clear()
        return unwanted

    chosen = list[int]()
    for place in in_order(low, key, skip):
        if owners is not None:
            owner = int(owners[place])
            counts[owner] = counts.get(owner, 0) + 1
            if counts[owner] > (options.per_user or 0):
                continue
            if counts[owner] == options.per_user:
                full.append(owner)
        chosen.append(place)
        if len(chosen) == wanted:
            break
    places = np.array(chosen, np.int64)
    return _List(places, scan.distances(places), score(places), scale)


def _by_batch(
    queries: CombinedQueries, candidates: PhotoFilter, options: SearchOptions, wanted: int
) -> list[_List | None]:
    """Search the nearest for many queries at once, more than k; None where too few of them satisfy the rules."""
    left_out = [queries.left_out(at, candidates, other_users=options.other_users) for at in range(len(queries.vectors))]
    most = max((len(places) for places in left_out), default=0)
    ruled = options.per_user is not None
    fetch = min((4 * wanted + 16 if ruled else wanted) + (min(most, _MOST_FETCHED)), len(candidates))
    distances, rows = candidates.nearest(queries.vectors, fetch)
    return [
        _first(
            candidates, options, candidates.positions(own), near, left, wanted=wanted, all_seen=fetch == len(candidates)
        )
        for own, near, left in zip(rows, distances, left_out, strict=True)
    ]


def _by_index(
    queries: CombinedQueries, candidates: PhotoFilter, options: SearchOptions, wanted: int
) -> list[_List | None]:
    """Apply the rules to a pool that the index finds; None where too few of its photos satisfy them."""
    index, Q = candidates.index, queries.vectors
    left_out = [queries.left_out(at, candidates, other_users=options.other_users) for at in range(len(Q))]
    most = min(max((len(places) for places in left_out), default=0), _MOST_FETCHED)
    if options.is_by_distance:
        fetch = (4 * wanted + 16 if options.per_user is not None else wanted) + most
    else:
        fetch = index_pool(options.k) + most
    if index.ivf is None or fetch >= len(candidates):
        return [None] * len(Q)
    mask = candidates.row_mask()
    distances, rows = index.ivf.search(index.vectors, Q, fetch, index.manifest.metric, mask)
    found: list[_List | None] = []
    for own, near, left in zip(rows, distances, left_out, strict=True):
        there = own >= 0
        places = candidates.positions(own[there])
        found.append(_first(candidates, options, places, near[there], left, wanted=wanted, all_seen=False))
    return found


def _first(
    candidates: PhotoFilter,
    options: SearchOptions,
    places: NDArray[np.int64],
    distances: NDArray[np.float64],
    left_out: NDArray[np.int64],
    *,
    wanted: int,
    all_seen: bool,
) -> _List | None:
    """Apply the rules to a pool in order of distance; None: it has fewer than k photos that satisfy them."""
    stays = ~np.isin(places, left_out)
    places, distances = places[stays], distances[stays]
    scale = (float(distances.min()), float(distances.max())) if len(distances) else (0.0, 0.0)
    scores = _likeness(distances, scale)
    if options.popularity:
        values = candidates.popularity[places]
        popularity = scaled(values, float(values.min()), float(values.max())) if len(values) else values
        scores = (1 - options.popularity) * scores + options.popularity * popularity
        order = np.lexsort((places, -scores))
        places, distances, scores = places[order], distances[order], scores[order]
    if options.per_user is not None:
        stays = _ordinal(candidates.owners[places]) < options.per_user
        places, distances, scores = places[stays], distances[stays], scores[stays]
    if len(places) < min(wanted, options.k) and not all_seen:
        return None
    return _List(places[:wanted], distances[:wanted], scores[:wanted], scale)


def _diverse(candidates: PhotoFilter, pool: _List, k: int, weight: float) -> _List:
    """Choose k photos of a list by maximal marginal relevance; the first is the first of the list."""
    if not len(pool.places):
        return pool
    order = np.argsort(pool.places)
    vectors = candidates.vectors(pool.places[order]).astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    relevance = (1 - weight) * pool.scores[order]
    greatest, is_left = np.zeros(len(order)), np.ones(len(order), np.bool_)
    chosen, scores = [], []
    at = int(np.flatnonzero(order == 0)[0])
    metric = candidates.index.manifest.metric
    for n in range(min(k, len(order))):
        if n:
            marginal = np.where(is_left, relevance - weight * greatest, -np.inf)
            at = int(np.argmax(marginal))
        chosen.append(at)
        scores.append(float(relevance[at] - weight * greatest[at]))
        is_left[at] = False
        alike = _alike(_distances_from(vectors, lengths, at, metric), pool.scale[1])
        greatest = np.maximum(greatest, alike) if n else alike
    picked = order[chosen]
    return _List(pool.places[picked], pool.distances[picked], np.array(scores), pool.scale)


def _distances_from(
    vectors: NDArray[np.float64], lengths: NDArray[np.float64], at: int, metric: Metric
) -> NDArray[np.float64]:
    """Distances of all vectors from one of them."""
    if metric == "l2":
        apart = vectors - vectors[at]
        return np.asarray(np.sqrt(np.einsum("nd,nd->n", apart, apart)))
    dots = np.einsum("nd,d->n", vectors, vectors[at])
    both = lengths * lengths[at]
    return np.asarray(np.maximum(1.0 - np.divide(dots, both, out=np.zeros_like(dots), where=both > 0), 0.0))


def _likeness(distances: NDArray[np.float64], scale: tuple[float, float]) -> NDArray[np.float64]:
    """1 at the nearest distance of the scale and 0 at the farthest; where these are equal, 1 less per distance of 1."""
    return 1 - (distances - scale[0]) / _span(scale)


def _alike(distances: NDArray[np.float64], farthest: float) -> NDArray[np.float64]:
    """Likeness of two photos: 1 at distance 0, and 0 from the farthest distance of a query on."""
    return np.maximum(1 - distances / (farthest if farthest > 0 else 1.0), 0.0)


def _span(scale: tuple[float, float]) -> float:
    nearest, farthest = scale
    return farthest - nearest if farthest > nearest else 1.0


def _ordinal(owners: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many earlier photos of the list have the same owner."""
    order = np.argsort(owners, kind="stable")
    held = owners[order]
    starts = np.flatnonzero(np.r_[True, held[1:] != held[:-1]]) if len(held) else np.empty(0, np.int64)
    places = np.arange(len(held)) - np.repeat(starts, np.diff(np.r_[starts, len(held)]))
    found = np.empty(len(owners), np.int64)
    found[order] = places
    return found


def _padded(parts: Sequence[NDArray[T]], k: int, fill: float, kind: type[T]) -> NDArray[T]:
    out = np.full((len(parts), k), fill, kind)
    for at, part in enumerate(parts):
        out[at, : len(part)] = part
    return out

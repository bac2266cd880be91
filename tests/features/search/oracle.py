"""Neighbors by brute force, to which the answers of every door are compared.

Nothing here calls the search of the program. Every distance, score and choice is computed in float64 over all
photos that may be results. `mistake` follows an answer photo by photo: each one must be the best of those that are
left. Where two scores are closer than a tolerance, either photo may come first; photos at equal distance, where
distances are exact, must be in order of photo_id.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PREDICATES", "WITHIN", "Asked", "Photos", "drawn", "mistake"]

TOLERANCE = 4e-6
"""Largest difference between our distances: an index holds unit rows in float32."""

UNLIKE = 0.5
"""How far a query moves away from the photos to be unlike, as docs/guides/similar.md says."""

Vectors = NDArray[np.float64]
Label = Mapping[str, Any]

PREDICATES: dict[str, Callable[[Label], bool | None]] = {
    "gender = 'female'": lambda label: label["gender"] == "female",
    "gender is null": lambda label: label["gender"] is None,
    "weight >= 5 and value < 0.6": lambda label: label["weight"] >= 5 and label["value"] < 0.6,
    "source = 'posts'": lambda label: label["source"] == "posts",
    "percentile between 20 and 80 -- the middle": lambda label: 20 <= label["percentile"] <= 80,
    "followers > 1000 or followers is null": lambda label: label["followers"] is None or label["followers"] > 1000,
    "photo_id < 'p020'": lambda label: label["photo_id"] < "p020",
    "width = 300 + 30": lambda label: label["width"] == 330,
    "user_id in (select user_id from users where gender <> 'male')": lambda label: (
        label["gender"] not in ("male", None)
    ),
    "false": lambda label: False,
}
"""Conditions in SQL, and the same in Python."""

WITHIN: dict[str | None, Callable[[Label], Any]] = {
    None: lambda label: None,
    "everyone": lambda label: None,
    "gender": lambda label: label["gender"],
    "users.gender": lambda label: label["gender"],
    "photos.width": lambda label: label["width"],
    "band": lambda label: label["band"],
}
"""Populations, and the value that the photos of one share."""


@dataclass(frozen=True)
class Photos:
    """The photos of one encoder that are in the store.

    Attributes:
        ids: in order.
        X: float64 (n, d), as stored.
        metric: l2 or cosine.
        labels: each label of each photo, also of photos that are not there; a photo without one has a label whose
            source is None.
        is_whole: whether all coordinates are whole numbers, so that distances between photos are exact.
    """

    encoder: str
    ids: list[str]
    X: Vectors
    metric: str
    labels: dict[str, list[dict[str, Any]]]
    is_whole: bool = False
    at: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.at.update({photo_id: at for at, photo_id in enumerate(self.ids)})
        every = [label for labels in self.labels.values() for label in labels if label["source"]]
        _add_bands(every)
        for by_gender in _groups(every, lambda label: (label["source"], label["gender"])).values():
            values = np.array([label["value"] for label in by_gender])
            for label in by_gender:
                lower = int((values < label["value"]).sum())
                label["within_gender"] = 100 * lower / (len(values) - 1) if len(values) > 1 else 0.0

    def distances(self, query: Vectors, rows: Sequence[int]) -> Vectors:
        """The distances of some photos from a vector."""
        X = self.X[list(rows)]
        if self.metric == "l2":
            return np.sqrt(((X - query) ** 2).sum(axis=1))
        lengths = np.sqrt((X * X).sum(axis=1)) * np.sqrt(query @ query)
        cosines = np.divide(X @ query, lengths, out=np.zeros(len(X)), where=lengths > 0)
        return np.maximum(1 - cosines, 0)


@dataclass(frozen=True)
class Asked:
    """One search.

    Attributes:
        encoder: whose vectors are compared.
        photos: query photos; none where there is a vector.
        vector: query vector.
        unlike: photos to be unlike.
        options: fields of SearchOptions that are not the default.
    """

    encoder: str
    photos: tuple[str, ...] = ()
    vector: Vectors | None = None
    unlike: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def mistake(photos: Photos, asked: Asked, found: Sequence[Mapping[str, Any]]) -> str | None:
    """Say what is wrong in an answer; None: nothing is."""
    options = asked.options
    k, per_user = options.get("k", 10), options.get("per_user")
    weight, diverse = options.get("popularity", 0.0), options.get("diverse") or 0.0
    labels = _matching(photos, options)
    left_out = {*asked.photos, *asked.unlike}
    if options.get("other_users"):
        owners = {photos.labels[photo_id][0]["user_id"] for photo_id in asked.photos}
        left_out |= {photo_id for photo_id, label in labels.items() if label["user_id"] in owners}
    allowed = [photo_id for photo_id in photos.ids if photo_id in labels and photo_id not in left_out]
    wrong = _wrong_rows(allowed, labels, found, per_user)
    if wrong or not allowed:
        return wrong
    near = dict(zip(allowed, photos.distances(_query(photos, asked), [photos.at[i] for i in allowed]), strict=True))
    for row in found:
        if abs(row["distance"] - near[row["photo_id"]]) > TOLERANCE * max(1, near[row["photo_id"]]):
            return f"{row['photo_id']} is at {row['distance']}, not at {near[row['photo_id']]}"
    scale = min(near.values()), max(near.values())
    likeness = _scaled({photo_id: -distance for photo_id, distance in near.items()})
    popularity = _scaled({photo_id: _popularity(labels[photo_id], options) for photo_id in allowed})
    score = {photo_id: (1 - weight) * likeness[photo_id] + weight * popularity[photo_id] for photo_id in allowed}
    tolerance = TOLERANCE * max(1.0, 1 / (scale[1] - scale[0])) if scale[1] > scale[0] else TOLERANCE
    is_plain = not weight and not diverse
    if is_plain:
        score, tolerance = {photo_id: -distance for photo_id, distance in near.items()}, TOLERANCE
    is_exact = is_plain and photos.is_whole and asked.vector is None and len(asked.photos) == 1 and not asked.unlike
    owner = {photo_id: labels[photo_id]["user_id"] for photo_id in allowed}
    if diverse:
        return _wrong_diverse(photos, found, score, owner, scale, tolerance, k=k, per_user=per_user, weight=diverse)
    if len(found) < k and len(found) != len(_first_of_owner(score, owner, per_user)):
        return f"{len(found)} photos, though more match"
    counts: Counter[str] = Counter()
    left = set(allowed)
    for row in found:
        chosen = row["photo_id"]
        free = left if per_user is None else {one for one in left if counts[owner[one]] < per_user}
        best = max(free, key=lambda one: score[one])
        if score[chosen] < score[best] - tolerance:
            return f"rank {row['rank']} is {chosen} with {score[chosen]}, but {best} has {score[best]}"
        if is_exact and chosen != (first := min(one for one in free if near[one] == near[best])):
            return f"rank {row['rank']} is {chosen}, but {first} is as near and comes before it"
        if not is_plain and abs(row["score"] - score[chosen]) > tolerance:
            return f"{chosen} has the score {row['score']}, not {score[chosen]}"
        left.discard(chosen)
        counts[owner[chosen]] += 1
    return None


def _wrong_rows(
    allowed: Sequence[str], labels: Mapping[str, Label], found: Sequence[Mapping[str, Any]], per_user: int | None
) -> str | None:
    """What is wrong with the photos and their labels, whatever their order."""
    names = [row["photo_id"] for row in found]
    if [row["rank"] for row in found] != list(range(1, len(found) + 1)):
        return "the ranks are not 1, 2, 3 ..."
    if len(set(names)) < len(names) or not set(names) <= set(allowed):
        return f"not allowed, or twice: {sorted(set(names) - set(allowed)) or names}"
    if per_user is not None and names:
        ((owner, n),) = Counter(labels[name]["user_id"] for name in names).most_common(1)
        if n > per_user:
            return f"{n} photos of {owner}"
    for row in found:
        label = labels[row["photo_id"]]
        for column, source in (("like_ratio", "value"), *((name, name) for name in ("user_id", "path", "weight"))):
            if row[column] != label[source]:
                return f"{column} of {row['photo_id']} is {row[column]!r}, not {label[source]!r}"
    return None


def _wrong_diverse(
    photos: Photos,
    found: Sequence[Mapping[str, Any]],
    score: Mapping[str, float],
    owner: Mapping[str, str],
    scale: tuple[float, float],
    tolerance: float,
    *,
    k: int,
    per_user: int | None,
    weight: float,
) -> str | None:
    """What is wrong with the order by maximal marginal relevance among the first photos of a list."""
    order = sorted(score, key=lambda one: (-score[one], one))
    pool = _first_of_owner(score, owner, per_user)[: min(max(10 * k, 100), 2000)]
    if len(found) != min(k, len(pool)):
        return f"{len(found)} photos, though {len(pool)} match"
    if not scale[1] > scale[0]:
        return None
    last = score[pool[-1]]
    steps = [score[one] - score[other] for one, other in itertools.pairwise(order)]
    gaps = [min(before, after) for before, after in zip([1.0, *steps], [*steps, 1.0], strict=True)]
    unsure = {one for one, gap in zip(order, gaps, strict=True) if gap < tolerance}
    sure = {one for one in pool if one not in unsure and score[one] > last + tolerance}
    greatest = dict.fromkeys(score, 0.0)
    for n, row in enumerate(found):
        chosen = row["photo_id"]
        if chosen not in pool and chosen not in unsure:
            return f"{chosen} is not among the first {len(pool)}"
        marginal = {one: (1 - weight) * score[one] - weight * greatest[one] for one in {*sure, chosen}}
        best = max(marginal, key=marginal.__getitem__) if n else order[0]
        best_marginal = marginal.get(best, (1 - weight) * score[best])
        if marginal[chosen] < best_marginal - 4 * tolerance:
            return f"rank {n + 1} is {chosen} with {marginal[chosen]}, but {best} has {best_marginal}"
        if abs(row["score"] - marginal[chosen]) > 4 * tolerance:
            return f"{chosen} has the score {row['score']}, not {marginal[chosen]}"
        names = list(score)
        near = photos.distances(photos.X[photos.at[chosen]], [photos.at[one] for one in names])
        for one, distance in zip(names, near, strict=True):
            alike = max(0.0, 1 - distance / scale[1])
            greatest[one] = max(greatest[one], alike) if n else alike
        sure.discard(chosen)
    return None


def _query(photos: Photos, asked: Asked) -> Vectors:
    """The vector that distances are from."""
    if asked.vector is not None:
        like = asked.vector[None]
    else:
        like = photos.X[[photos.at[photo_id] for photo_id in asked.photos]]
    unlike = photos.X[[photos.at[photo_id] for photo_id in asked.unlike]]
    if len(like) == 1 and not len(unlike):
        return np.asarray(like[0])
    if photos.metric == "cosine":
        like, unlike = _unit(like), _unit(unlike)
    mean = like.mean(axis=0)
    return np.asarray(mean + UNLIKE * (mean - unlike.mean(axis=0)) if len(unlike) else mean)


def _unit(X: Vectors) -> Vectors:
    lengths = np.sqrt((X * X).sum(axis=1, keepdims=True))
    return np.divide(X, lengths, out=np.zeros_like(X), where=lengths > 0)


def _matching(photos: Photos, options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The first label that matches, by photo; of a photo without one, that of no source."""
    where, popular = options.get("where"), options.get("popular", False)
    if where is None and not popular:
        return {photo_id: labels[0] for photo_id, labels in photos.labels.items()}
    is_popular = _popular(photos, options.get("popular_within"))
    found = {}
    for photo_id, labels in photos.labels.items():
        for label in labels:
            if label["source"] is None or (where is not None and not PREDICATES[where](label)):
                continue
            if not popular or is_popular(label):
                found[photo_id] = label
                break
    return found


def _popular(photos: Photos, within: str | None) -> Callable[[Label], bool]:
    """Whether a label is above the median of its population."""
    if within is None:
        return lambda label: bool(label["popular"])
    every = [label for labels in photos.labels.values() for label in labels if label["source"]]
    share = WITHIN[within]
    groups = _groups(every, lambda label: (label["source"], share(label)))
    medians = {key: float(np.median([label["value"] for label in group])) for key, group in groups.items()}
    return lambda label: label["value"] > medians[label["source"], share(label)]


def _popularity(label: Label, options: Mapping[str, Any]) -> float:
    if options.get("popularity_by", "like_ratio") == "percentile":
        return float(label["within_gender"]) if label["source"] else 50.0
    return float(label["smoothed"] if label["source"] else label["prior"])


def _add_bands(labels: Iterable[dict[str, Any]]) -> None:
    """Cut the labels of a source, in order of followers, into as many equal bands as there are hundreds."""
    for label in labels:
        label["band"] = None
    known = [label for label in labels if label["followers"] is not None]
    for group in _groups(known, lambda label: label["source"]).values():
        group.sort(key=lambda label: (label["followers"], label["user_id"], label["photo_id"]))
        n_bands = max(len(group) // 100, 1)
        for place, label in enumerate(group):
            label["band"] = place * n_bands // len(group)


def _first_of_owner(score: Mapping[str, float], owner: Mapping[str, str], per_user: int | None) -> list[str]:
    """The photos in order of score, with at most `per_user` of one owner."""
    counts: Counter[str] = Counter()
    kept = []
    for one in sorted(score, key=lambda one: (-score[one], one)):
        counts[owner[one]] += 1
        if per_user is None or counts[owner[one]] <= per_user:
            kept.append(one)
    return kept


def _scaled(values: Mapping[str, float]) -> dict[str, float]:
    """Scale to 0..1; where all are equal, each is 1."""
    low, high = min(values.values()), max(values.values())
    return {one: (value - low) / (high - low) if high > low else 1.0 for one, value in values.items()}


def _groups(labels: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    groups = defaultdict(list)
    for label in labels:
        groups[key(label)].append(label)
    return dict(groups)


def drawn(random: Random, photos: Mapping[str, Photos]) -> Asked:
    """Draw a search: an encoder, one or several photos or a vector, and some options."""
    encoder = random.choice(sorted(photos))
    known = photos[encoder]
    names = random.sample(known.ids, 6)
    kind = random.choices(("photo", "photos", "vector"), (6, 3, 1))[0]
    vector = None
    if kind == "vector":
        vector = np.round(known.X[known.at[names[0]]] + known.X[known.at[names[1]]], 2).astype(np.float32)
    likes = {"photo": 1, "photos": random.randrange(2, 4), "vector": 0}[kind]
    options: dict[str, Any] = {"k": random.choice((1, 2, 5, 10, 60, 400))}
    if random.random() < 0.5:
        options["where"] = random.choice(list(PREDICATES))
    if random.random() < 0.4:
        options |= {"popular": True} | (
            {} if random.random() < 0.3 else {"popular_within": random.choice(list(WITHIN))}
        )
    if random.random() < 0.3:
        options["per_user"] = random.choice((1, 2, 3))
    if random.random() < 0.25:
        options["other_users"] = True
    if random.random() < 0.3:
        options["popularity"] = random.choice((0.1, 0.3, 0.5, 1.0))
        options["popularity_by"] = random.choice(("like_ratio", "percentile"))
    if random.random() < 0.25:
        options["diverse"] = random.choice((0.1, 0.5, 0.9))
    return Asked(
        encoder,
        tuple(names[:likes]),
        None if vector is None else vector.astype(np.float64),
        tuple(names[4 : 4 + random.randrange(1, 3)]) if kind != "vector" and random.random() < 0.25 else (),
        options,
    )

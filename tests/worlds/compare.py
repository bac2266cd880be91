"""Ingest one world with builds in between, and compare the relations with an independent count."""

from __future__ import annotations

import datetime as dt
import random
import time
from pathlib import Path
from typing import Any

from photogenic import FeatureStore
from photogenic.warehouse.labels.options import LabelOptions
from tests.worlds.recount import recount
from tests.worlds.world import World, write

_KEYS = {
    "swipe_audit": ("reason", "n_swipes, n_likes"),
    "photo_periods": ("photo_id, user_id, valid_from, valid_to", ""),
    "like_ratios": ("photo_id, time_window", "user_id, n_likes, n_swipes, like_ratio, ci_low, ci_high"),
    "gender_breakdown": (
        "time_window, sender_gender, recipient_gender",
        "n_recipients, n_swipes, n_likes, like_ratio, mean_like_ratio",
    ),
    "follower_bounds": ("", "n_users, centre, deviation, low, high"),
    "follower_ratios": (
        "photo_id",
        "user_id, likes, followers, ratio, dropped, percentile, popular, band, band_percentile, band_popular,"
        " user_percentile, user_popular",
    ),
    "photo_labels": ("photo_id, source", "user_id, gender, value, weight, popular, percentile"),
    "population": ("stage, gender", "n_users, n_swipes_sent"),
    "photo_setups": ("photo_id, setup", "split"),
    "funnel": ("source, step", "n_users, n_photos, n_swipes"),
}
"""Relation -> its key and the compared columns."""


def compared(seed: int, folder: Path) -> tuple[int, list[str]]:
    """Number of compared relations in one world, and the differences."""
    world, home, n_compared = World(seed), folder / f"world-{seed}", 0
    home.mkdir()
    rng, wrong = world.rng, []
    arrivals: list[tuple[dt.datetime, dt.datetime]] = []
    with FeatureStore(home / "store") as store:
        n_files = rng.choice([3, 6, 12])
        for number in range(n_files):
            file = world.draw()
            path = write(rng, file, home / f"{number}-{file.kind}")
            before = _now()
            getattr(store, f"ingest_{file.kind}")(path)
            arrivals.append((before, _now()))
            last = number == n_files - 1
            for _ in range(2 if last else rng.random() < 0.45):
                options, (as_of, n_visible) = _options(rng), _clock(rng, arrivals, world.grid)
                store.build(only="labels", as_of=as_of, labels=options)
                said, expected = _said(store), recount(world.files[:n_visible], as_of, options)
                n_compared += len(expected)
                for relation, wanted in expected.items():
                    if (found := difference(wanted, said[relation])) is not None:
                        wrong.append(f"world {seed}, file {number}, as of {as_of}, {options}: {relation}: {found}")
    return n_compared, wrong


def _options(rng: random.Random) -> LabelOptions:
    return LabelOptions(
        window=rng.choice(["latest", "every"]),
        min_swipes=rng.choice([1, 1, 2, 3]),
        split_seed=rng.choice([0, 7]),
        hashtag=rng.choice([None, None, "me"]),
        follower_scale=rng.choice(["linear", "log"]),
        mad_threshold=rng.choice([3.0, 1.0, 0.0]),
        normalise=rng.choice(["all", "band", "user"]),
        band_size=rng.choice([2, 3, 100]),
        face_filter=rng.choice(["off", "off", "off", "strict"]),
    )


def _clock(
    rng: random.Random, arrivals: list[tuple[dt.datetime, dt.datetime]], grid: list[dt.datetime]
) -> tuple[dt.datetime | None, int]:
    """Choose the instant of a build, and the number of files that arrived before it."""
    draw = rng.random()
    if draw < 0.5:
        return None, len(arrivals)
    if draw < 0.8:
        n = rng.randrange(1, len(arrivals) + 1)
        return arrivals[n - 1][1], n
    as_of = rng.choice(grid)
    return as_of, sum(after <= as_of for _, after in arrivals)


def _now() -> dt.datetime:
    """Wait for an instant without an arrival."""
    time.sleep(0.002)
    at = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    time.sleep(0.002)
    return at


def _said(store: FeatureStore) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for relation, (key, columns) in _KEYS.items():
        n_key = len(key.split(", ")) if key else 0
        rows = store.sql(f"select {', '.join(filter(None, (key, columns)))} from {relation}").rows()
        if not key:
            (said[relation],) = rows
        elif not columns:
            said[relation] = set(rows)
        else:
            said[relation] = {row[0] if n_key == 1 else row[:n_key]: row[n_key:] for row in rows}
            assert len(said[relation]) == len(rows), f"{relation} has a key twice"
    said["photo_setups"] = {key: row[0] for key, row in said["photo_setups"].items() if key[1] == "all"}
    said["funnel"].pop(("swipes", "with_photo"))  # users who ever showed a photo: not in the independent count
    return said


def difference(wanted: Any, said: Any) -> str | None:
    """Return the first differences; None: there are none."""
    if isinstance(wanted, set):
        return None if wanted == said else f"only recounted {_some(wanted - said)}, only said {_some(said - wanted)}"
    if not isinstance(wanted, dict):
        return None if _same(wanted, said) else f"recounted {wanted}, said {said}"
    if wanted.keys() != said.keys():
        return f"only recounted {_some(wanted.keys() - said.keys())}, only said {_some(said.keys() - wanted.keys())}"
    for key, value in wanted.items():
        if not _same(value, said[key]):
            return f"{key}: recounted {value}, said {said[key]}"
    return None


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-9 * max(1, abs(one), abs(other))
    return bool(one == other)


def _some(keys: Any) -> list[Any]:
    return sorted(keys, key=str)[:3]

"""Expected relations at a moment, counted with lists and dictionaries without the SQL of sql/."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import fmean, median
from typing import Any

from photogenic.warehouse.labels.options import LabelOptions
from tests.worlds.ledger import Known

_Z = 1.959963984540054
_MAD = 1.482602218505602
_ROUNDING = 1e-12


def recount(known: Known, options: LabelOptions) -> dict[str, Any]:
    """Return every compared relation by its key; as a set if a relation has only key columns."""
    audit: dict[str, list[int]] = {}
    seen: dict[str, dict[str, list[int]]] = {"latest": {}, "every": {}}
    cells: dict[tuple[Any, ...], dict[str, list[int]]] = {}
    attributed: Counter[tuple[Any, ...]] = Counter()
    for swipe in known.swipes:
        sender, recipient, liked, at = swipe
        reason, photo = known.fate(swipe)
        genders = tuple(
            known.gender(user) if options.gender == "now" else known.gender_at(user, at) for user in (sender, recipient)
        )
        attributed[_attributed(known, swipe, reason, photo, genders)] += 1
        _count(audit, reason, liked)
        for window in {"kept": ("every", "latest"), "stale_photo": ("every",)}.get(reason, ()):
            assert photo is not None
            _count(seen[window], photo, liked)
            cell = (window, *genders)
            _count(cells.setdefault(cell, {}), recipient, liked)
    out: dict[str, Any] = {
        "photo_swipes": {(*row, n) for row, n in attributed.items()},
        "swipe_audit": {reason: tuple(counts) for reason, counts in audit.items()},
        "photo_periods": {
            (photo, user, start, end)
            for user, periods in known.periods.items()
            for start, end, photo, reason in periods
            if reason in ("kept", "stale_photo")
        },
        "like_ratios": {
            (photo, window): (known.owner[photo], likes, n, likes / n, *_wilson(likes, n))
            for window, counted in seen.items()
            for photo, (n, likes) in counted.items()
        },
        "gender_breakdown": {
            cell: (
                len(counted),
                n := sum(c[0] for c in counted.values()),
                likes := sum(c[1] for c in counted.values()),
                likes / n,
                fmean(c[1] / c[0] for c in counted.values()),
            )
            for cell, counted in cells.items()
        },
    }
    out["follower_bounds"], out["follower_ratios"] = _posts(known, options)
    out["photo_labels"] = _labels(known, seen[options.window], out["follower_ratios"], options)
    out["population"] = _population(known, {row[0] for row in out["photo_labels"].values()})
    out["photo_setups"] = {(photo, "all"): split(row[0], options) for (photo, _), row in out["photo_labels"].items()}
    out["funnel"] = _funnel(known, audit, seen, out)
    return out


def _attributed(
    known: Known, swipe: tuple[Any, ...], reason: str, photo: str | None, genders: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Return a row of photo_swipes."""
    if reason not in ("kept", "stale_photo"):
        return (*swipe, None, reason, *genders, None, None)
    assert photo is not None
    _, recipient, _, at = swipe
    since = [start for start, _, _, _ in known.periods[recipient] if start <= at][-1]
    ages = ((at - then) // dt.timedelta(seconds=1) for then in (known.online_since(photo), since))
    return (*swipe, photo, reason, *genders, *ages)


def _count(counts: dict[Any, list[int]], key: Any, liked: bool) -> None:
    held = counts.setdefault(key, [0, 0])
    held[0] += 1
    held[1] += liked


def _wilson(likes: int, n: int) -> tuple[float, float]:
    ratio, share = likes / n, _Z * _Z / n
    centre = (ratio + share / 2) / (1 + share)
    half = _Z * math.sqrt(ratio * (1 - ratio) / n + share / (4 * n)) / (1 + share)
    return (0.0 if likes == 0 else centre - half), (1.0 if likes == n else centre + half)


def _posts(known: Known, options: LabelOptions) -> tuple[Any, dict[str, Any]]:
    """Return the bounds, and for every post its owner, likes, followers, ratio, reason and ranks."""
    log = options.follower_scale == "log"
    reasons: dict[str, str | None] = {}
    for photo, row in known.photos.items():
        if row["likes"] is not None:
            reasons[photo] = _not_collected(known, photo, row, options)
    owners = {known.owner[photo] for photo, reason in reasons.items() if reason is None}
    counts = [followers for owner in owners if (followers := known.followers(owner))]
    bounds: tuple[Any, ...] = (0, None, None, None, None)
    if counts:
        scaled = [math.log(n) if log else float(n) for n in counts]
        centre = median(scaled)
        deviation = _MAD * median(abs(x - centre) for x in scaled)
        reach = options.mad_threshold * deviation
        low, high = (math.exp(end) if log else end for end in (centre - reach, centre + reach))
        bounds = (len(counts), centre, deviation, low, high)
        slack = _ROUNDING * (abs(centre) + reach) if log else 0.0
        for photo, reason in reasons.items():
            if reason is None:
                x = known.followers(known.owner[photo]) or 0
                x = math.log(x) if log else x
                if x < centre - reach - slack:
                    reasons[photo] = "mad_low"
                elif x > centre + reach + slack:
                    reasons[photo] = "mad_high"
                elif options.face_filter != "off":
                    reasons[photo] = "no_picture"
    if options.normalise == "user":
        n_kept = Counter(known.owner[photo] for photo, reason in reasons.items() if reason is None)
        for photo, reason in reasons.items():
            if reason is None and n_kept[known.owner[photo]] < 2:
                reasons[photo] = "only_post"
    return bounds, _ranked(known, reasons, options.band_size)


def _not_collected(known: Known, photo: str, row: Mapping[str, Any], options: LabelOptions) -> str | None:
    if row["posted_at"] is None:
        return "no_date"
    if row["posted_at"] < options.earliest_post:
        return "impossible_date"
    if row["posted_at"] + dt.timedelta(days=options.min_age_days) > known.observed_at:
        return "too_young"
    if options.hashtag is not None and options.hashtag not in (row["hashtags"] or []):
        return "hashtag"
    return None if known.followers(known.owner[photo]) else "no_followers"


def _ranked(known: Known, reasons: Mapping[str, str | None], band_size: int) -> dict[str, Any]:
    ratio, rows = {}, {}
    for photo in reasons:
        likes, followers = known.photos[photo]["likes"], known.followers(known.owner[photo])
        ratio[photo] = likes / followers if followers else None
        rows[photo] = (known.owner[photo], likes, followers, ratio[photo], reasons[photo])
    kept = [photo for photo, reason in reasons.items() if reason is None]
    order = sorted(kept, key=lambda p: (known.followers(known.owner[p]), known.owner[p].encode(), p.encode()))
    band = {photo: at // band_size for at, photo in enumerate(order)}

    def rank(photo: str, group: Iterable[str]) -> tuple[float, bool]:
        return _rank(ratio[photo], [ratio[other] for other in group])

    for photo in kept:
        in_band = [other for other in kept if band[other] == band[photo]]
        of_user = [other for other in kept if known.owner[other] == known.owner[photo]]
        rows[photo] += (*rank(photo, kept), band[photo], *rank(photo, in_band), *rank(photo, of_user))
    return {photo: row if reasons[photo] is None else (*row, *[None] * 7) for photo, row in rows.items()}


def _rank(value: Any, values: list[Any]) -> tuple[float, bool]:
    """Return the percentile, and whether the value is above the median."""
    others = len(values) - 1
    return (100 * sum(other < value for other in values) / others if others else 0.0), value > median(values)


def _labels(
    known: Known, seen: Mapping[str, list[int]], posts: Mapping[str, Any], options: LabelOptions
) -> dict[tuple[str, str], tuple[Any, ...]]:
    labels: dict[tuple[str, str], tuple[Any, ...]] = {}
    left = {photo: counts for photo, counts in seen.items() if photo not in known.deleted_photos}
    left = {photo: counts for photo, counts in left.items() if known.owner[photo] not in known.deleted_users}
    enough = {photo: (likes / n, n) for photo, (n, likes) in left.items() if n >= options.min_swipes}
    values = [value for value, _ in enough.values()]
    for photo, (value, n) in enough.items():
        owner = known.owner[photo]
        percentile, popular = _rank(value, values)
        gender = known.gender(owner)
        if options.gender == "then":
            gender = known.gender_at(owner, max(period[0] for period in known.periods[owner] if period[2] == photo))
        labels[photo, "swipes"] = (owner, gender, value, float(n), popular, percentile)
    at = {"all": 5, "band": 8, "user": 10}[options.normalise]
    for photo, row in posts.items():
        if row[4] is None:
            percentile, popular = row[at], row[at + 1]
            gender, posted_at = known.gender(row[0]), known.posted_at[photo]
            if options.gender == "then" and posted_at is not None:
                gender = known.gender_at(row[0], posted_at)
            labels[photo, "posts"] = (row[0], gender, row[3], 1.0, popular, percentile)
    return labels


def _population(known: Known, labelled: set[str]) -> dict[tuple[str, str | None], tuple[int, ...]]:
    sent = Counter(swipe[0] for swipe in known.swipes)
    found: dict[tuple[str, str | None], list[int]] = {}
    with_photo = set(known.owner.values())
    for user in {*known.members, *sent}:
        if user not in known.members:
            stages = {"unknown_sender": True}
        else:
            stages = {"ingested": True, "with_photo": user in with_photo, "labelled": user in labelled}
        for stage in (stage for stage, holds in stages.items() if holds):
            counts = found.setdefault((stage, known.gender(user)), [0, 0])
            counts[0] += 1
            counts[1] += sent[user]
    return {key: tuple(counts) for key, counts in found.items()}


def _funnel(
    known: Known,
    audit: Mapping[str, list[int]],
    seen: Mapping[str, Mapping[str, list[int]]],
    out: Mapping[str, Any],
) -> dict[tuple[str, str], tuple[int | None, ...]]:
    """Return the numbers of users, photos and swipes after each step."""
    labels, posts = out["photo_labels"], out["follower_ratios"]
    found: dict[tuple[str, str], tuple[int | None, ...]] = {}
    n_all = sum(n for n, _ in audit.values())
    found["swipes", "ingested"] = (len(known.members), len(known.owner), n_all)
    for window, counted in seen.items():
        owners = {known.owner[photo] for photo in counted}
        found["swipes", window] = (len(owners), len(counted), sum(n for n, _ in counted.values()))
    mine = {photo: row for (photo, source), row in labels.items() if source == "swipes"}
    found["swipes", "labelled"] = (len({r[0] for r in mine.values()}), len(mine), sum(int(r[3]) for r in mine.values()))
    steps = {
        "collected": ("no_date", "impossible_date", "too_young", "hashtag", "no_followers"),
        "within_bounds": ("mad_low", "mad_high"),
        "with_face": ("no_picture", "no_face"),
        "labelled": ("only_post",),
    }
    left = dict(posts)
    found["posts", "ingested"] = (len({row[0] for row in left.values()}), len(left), None)
    for step, reasons in steps.items():
        left = {photo: row for photo, row in left.items() if row[4] not in reasons}
        found["posts", step] = (len({row[0] for row in left.values()}), len(left), None)
    return found


def split(owner: str, options: LabelOptions) -> str:
    """Return the users whose photos are all in one split."""
    draw = hashlib.md5(f"all:{options.split_seed}:{owner}".encode()).hexdigest()[:8]
    return "train" if draw < "cccccccc" else "dev" if draw < "e6666666" else "test"

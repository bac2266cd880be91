"""Expected relations of given files, counted with lists and dictionaries without the SQL of sql/."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import fmean, median
from typing import Any

from photogenic.warehouse.labels.options import LabelOptions
from tests.worlds.world import File

FAR = dt.datetime(9999, 12, 31)
_Z = 1.959963984540054
_MAD = 1.482602218505602
_ROUNDING = 1e-12


class Known:
    """Facts that had arrived and happened before an instant."""

    def __init__(self, files: Iterable[File], as_of: dt.datetime) -> None:
        self.users: dict[str, dict[str, Any]] = {}
        self.photos: dict[str, dict[str, Any]] = {}
        self.claims: dict[str, str] = {}
        self.events: set[tuple[str, str | None, dt.datetime]] = set()
        self.swipes: set[tuple[str, str, bool, dt.datetime]] = set()
        for file in files:
            getattr(self, f"_{file.kind}")(file)
        self.users = {u: v for u, v in self.users.items() if v["created_at"] is None or v["created_at"] < as_of}
        self.photos = {p: v for p, v in self.photos.items() if v["posted_at"] is None or v["posted_at"] < as_of}
        self.events = {event for event in self.events if event[2] < as_of}
        self.swipes = {swipe for swipe in self.swipes if swipe[3] < as_of}
        self.owner = {photo: self.claims[photo] for photo in self.photos}
        for user, photo, _ in sorted(self.events, key=lambda event: (event[2], event[0].encode())):
            if photo is not None:
                self.owner.setdefault(photo, user)
        self.periods = {user: self._periods(user) for user in self.users}

    def gender(self, user: str) -> str | None:
        return self.users[user]["gender"] if user in self.users else None

    def followers(self, user: str) -> int | None:
        return self.users[user]["followers"] if user in self.users else None

    def _users(self, file: File) -> None:
        for user, row in {row["user_id"]: row for row in file.rows}.items():
            held = self.users.setdefault(user, dict.fromkeys(("gender", "followers", "created_at")))
            held |= {name: row[name] for name in held if name in file.columns}

    def _photos(self, file: File) -> None:
        last = {}
        for row in file.rows:
            photo, user = row["photo_id"], row["user_id"]
            if self.claims.setdefault(photo, user) != user:
                continue  # the first claim holds
            last[photo] = row
            if "set_at" in file.columns and row["set_at"] is not None:
                self.events.add((user, photo, row["set_at"]))
        for photo, row in last.items():
            held = self.photos.setdefault(photo, dict.fromkeys(("posted_at", "likes", "hashtags")))
            held |= {name: row[name] for name in held if name in file.columns}

    def _main_photos(self, file: File) -> None:
        self.events |= {(row["user_id"], row["photo_id"], row["set_at"]) for row in file.rows}

    def _swipes(self, file: File) -> None:
        self.swipes |= {(r["sender_id"], r["recipient_id"], r["liked"], r["swiped_at"]) for r in file.rows}

    def _periods(self, user: str) -> list[tuple[dt.datetime, dt.datetime | None, str | None, str]]:
        """Yield start, end, photo and reason of swipes of each stretch."""
        at: dict[dt.datetime, list[str]] = {}
        for owner, photo, instant in self.events:
            if owner == user:
                at.setdefault(instant, []).extend([] if photo is None else [photo])
        changes: list[tuple[dt.datetime, str | None]] = []
        for instant in sorted(at):
            photo = max(at[instant], key=str.encode, default=None)
            if photo != (changes[-1][1] if changes else None):
                changes.append((instant, photo))
        found = []
        for (start, photo), (end, _) in zip(changes, [*changes[1:], (None, None)], strict=False):
            if photo is None:
                reason = "photo_removed"
            elif self.owner[photo] != user:
                reason = "foreign_photo"
            else:
                reason = "kept" if end is None else "stale_photo"
            found.append((start, end, photo, reason))
        return found

    def fate(self, swipe: tuple[str, str, bool, dt.datetime]) -> tuple[str, str | None]:
        """Return the reason of a swipe, and its photo."""
        sender, recipient, _, at = swipe
        if recipient not in self.users:
            return "unknown_recipient", None
        periods = self.periods[recipient]
        if not periods:
            return "no_photo", None
        if at < periods[0][0]:
            return "before_first_photo", None
        _, _, photo, reason = [period for period in periods if period[0] <= at][-1]
        return ("self_swipe" if sender == recipient else reason), photo


def recount(files: Iterable[File], as_of: dt.datetime | None, options: LabelOptions) -> dict[str, Any]:
    """Return every compared relation by its key; as a set if a relation has only key columns."""
    known = Known(files, as_of or FAR)
    audit: dict[str, list[int]] = {}
    seen: dict[str, dict[str, list[int]]] = {"latest": {}, "every": {}}
    cells: dict[tuple[Any, ...], dict[str, list[int]]] = {}
    for swipe in known.swipes:
        sender, recipient, liked, _ = swipe
        reason, photo = known.fate(swipe)
        _count(audit, reason, liked)
        for window in {"kept": ("every", "latest"), "stale_photo": ("every",)}.get(reason, ()):
            assert photo is not None
            _count(seen[window], photo, liked)
            cell = (window, known.gender(sender), known.gender(recipient))
            _count(cells.setdefault(cell, {}), recipient, liked)
    out: dict[str, Any] = {
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
    out["follower_bounds"], out["follower_ratios"] = _posts(known, as_of, options)
    out["photo_labels"] = _labels(known, seen[options.window], out["follower_ratios"], options)
    out["population"] = _population(known, {row[0] for row in out["photo_labels"].values()})
    out["photo_setups"] = {(photo, "all"): split(row[0], options) for (photo, _), row in out["photo_labels"].items()}
    out["funnel"] = _funnel(known, audit, seen, out)
    return out


def _count(counts: dict[Any, list[int]], key: Any, liked: bool) -> None:
    held = counts.setdefault(key, [0, 0])
    held[0] += 1
    held[1] += liked


def _wilson(likes: int, n: int) -> tuple[float, float]:
    ratio, share = likes / n, _Z * _Z / n
    centre = (ratio + share / 2) / (1 + share)
    half = _Z * math.sqrt(ratio * (1 - ratio) / n + share / (4 * n)) / (1 + share)
    return (0.0 if likes == 0 else centre - half), (1.0 if likes == n else centre + half)


def _posts(known: Known, as_of: dt.datetime | None, options: LabelOptions) -> tuple[Any, dict[str, Any]]:
    """Return the bounds, and for every post its owner, likes, followers, ratio, reason and ranks."""
    seen_at = as_of or dt.datetime.now(dt.UTC).replace(tzinfo=None)
    log = options.follower_scale == "log"
    reasons: dict[str, str | None] = {}
    for photo, row in known.photos.items():
        if row["likes"] is not None:
            reasons[photo] = _not_collected(known, photo, row, seen_at, options)
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


def _not_collected(
    known: Known, photo: str, row: Mapping[str, Any], seen_at: dt.datetime, options: LabelOptions
) -> str | None:
    if row["posted_at"] is None:
        return "no_date"
    if row["posted_at"] < options.earliest_post:
        return "impossible_date"
    if row["posted_at"] + dt.timedelta(days=options.min_age_days) > seen_at:
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
    enough = {photo: (likes / n, n) for photo, (n, likes) in seen.items() if n >= options.min_swipes}
    values = [value for value, _ in enough.values()]
    for photo, (value, n) in enough.items():
        owner = known.owner[photo]
        percentile, popular = _rank(value, values)
        labels[photo, "swipes"] = (owner, known.gender(owner), value, float(n), popular, percentile)
    at = {"all": 5, "band": 8, "user": 10}[options.normalise]
    for photo, row in posts.items():
        if row[4] is None:
            percentile, popular = row[at], row[at + 1]
            labels[photo, "posts"] = (row[0], known.gender(row[0]), row[3], 1.0, popular, percentile)
    return labels


def _population(known: Known, labelled: set[str]) -> dict[tuple[str, str | None], tuple[int, ...]]:
    sent = Counter(swipe[0] for swipe in known.swipes)
    found: dict[tuple[str, str | None], list[int]] = {}
    with_photo = set(known.owner.values())
    for user in {*known.users, *sent}:
        if user not in known.users:
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
    found["swipes", "ingested"] = (len(known.users), len(known.owner), n_all)
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

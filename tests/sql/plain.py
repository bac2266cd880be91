"""Expected relations, computed in the slow and obvious way: the photo of every swipe is looked up in turn."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

Row = tuple[Any, ...]


@dataclass
class Facts:
    """Rows in the form of tests.warehouse.small.add_facts; users and photos in one version each."""

    users: list[Row] = field(default_factory=list)
    photos: list[Row] = field(default_factory=list)
    main_photos: list[Row] = field(default_factory=list)
    swipes: list[Row] = field(default_factory=list)

    def before(self, hour: float) -> Facts:
        return Facts(
            self.users,
            self.photos,
            [event for event in self.main_photos if event[2] < hour],
            [swipe for swipe in self.swipes if swipe[3] < hour],
        )


def owners(facts: Facts) -> dict[str, str]:
    shown = {}
    for user, photo, _ in sorted(facts.main_photos, key=lambda event: (event[2], event[0])):
        if photo is not None:
            shown.setdefault(photo, user)
    return {**shown, **{photo[0]: photo[1] for photo in facts.photos}}


def changes(facts: Facts, user: str) -> list[tuple[float, str | None]]:
    """(instant, photo from then on), without repeats."""
    at_instant: dict[float, list[str | None]] = defaultdict(list)
    for owner, photo, at in facts.main_photos:
        if owner == user:
            at_instant[at].append(photo)
    found: list[tuple[float, str | None]] = []
    for at in sorted(at_instant):
        photos = [photo for photo in at_instant[at] if photo is not None]
        photo = max(photos) if photos else None
        if photo != (found[-1][1] if found else None):
            found.append((at, photo))
    return found


def fate(facts: Facts, swipe: Row, cuts: dict[str, list[tuple[float, str | None]]], owner: dict[str, str]) -> Row:
    """(reason, photo) of one swipe."""
    sender, recipient, _, at = swipe
    if recipient not in cuts:
        return "unknown_recipient", None
    if not cuts[recipient]:
        return "no_photo", None
    past = [cut for cut in cuts[recipient] if cut[0] <= at]
    if not past:
        return "before_first_photo", None
    if sender == recipient:
        return "self_swipe", None
    photo = past[-1][1]
    if photo is None:
        return "photo_removed", None
    if owner[photo] != recipient:
        return "foreign_photo", None
    return ("kept" if past[-1] is cuts[recipient][-1] else "stale_photo"), photo


def periods(facts: Facts) -> set[Row]:
    owner, found = owners(facts), set()
    for user, *_ in facts.users:
        for (at, photo), (until, _) in pairwise([*changes(facts, user), (None, None)]):
            if photo is not None and owner[photo] == user:
                found.add((photo, user, at, until))
    return found


def swipe_audit(facts: Facts) -> dict[str, tuple[int, int]]:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (reason, _), swipe in _fates(facts):
        counts[reason][0] += 1
        counts[reason][1] += swipe[2]
    return {reason: (n, k) for reason, (n, k) in counts.items()}


def like_ratios(facts: Facts) -> dict[tuple[str, str], tuple[int, int]]:
    """(photo, window) -> (likes, swipes)."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for (reason, photo), swipe in _fates(facts):
        for window in _windows(reason):
            counts[photo, window][0] += swipe[2]
            counts[photo, window][1] += 1
    return {key: (k, n) for key, (k, n) in counts.items()}


def gender_breakdown(facts: Facts) -> dict[Row, Row]:
    """(window, sender gender, recipient gender) -> (recipients, swipes, likes, mean ratio)."""
    gender = {user[0]: user[1] for user in facts.users}
    of_recipient: dict[Row, Counter[str]] = defaultdict(Counter)
    for (reason, _), (sender, recipient, liked, _) in _fates(facts):
        for window in _windows(reason):
            cell = of_recipient[window, gender.get(sender), gender[recipient], recipient]
            cell["swipes"] += 1
            cell["likes"] += liked
    groups: dict[Row, list[Counter[str]]] = defaultdict(list)
    for key, cell in of_recipient.items():
        groups[key[:3]].append(cell)
    return {
        key: (
            len(cells),
            sum(c["swipes"] for c in cells),
            sum(c["likes"] for c in cells),
            float(np.mean([c["likes"] / c["swipes"] for c in cells])),
        )
        for key, cells in groups.items()
    }


def _windows(reason: str) -> tuple[str, ...]:
    return {"kept": ("latest", "every"), "stale_photo": ("every",)}.get(reason, ())


def _fates(facts: Facts) -> list[tuple[Row, Row]]:
    cuts, owner = {user[0]: changes(facts, user[0]) for user in facts.users}, owners(facts)
    return [(fate(facts, swipe, cuts, owner), swipe) for swipe in facts.swipes]

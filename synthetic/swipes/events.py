"""Changes of main photo in the synthetic world, and the reason of a swipe at any instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photogenic.synthetic.swipes.people import END, START, People, Photos

__all__ = ["NO_EVENT", "REASONS", "Events", "draw_events"]

REASONS = (
    "kept",
    "stale_photo",
    "before_first_photo",
    "photo_removed",
    "no_photo",
    "foreign_photo",
    "unknown_recipient",
    "self_swipe",
)
"""Reasons of the relation swipe_audit. The code of a reason is its place in this tuple."""

NO_EVENT = -1


@dataclass(frozen=True)
class Events:
    """Changes of main photo, sorted by user and time; consecutive changes of a user differ.

    Attributes:
        user: row in `People`.
        photo: row in `Photos`; -1: the photo was removed.
        at: time in microseconds since 1970.
        reason: code in `REASONS` of a swipe between this event and the next one of the user.
        without: (n_people,) code of a swipe before the first event.
    """

    user: NDArray[np.int32]
    photo: NDArray[np.int32]
    at: NDArray[np.int64]
    reason: NDArray[np.int8]
    without: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.user)

    def shown(self, user: NDArray[np.int32], at: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """Return the valid event for each (user, instant), `NO_EVENT` if there is none, and the reason code."""
        event = np.searchsorted(_keys(self.user, self.at), _keys(user, at), side="right") - 1
        event = np.where((event >= 0) & (self.user[event] == user), event, NO_EVENT)
        return event, np.where(event == NO_EVENT, self.without[user], self.reason[event])


def draw_events(people: People, photos: Photos, rng: np.random.Generator) -> Events:
    """Show every photo once; then, for a few users, an old photo again, a removal, or the photo of another user."""
    first = np.flatnonzero(np.diff(photos.owner, prepend=-1))
    last = np.append(first[1:], len(photos)) - 1
    owners = photos.owner[last]
    soon, later = photos.set_at[last] + (
        np.sort(rng.random((2, len(last))), axis=0) * (END - photos.set_at[last])
    ).astype(np.int64)
    # Consecutive pieces of one shuffled list, so that no user gets two of these events.
    returns, removed, restored, stolen, _ = np.split(
        rng.permutation(len(last)), _shares(len(last), 0.06, 0.025, 0.025, 0.002)
    )
    returns = returns[first[returns] < last[returns]]
    taken_off = np.concatenate([removed, restored])
    user = [photos.owner, owners[returns], owners[taken_off], owners[restored], owners[stolen]]
    nothing, anything = np.full(len(taken_off), -1), rng.integers(0, len(photos), len(stolen))
    photo = [np.arange(len(photos)), first[returns], nothing, last[restored], anything]
    at = [photos.set_at, soon[returns], soon[taken_off], later[restored], soon[stolen]]
    return _timeline(np.concatenate(user), np.concatenate(photo), np.concatenate(at), people, photos)


def _shares(n: int, *shares: float) -> NDArray[np.int64]:
    """Return where to cut `n` items into these shares, at least one each."""
    return np.cumsum([max(1, round(n * share)) for share in shares])


def _timeline(
    user: NDArray[np.int32], photo: NDArray[np.int64], at: NDArray[np.int64], people: People, photos: Photos
) -> Events:
    """Sort the events, and set the reason of a swipe after each one."""
    order = np.lexsort((at, user))
    user, photo, at = user[order], photo[order], at[order]
    change = np.append(True, (user[1:] != user[:-1]) | (photo[1:] != photo[:-1]))
    user, photo, at = user[change], photo[change], at[change]
    is_last = np.append(user[1:] != user[:-1], True)
    reason = np.where(is_last, _code("kept"), _code("stale_photo"))
    reason[photos.owner[photo] != user] = _code("foreign_photo")
    reason[photo < 0] = _code("photo_removed")
    without = np.full(len(people), _code("no_photo"), np.int8)
    without[user] = _code("before_first_photo")
    return Events(user, photo.astype(np.int32), at, reason.astype(np.int8), without)


def _code(reason: str) -> int:
    return REASONS.index(reason)


def _keys(user: NDArray[np.int32], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Combine user and time into one sortable number; a world lasts less than 2**45 microseconds."""
    return (user.astype(np.int64) << 46) + (at - START)

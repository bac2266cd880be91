"""Draw the swipe log of the synthetic world in slices of time, so that 40 million rows need the memory of one slice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from photogenic.synthetic.swipes.events import NO_EVENT, REASONS, Events
from photogenic.synthetic.swipes.people import END, START, People, Photos
from photogenic.synthetic.swipes.planted_rule import chances, fit_offsets, scores

__all__ = ["SLICE", "Slice", "Swiping", "draw_slice", "prepare", "swipe"]

SLICE = 1_000_000
"""Largest number of swipes in a slice, and so in a row group."""

_TO_WOMEN = np.array([0.10, 0.88])
_TO_MEN = 1 - _TO_WOMEN
"""Share of the swipes of women, and of men, that are on women and on men."""

_GHOSTS = 0.004
"""Share of swipes whose recipient, and share of those whose sender, has deleted the account."""

_SELF = 0.0002


@dataclass(frozen=True)
class Swiping:
    """Inputs of the swipe log.

    Attributes:
        offset: log-odds by looks of viewer and owner (2, 2).
        score: log-odds of the photo of each event; after a removal, those of the last photo.
        n_ghosts: number of deleted accounts, which are senders and recipients numbered from `len(people)` on.
    """

    people: People
    events: Events
    offset: NDArray[np.float64]
    score: NDArray[np.float64]
    n_ghosts: int

    def chance_of(self, score: NDArray[np.float64], looks: int) -> NDArray[np.float64]:
        """Return the probability of a like by the average viewer, for photos with these scores and owners' looks."""
        seen = np.bincount(self.people.looks, self.people.sends, minlength=2) * (_TO_WOMEN if looks == 0 else _TO_MEN)
        by_viewer = chances(self.offset[:, looks, None] + score)
        return np.asarray(np.average(by_viewer, axis=0, weights=seen))


@dataclass(frozen=True)
class Slice:
    """Swipes in order of time, one array per column; `event`, `reason` and `chance` are the ground truth."""

    sender: NDArray[np.int32]
    recipient: NDArray[np.int32]
    liked: NDArray[np.bool_]
    at: NDArray[np.int64]
    event: NDArray[np.int64]
    reason: NDArray[np.int8]
    chance: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sender)

    def head(self, n: int) -> Slice:
        """Return the first `n` swipes."""
        return Slice(*(getattr(self, field.name)[:n] for field in fields(self)))


def prepare(people: People, photos: Photos, events: Events) -> Swiping:
    """Fit the offsets to the photos that are shown at the end, weighted by how often they are seen."""
    score = scores(photos.traits, photos.n_people)
    latest = np.flatnonzero(events.reason == REASONS.index("kept"))
    owner = events.user[latest]
    weight = np.asarray(people.receives[owner] * (END - events.at[latest]), np.float64)
    offset = fit_offsets(score[events.photo[latest]], weight, people.looks[owner])
    shown = np.where(events.photo >= 0, score[events.photo], score.min())
    return Swiping(people, events, offset, np.append(shown, score.min()), n_ghosts=max(5, len(people) // 400))


def swipe(world: Swiping, n: int, rng: np.random.Generator, *, until: int = END) -> Iterator[Slice]:
    """Yield `n` swipes until an instant in slices, in proportion to the number of users who have joined."""
    edges = np.linspace(START, until, max(24, 2 * n // SLICE) + 1).astype(np.int64)
    active = np.array([world.people.sends[world.people.joined_at <= edge].sum() for edge in edges[1:]], np.float64)
    ends = np.round(np.cumsum(active) / active.sum() * n).astype(np.int64)
    sizes = np.diff(ends, prepend=0)
    for start, stop, size in zip(edges[:-1].tolist(), edges[1:].tolist(), sizes.tolist(), strict=True):
        yield draw_slice(world, start, stop, size, rng)


def draw_slice(world: Swiping, start: int, stop: int, n: int, rng: np.random.Generator) -> Slice:
    """Draw `n` swipes between two instants."""
    people = world.people
    here = people.joined_at <= stop
    at = np.sort(rng.integers(start, stop, n))
    sender = _draw(np.where(here, people.sends, 0), n, rng)
    to_women = rng.random(n) < _TO_WOMEN[people.looks[sender]]
    recipient = np.empty(n, np.int32)
    for looks, chosen in ((0, to_women), (1, ~to_women)):
        theirs = here & (people.looks == looks)
        some = theirs if theirs.any() else here  # in a small world, the first days may be all women or all men
        recipient[chosen] = _draw(np.where(some, people.receives, 0), int(chosen.sum()), rng)

    itself = rng.random(n) < _SELF
    recipient[itself] = sender[itself]
    event, reason = world.events.shown(recipient, at)
    itself = sender == recipient
    reason[itself & (event != NO_EVENT)] = REASONS.index("self_swipe")
    odds = world.offset[people.looks[sender], people.looks[recipient]] + world.score[event]
    chance = chances(odds)
    liked = rng.random(n) < chance

    gone = (rng.random(n) < _GHOSTS) & ~itself
    recipient[gone] = len(people) + rng.integers(0, world.n_ghosts, gone.sum())
    reason[gone] = REASONS.index("unknown_recipient")
    event[gone] = NO_EVENT
    # A swipe on oneself without a photo would have two reasons, so another sender is drawn.
    gone = np.where(itself, event == NO_EVENT, rng.random(n) < _GHOSTS)
    sender[gone] = len(people) + world.n_ghosts + rng.integers(0, world.n_ghosts, gone.sum())
    return Slice(sender, recipient, liked, at, event, reason, chance)


def _draw(weight: NDArray[np.float32], n: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Draw `n` rows, each with a probability in proportion to its weight."""
    total = np.cumsum(weight, dtype=np.float64)
    rows: NDArray[np.int32] = np.searchsorted(total, rng.random(n) * total[-1], side="right").astype(np.int32)
    return rows

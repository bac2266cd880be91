"""Ground truth of the synthetic world that is not in its files: counts, probabilities and planted faults."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from photogenic._lazy import pa, pq
from photogenic.synthetic.swipes.events import REASONS, Events
from photogenic.synthetic.swipes.people import People, Photos
from photogenic.synthetic.swipes.planted_rule import scores
from photogenic.synthetic.swipes.swipes import Slice, Swiping
from photogenic.warehouse.storage.layout import write_atomically

__all__ = ["GENDERS", "Pair", "Planted", "Tally", "Truth", "write_truth_photos"]

GENDERS = ("female", "male", "other", None)
WINDOWS = ("latest", "every")


@dataclass(frozen=True, slots=True)
class Planted:
    """Expected counts of the ingest of one file."""

    kind: str
    file: str
    n_read: int
    n_new: int
    n_known: int = 0
    refused: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pair:
    """One cell of table 1.

    Attributes:
        chance: mean probability of a like over these swipes; `error` is the standard error of `n_likes / n_swipes`.
    """

    time_window: str
    sender_gender: str | None
    recipient_gender: str | None
    n_swipes: int
    n_likes: int
    chance: float
    error: float


@dataclass(frozen=True, slots=True)
class Truth:
    """All ground truth of a world.

    Attributes:
        audit: number of swipes by reason that the warehouse must find.
        media: number of photos by expected status.
        people_in_photo: number of photos by number of people in them.
    """

    seed: int
    n_users: int
    n_photos: int
    n_swipes: int
    rule: dict[str, float]
    accounts: list[Planted]
    audit: dict[str, int]
    breakdown: list[Pair]
    media: dict[str, int]
    people_in_photo: dict[str, int]

    def write(self, path: Path) -> None:
        write_atomically(path, json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def read(cls, path: Path) -> Truth:
        raw: dict[str, Any] = json.loads(path.read_text())
        raw["accounts"] = [Planted(**account) for account in raw["accounts"]]
        raw["breakdown"] = [Pair(**pair) for pair in raw["breakdown"]]
        return cls(**raw)


class Tally:
    """Counter of slices, which stores no slice."""

    def __init__(self, people: People, events: Events, n_photos: int) -> None:
        self._photo = events.photo
        self._gender = np.append(people.gender, np.int8(GENDERS.index(None)))
        self.audit: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self._pairs = np.zeros((4, len(WINDOWS) * 16))  # swipes, likes, sum of p, sum of p (1 - p)
        self.photos = np.zeros((len(WINDOWS), 3, n_photos))  # swipes, likes, sum of p

    def add(self, slice_: Slice) -> None:
        counts = np.bincount(slice_.reason, minlength=len(REASONS))
        self.audit.update(dict(zip(REASONS, counts.tolist(), strict=True)))
        credited = np.flatnonzero(slice_.reason <= REASONS.index("stale_photo"))
        liked, p = slice_.liked[credited].astype(np.float64), slice_.chance[credited]
        photo, latest = self._photo[slice_.event[credited]], slice_.reason[credited] == REASONS.index("kept")
        gender = self._gender
        stranger = len(gender) - 1
        pair = 4 * gender[np.minimum(slice_.sender[credited], stranger)] + gender[slice_.recipient[credited]]
        for window, inside in enumerate((latest, np.ones(len(credited), bool))):
            for row, value in enumerate((np.ones(len(credited)), liked, p, p * (1 - p))):
                self._pairs[row] += np.bincount(pair[inside] + 16 * window, value[inside], self._pairs.shape[1])
                if row < 3:
                    self.photos[window, row] += np.bincount(photo[inside], value[inside], self.photos.shape[2])

    def breakdown(self) -> list[Pair]:
        """Return table 1 for both windows, without empty groups."""
        pairs = []
        for cell, (n, likes, p, variance) in enumerate(self._pairs.T.tolist()):
            if n:
                window, sender, recipient = cell // 16, cell // 4 % 4, cell % 4
                names = WINDOWS[window], GENDERS[sender], GENDERS[recipient]
                pairs.append(Pair(*names, int(n), int(likes), chance=p / n, error=variance**0.5 / n))
        return pairs


def write_truth_photos(path: Path, names: list[str], photos: Photos, world: Swiping, tally: Tally) -> None:
    """Write one row per photo.

    Columns: photo_id; looks of the owner (0 female, 1 male); n_people; every trait; `score`, the log-odds by the
    rule; `chance`, the best prediction of any model of images: the probability of a like by the average viewer
    of such an owner, or of any owner if no person is in the image; and for both windows n_swipes, n_likes and
    `chance_*`, the mean probability over its viewers.
    """
    score = scores(photos.traits, photos.n_people)
    looks = world.people.looks[photos.owner]
    by_looks = [world.chance_of(score, owner) for owner in (0, 1)]
    swipes = np.bincount(looks, tally.photos[1, 0], minlength=2)
    either = np.average(by_looks, axis=0, weights=swipes)
    chance = np.where(photos.n_people == 0, either, np.where(looks == 0, *by_looks))
    columns = {"photo_id": names, "looks": looks, "n_people": photos.n_people, **photos.traits}
    columns |= {"score": score, "chance": chance}
    for window, (n, likes, p) in zip(WINDOWS, tally.photos, strict=True):
        columns[f"n_swipes_{window}"], columns[f"n_likes_{window}"] = n.astype(np.int64), likes.astype(np.int64)
        columns[f"chance_{window}"] = p / np.where(n > 0, n, np.nan)
    pq.write_table(pa.table(columns), path)

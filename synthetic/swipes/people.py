"""Draw users and photos of the synthetic world as columns: one array per trait, one row per user or photo.

All numbers come from one generator. Times are microseconds since 1970, UTC. Traits are in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from photogenic.synthetic.portraits.portrait import Person, Traits

__all__ = ["END", "START", "People", "Photos", "draw_people", "draw_photos"]

Floats = NDArray[np.float32]
Codes = NDArray[np.int8]
Times = NDArray[np.int64]
Rows = NDArray[np.int32]

START = int(np.datetime64("2025-01-01", "us").astype(np.int64))
END = int(np.datetime64("2026-01-01", "us").astype(np.int64))
"""End of the world, which lasts one year."""

_HOUR = 3_600_000_000
_MOST_PHOTOS = 6


@dataclass(frozen=True)
class People:
    """Users. `looks` determines reactions of other users and the portrait; `gender` is the one in the profile.

    Attributes:
        looks: 0 female, 1 male.
        gender: 0 female, 1 male, 2 other, 3 unknown.
        joined_at: time of the first appearance.
        sends, receives: relative rates of swipes sent and received.
        followers: follower counts, heavy-tailed: the standard deviation is several times the mean.
        n_photos: number of main photos over time, 0 to 6.
        traits: values of each `Person` field, (n,).
    """

    looks: Codes
    gender: Codes
    joined_at: Times
    sends: Floats
    receives: Floats
    followers: Times
    n_photos: Codes
    traits: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.looks)

    def person(self, row: int) -> Person:
        return Person(**{name: float(column[row]) for name, column in self.traits.items()})


@dataclass(frozen=True)
class Photos:
    """Photos in order of owner and time.

    Attributes:
        owner: row in `People`.
        n_people: number of people in the image, 0 to 4, including the owner.
        original: row of the photo with the same pixels: its own, or an earlier one of the owner that is uploaded again.
        set_at: time at which it first became the main photo; `posted_at` is earlier.
        traits: values of each numeric `Traits` field, (n,).
    """

    owner: Rows
    n_people: Codes
    original: Rows
    set_at: Times
    posted_at: Times
    traits: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.owner)

    def shot(self, row: int, people: People) -> Traits:
        """Return the traits of a photo; its row determines the other people in the image."""
        others = (int(self.owner[row]) + (row % 97 + 1) * np.arange(int(self.n_people[row]))) % len(people)
        company = tuple(people.person(int(other)) for other in others)
        return Traits(people=company, **{name: float(column[row]) for name, column in self.traits.items()})


def draw_people(n: int, rng: np.random.Generator) -> People:
    """Draw `n` users: 37:63 women and men, a few of other or unknown gender; one man in six has no photo."""
    looks = (rng.random(n) >= 32 / 85).astype(np.int8)
    gender = np.where(rng.random(n) < 0.02, 3, np.where(rng.random(n) < 0.008, 2, looks)).astype(np.int8)
    joined_at = START + (rng.random(n) ** 2 * 0.6 * (END - START)).astype(np.int64)
    receives = np.exp(0.5 * rng.standard_normal(n))
    # Users who receive many swipes change photos more often, so that half of the swipes are on replaced photos.
    n_photos = 1 + rng.poisson(1.2 * receives**1.5)
    has_photo = (looks == 0) | (rng.random(n) < 44 / 53)
    return People(
        looks=looks,
        gender=gender,
        joined_at=joined_at,
        sends=np.exp(rng.standard_normal(n)).astype(np.float32),
        receives=np.where(has_photo, receives, 0.15 * receives).astype(np.float32),
        followers=np.maximum(1, np.exp(5.6 + 1.7 * rng.standard_normal(n))).astype(np.int64),
        n_photos=np.where(has_photo, np.minimum(n_photos, _MOST_PHOTOS), 0).astype(np.int8),
        traits=_faces(looks, rng),
    )


def _faces(looks: Codes, rng: np.random.Generator) -> dict[str, Floats]:
    """Draw the traits of each person. Two numbers are for women and men; single traits overlap, all together do not."""
    n = len(looks)

    def normal(women: tuple[float, float], men: tuple[float, float]) -> Floats:
        mean, spread = (np.where(looks == 0, w, m) for w, m in zip(women, men, strict=True))
        return np.clip(mean + spread * rng.standard_normal(n), 0, 1).astype(np.float32)

    def anyhow() -> Floats:
        return rng.random(n, dtype=np.float32)

    columns = {
        "femininity": normal((0.82, 0.12), (0.18, 0.12)),
        "skin": np.clip(0.32 + 0.28 * rng.standard_normal(n), 0, 1).astype(np.float32),
        "hair": anyhow(),
        "hair_length": normal((0.66, 0.2), (0.16, 0.12)),
        "hair_style": anyhow(),
        "face_width": normal((0.4, 0.22), (0.6, 0.22)),
        "jaw": normal((0.28, 0.18), (0.68, 0.2)),
        "eye_size": normal((0.62, 0.2), (0.4, 0.2)),
        "eye_spacing": anyhow(),
        "eye_colour": anyhow(),
        "brows": normal((0.28, 0.16), (0.64, 0.2)),
        "nose": normal((0.36, 0.2), (0.6, 0.2)),
        "mouth": anyhow(),
        "age": anyhow() ** np.float32(1.6),
        "beard": normal((0.0, 0.0), (0.25, 0.35)),
        "makeup": normal((0.5, 0.3), (0.0, 0.0)),
        "glasses": np.where(anyhow() < 0.18, 1.0, 0.0).astype(np.float32),
        "clothes": anyhow(),
    }
    return {field.name: columns[field.name] for field in fields(Person)}


def draw_photos(people: People, rng: np.random.Generator) -> Photos:
    """Draw the main photos of all users; five of six have one face."""
    owner = np.repeat(np.arange(len(people), dtype=np.int32), people.n_photos)
    n = len(owner)
    n_people = rng.choice(np.arange(5, dtype=np.int8), size=n, p=[0.07, 0.84, 0.05, 0.03, 0.01])
    set_at = _set_times(people, owner, rng)

    def habit(of_person: float, lift: float = 0.0) -> Floats:
        """Draw values over [0, 1]; `of_person` is the share of the variance that photos of one owner have in common."""
        common = rng.standard_normal(len(people))[owner]
        mine = np.sqrt(of_person) * common + np.sqrt(1 - of_person) * rng.standard_normal(n)
        return np.asarray(1 / (1 + np.exp(-1.7 * mine - lift)), np.float32)

    traits = {
        "smile": habit(0.3),
        "gaze": habit(0.1, lift=1.0),
        "closeness": habit(0.2) * np.where(n_people == 1, 1.0, 0.5).astype(np.float32),
        "tilt": (0.5 + 0.35 * (habit(0.0) - 0.5)).astype(np.float32),
        "warmth": habit(0.1),
        "brightness": habit(0.1),
        "hue": rng.random(n, dtype=np.float32),
        "saturation": habit(0.1),
        "clutter": habit(0.1),
    }
    for shown_by_faces in ("smile", "gaze", "closeness"):
        traits[shown_by_faces][n_people == 0] = 0.0
    posted_at = set_at - (rng.random(n) * 48 * _HOUR).astype(np.int64)
    original = np.arange(n, dtype=np.int32)
    again = (rng.random(n) < 0.01) & (np.diff(owner, prepend=-1) == 0)
    original[again] = original[original[again] - 1]
    return Photos(
        owner=owner,
        n_people=n_people[original],
        original=original,
        set_at=set_at,
        posted_at=posted_at,
        traits={name: column[original] for name, column in traits.items()},
    )


def _set_times(people: People, owner: Rows, rng: np.random.Generator) -> Times:
    """Draw the time of the first photo, soon or weeks after joining, and of the others in order."""
    first = np.diff(owner, prepend=-1) != 0
    joined = people.joined_at[owner]
    late = np.where(rng.random(len(owner)) < 0.07, 60 * 24.0, 6.0)  # hours
    soon = joined + (rng.random(len(owner)) * late * _HOUR).astype(np.int64)
    later = (
        joined + 60 * 24 * _HOUR + (rng.random(len(owner)) ** 0.3 * (END - joined - 62 * 24 * _HOUR)).astype(np.int64)
    )
    times = np.where(first, soon, later)
    ordered: Times = times[np.lexsort((times, owner))]
    return ordered

"""Write the synthetic world as files for `features ingest`: CSV with some faulty rows, and the log as Parquet.

Every faulty row has one fault, and the reason of `ingest.tabular.schemas` with which it must be refused.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa, pq
from photogenic.ingest.tabular.schemas import Kind, Reason
from photogenic.synthetic.swipes.events import Events
from photogenic.synthetic.swipes.people import People, Photos
from photogenic.synthetic.swipes.planted_rule import chances, scores
from photogenic.synthetic.swipes.swipes import Slice
from photogenic.synthetic.swipes.truth import Planted

__all__ = ["Names", "SwipeLog", "write_late_swipes", "write_main_photos", "write_photos", "write_users"]

Row = Sequence[str]
Fault = Reason | Literal["known"]
"""Why a row is not new: the reason to refuse it, or that the store has it already."""

Faults = Sequence[tuple[Fault, Row]]

_GENDER_SPELLINGS = (("female", "F", "Woman"), ("male", "M", "man"), ("other", "nonbinary"), ("", "unknown"))
_LIKE_SPELLINGS = (("left", "0", "no"), ("right", "1", "yes"))
_HASHTAGS = ("", " #selfie", " #sunday", " #holiday #sun", " #newhair", " #weekend")


class Names:
    """Ids of users, including deleted accounts, and of photos."""

    def __init__(self, n_users: int, n_ghosts: int, n_photos: int) -> None:
        self.users = [f"u{i:06d}" for i in range(n_users)] + [f"gone{i:04d}" for i in range(2 * n_ghosts)]
        self.photos = [f"p{i:06d}" for i in range(n_photos)]


def write_users(folder: Path, people: People, names: Names, rng: np.random.Generator) -> Planted:
    """Write users.csv, with genders in all supported spellings."""
    spelled = [_GENDER_SPELLINGS[gender] for gender in people.gender.tolist()]
    spelled_as = [
        words[pick % len(words)] for words, pick in zip(spelled, rng.integers(0, 6, len(people)), strict=True)
    ]
    joined = _written(people.joined_at)
    rows = list(zip(names.users, spelled_as, map(str, people.followers.tolist()), joined, strict=False))
    faults: Faults = [
        ("bad_gender", ("faulty1", "robot", "12", joined[0])),
        ("bad_number", ("faulty2", "F", "a few", joined[0])),
        ("bad_time", ("faulty3", "M", "7", "last summer")),
        ("no_user_id", ("", "M", "7", joined[0])),
        ("known", rows[0]),
        ("too_many_columns", ("faulty4", "M", "7", joined[0], "x")),
    ]
    outdated: Faults = [("superseded", (rows[1][0], rows[1][1], "0", rows[1][3]))]
    return _write_csv(folder / "users.csv", "users", rows, faults, rng, before=outdated)


def write_photos(folder: Path, people: People, photos: Photos, names: Names, rng: np.random.Generator) -> Planted:
    """Write photos.csv. Each photo is also a post; likes of followers follow the same rule as swipes."""
    rate = chances(scores(photos.traits, photos.n_people) - 3.2 + 0.4 * rng.standard_normal(len(photos)))
    likes = rng.binomial(people.followers[photos.owner], rate)
    tagged = rng.random(len(photos)) < 0.88
    hashtags = [
        ("#me" if me else "#view") + _HASHTAGS[pick]
        for me, pick in zip(tagged.tolist(), rng.integers(0, len(_HASHTAGS), len(photos)).tolist(), strict=True)
    ]
    owners = [names.users[owner] for owner in photos.owner.tolist()]
    paths = [f"{photo}.jpg" for photo in names.photos]
    posted = _written(photos.posted_at)
    rows = list(zip(names.photos, owners, paths, posted, map(str, likes.tolist()), hashtags, strict=True))
    photo, owner, *rest = rows[0]
    faults: Faults = [
        ("no_photo_id", ("", owner, *rest)),
        ("no_user_id", ("faulty1", "", *rest)),
        ("bad_number", ("faulty2", owner, "faulty2.jpg", posted[0], "-5", "#me")),
        ("bad_time", ("faulty3", owner, "faulty3.jpg", "2025-02-30", "5", "#me")),
        ("known", rows[-1]),
    ]
    claims: Faults = [("photo_of_another_user", (photo, owners[-1], *rest))]
    return _write_csv(folder / "photos.csv", "photos", rows, faults, rng, after=claims)


def write_main_photos(folder: Path, events: Events, names: Names, rng: np.random.Generator) -> Planted:
    """Write main_photos.csv, in which a removal has a blank photo."""
    users = [names.users[user] for user in events.user.tolist()]
    photos = [names.photos[photo] if photo >= 0 else "" for photo in events.photo.tolist()]
    at = _written(events.at)
    rows = list(zip(users, photos, at, strict=True))
    faults: Faults = [
        ("no_user_id", ("", photos[0], at[0])),
        ("no_time", (users[0], photos[0], "")),
        ("bad_time", (users[0], photos[0], "25:61")),
        ("future_time", (users[0], photos[0], "2199-01-01T00:00:00")),
        ("known", rows[0]),
        ("known", rows[-1]),
    ]
    return _write_csv(folder / "main_photos.csv", "main_photos", rows, faults, rng)


class SwipeLog:
    """Writer of swipes.parquet, with one row group per slice, in order of time."""

    def __init__(self, path: Path, names: Names) -> None:

        self.path, self._n = path, 0
        self._names = pa.array(names.users)
        ids, times = pa.dictionary(pa.int32(), pa.string()), pa.timestamp("us")
        self._schema = pa.schema(
            [("sender_id", ids), ("recipient_id", ids), ("liked", pa.bool_()), ("swiped_at", times)]
        )
        # Without Arrow's own schema the ids are read back as plain strings, as from a real export.
        self._file = pq.ParquetWriter(path, self._schema, compression="zstd", store_schema=False)

    def __enter__(self) -> SwipeLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def write(self, slice_: Slice) -> None:

        columns = [
            pa.DictionaryArray.from_arrays(pa.array(slice_.sender), self._names),
            pa.DictionaryArray.from_arrays(pa.array(slice_.recipient), self._names),
            pa.array(slice_.liked),
            pa.array(slice_.at).cast(pa.timestamp("us")),
        ]
        self._file.write_table(pa.table(columns, schema=self._schema), row_group_size=max(1, len(slice_)))
        self._n += len(slice_)

    @property
    def planted(self) -> Planted:
        return Planted("swipes", self.path.name, self._n, self._n)


def write_late_swipes(folder: Path, late: Slice, earlier: Slice, names: Names, rng: np.random.Generator) -> Planted:
    """Write swipes-late.csv, the newest swipes as another program would, with a piece of the log repeated."""
    rows, again = _swipe_rows(late, names, rng), _swipe_rows(earlier, names, rng)
    (sender, recipient, _, at) = rows[0]
    faults: list[tuple[Fault, Row]] = [("known", row) for row in again]
    for _ in range(max(1, len(late) // 500)):
        faults += [
            ("bad_liked", (sender, recipient, "maybe", at)),
            ("bad_liked", (sender, recipient, "", at)),
            ("no_sender_id", ("", recipient, "right", at)),
            ("no_recipient_id", (sender, "", "right", at)),
            ("no_time", (sender, recipient, "left", "")),
            ("bad_time", (sender, recipient, "left", "yesterday")),
            ("future_time", (sender, recipient, "left", "2199-01-01T00:00:00")),
            ("too_few_columns", (sender, recipient)),
            ("too_many_columns", (sender, recipient, "left", at, "x")),
        ]
    return _write_csv(folder / "swipes-late.csv", "swipes", rows, faults, rng)


def _swipe_rows(slice_: Slice, names: Names, rng: np.random.Generator) -> list[Row]:
    senders, recipients = ([names.users[i] for i in column.tolist()] for column in (slice_.sender, slice_.recipient))
    picks = rng.integers(0, 3, len(slice_)).tolist()
    liked = [_LIKE_SPELLINGS[like][pick] for like, pick in zip(slice_.liked.tolist(), picks, strict=True)]
    return list(zip(senders, recipients, liked, _written(slice_.at), strict=True))


_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "users": ("user_id", "gender", "followers", "created_at"),
    "photos": ("photo_id", "user_id", "path", "posted_at", "likes", "hashtags"),
    "main_photos": ("user_id", "photo_id", "set_at"),
    "swipes": ("sender_id", "recipient_id", "liked", "swiped_at"),
}


def _write_csv(
    path: Path,
    kind: Kind,
    rows: Sequence[Row],
    faults: Faults,
    rng: np.random.Generator,
    *,
    before: Faults = (),
    after: Faults = (),
) -> Planted:
    """Write the faulty rows between the others, and rows that must be first or last in their places."""
    places = np.sort(rng.integers(0, len(rows) + 1, len(faults))).tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS[kind])
        writer.writerows(row for _, row in before)
        done = 0
        for place, (_, row) in zip(places, faults, strict=True):
            writer.writerows(rows[done:place])
            writer.writerow(row)
            done = place
        writer.writerows(rows[done:])
        writer.writerows(row for _, row in after)
    reasons: Counter[str] = Counter(reason for reason, _ in (*before, *faults, *after))
    n_known = reasons.pop("known", 0)
    n_read = len(rows) + n_known + reasons.total()
    return Planted(kind, path.name, n_read, len(rows), n_known, dict(sorted(reasons.items())))


def _written(times: NDArray[np.int64]) -> list[str]:
    """Format times as ISO 8601 in UTC, without a zone."""
    written: list[str] = np.datetime_as_string(times.astype("datetime64[us]")).tolist()
    return written

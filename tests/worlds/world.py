"""A small random world as files: users, photos, main photos and swipes that contradict each other.

Events are said again, corrected and retracted, and rows arrive in another order than they are loaded. Only a few
instants are used, so that ties and bounds occur; ids are words that readers may misread.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
TIMES = frozenset({"set_at", "swiped_at", "created_at", "posted_at", "ingested_at", "updated_at", "deleted_at"})
_EPOCH = dt.datetime(1970, 1, 1)
LONG_AGO = dt.datetime(2015, 5, 5)
IDS = [
    *("a", "A", "b", "é", "e\u0301", "😀", "a b", "O'Brien", 'say "hi"', "x,y", "-", "?", "0", "007", "7", "p1", "p10"),
    *("p100", "u1", "u11", "ß", "ss", "İ", "true", "a;b", "a|b", "<b>", "%", "_", "\\n", "#tag", "=1+1", "ab", "abc"),
    *("ﬀ", "Z", "zz", "ä", "z\u0301"),
]
_SPELLINGS = {
    "female": ("female", "F", "w"),
    "male": ("male", "M", "man"),
    "other": ("other", "x"),
    True: ("1", "true", "like", "right", "T"),
    False: ("0", "false", "left", "pass"),
}
_DELETED = {True: ("1", "true", "yes", "T"), False: ("0", "false", "no")}


@dataclass(frozen=True)
class File:
    """Content of one file.

    Attributes:
        arrived_at: the time of arrival that is named with the file; None: the rows say it, or it arrives now.
        retracts: whether the file is one of `features retract`.
    """

    kind: str
    columns: tuple[str, ...]
    rows: list[Row]
    arrived_at: dt.datetime | None = None
    retracts: bool = False


class World:
    """Generator of the files of one world."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.files: list[File] = []
        self.users = rng.sample(IDS, rng.choice([2, 4, 8, 16]))
        self.photos = rng.sample(IDS, rng.choice([3, 6, 14, 24]))
        self.owner = {photo: rng.choice(self.users) for photo in self.photos}
        self.named = rng.choice([0.0, 0.5, 1.0])
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)
        start = now - dt.timedelta(hours=rng.choice([2, 9600]))
        if rng.random() < 0.4:  # changes of clocks in Berlin
            start = rng.choice([dt.datetime(2025, 10, 26), dt.datetime(2025, 3, 30)])
        step = rng.choice([dt.timedelta(microseconds=1), dt.timedelta(seconds=1), dt.timedelta(minutes=11)])
        self.grid = [start + n * step for n in range(rng.choice([4, 12, 40]))]
        here = [at for at in self.grid if at < now] + [now - dt.timedelta(seconds=n) for n in (1, 2)]
        self.arrivals = sorted(rng.sample(here, min(len(here), rng.choice([2, 5]))))
        self._said: dict[str, list[Row]] = {"swipes": [], "main_photos": []}

    def instant(self) -> dt.datetime:
        return self.rng.choice(self.grid)

    def draw(self) -> File:
        """Return the next file."""
        rng, earlier = self.rng, self.files
        if earlier and rng.random() < 0.08:
            file = rng.choice(earlier)
        elif earlier and rng.random() < 0.15:
            kind = rng.choice(["users", "photos", "main_photos", "swipes", "swipes"])
            file = self._retractions(kind) if kind in self._said else self._deletions(kind)
        else:
            file = self._statements(rng.choice(["users", "photos", "main_photos", "swipes", "swipes"]))
        self.files.append(file)
        return file

    def _statements(self, kind: str) -> File:
        rng = self.rng
        needed, optional, row = {
            "users": (["user_id"], ["gender", "followers", "created_at"], self._user),
            "photos": (["photo_id", "user_id"], ["posted_at", "likes", "hashtags", "set_at"], self._photo),
            "main_photos": (["user_id", "photo_id", "set_at"], [], self._main_photo),
            "swipes": (["sender_id", "recipient_id", "liked", "swiped_at"], [], self._swipe),
        }[kind]
        columns = needed + [name for name in optional if rng.random() < 0.75]
        if kind in self._said:
            columns += ["event_id"] * (self.named == 1 or rng.random() < self.named) + ["deleted"] * (
                rng.random() < 0.4
            )
        else:
            columns += [name for name in ("updated_at", "deleted_at", "deleted") if rng.random() < 0.25]
        rows = [row() for _ in range(rng.choice([1, 3, 10, 40]) * (rng.choice([1, 4]) if kind == "swipes" else 1))]
        before = [file for file in self.files if (file.kind, file.retracts) == (kind, False)]
        before = [file for file in before if {*columns} <= {*file.columns}]
        if before and rng.random() < 0.25:  # rows that were there before
            rows += rng.sample(before[0].rows, min(len(before[0].rows), 5))
        if kind in self._said:
            self._said[kind] += [row if "event_id" in columns else row | {"event_id": None} for row in rows]
        return self._arriving(kind, columns, rows)

    def _retractions(self, kind: str) -> File:
        """Return a file that takes back events, among them such that nobody stated."""
        rng = self.rng
        keys = {"swipes": ["sender_id", "recipient_id", "swiped_at"], "main_photos": ["user_id", "set_at"]}[kind]
        row = self._swipe if kind == "swipes" else self._main_photo
        said = self._said[kind]
        rows = [rng.choice(said) if said and rng.random() < 0.8 else row() for _ in range(rng.choice([1, 4, 12]))]
        named = [row for row in rows if row["event_id"] is not None]
        if named and rng.random() < 0.5:
            columns, rows = ["event_id"], named
        else:
            columns = keys + ["event_id"] * (rng.random() < self.named)
        return self._arriving(kind, columns, rows, retracts=True)

    def _deletions(self, kind: str) -> File:
        """Return a file that deletes users or photos, among them such that nobody described."""
        rng = self.rng
        drawn = [self._user() if kind == "users" else self._photo() for _ in range(rng.choice([1, 2]))]
        columns = ["user_id"] if kind == "users" else rng.choice([["photo_id"], ["photo_id", "user_id"]])
        return self._arriving(kind, columns, [{name: row[name] for name in columns} for row in drawn], retracts=True)

    def _arriving(self, kind: str, columns: list[str], rows: list[Row], *, retracts: bool = False) -> File:
        rng, arrived_at = self.rng, None
        if (draw := rng.random()) < 0.3:
            arrived_at = rng.choice(self.arrivals)
        elif draw < 0.5:
            columns = [*columns, "ingested_at"]
            rows = [row | {"ingested_at": rng.choice([None, *self.arrivals, *self.arrivals])} for row in rows]
        rng.shuffle(columns)
        return File(kind, tuple(columns), rows, arrived_at, retracts)

    def _anybody(self) -> str:
        return self.rng.choice(self.users if self.rng.random() < 0.9 else IDS)

    def _user(self) -> Row:
        rng = self.rng
        return {
            "user_id": rng.choice(self.users),
            "gender": rng.choice(["female", "male", "other", None]),
            "followers": rng.choice([None, 0, 1, 10, 10, 100, 1000, 10**6, rng.randrange(1, 5000)]),
            "created_at": rng.choice([None, None, self.instant(), dt.datetime(2020, 1, 1)]),
            "updated_at": rng.choice([None, self.instant(), self.instant()]),
            "deleted_at": rng.choice([None, None, None, self.instant()]),
            "deleted": rng.random() < 0.15,
        }

    def _photo(self) -> Row:
        rng, photo = self.rng, self.rng.choice(self.photos)
        return {
            "photo_id": photo,
            "user_id": self.owner[photo] if rng.random() < 0.85 else self._anybody(),
            "posted_at": rng.choice(
                [None, dt.datetime(1975, 1, 2), LONG_AGO, dt.datetime(2020, 2, 29), self.instant()]
            ),
            "likes": rng.choice([None, 0, 1, 5, 5, 77, 3000]),
            "hashtags": rng.choice([None, ["me"], ["me", "love"], ["x"]]),
            "set_at": rng.choice([None, self.instant(), self.instant()]),
            "updated_at": rng.choice([None, self.instant(), self.instant()]),
            "deleted_at": rng.choice([None, None, None, self.instant()]),
            "deleted": rng.random() < 0.15,
        }

    def _event(self, kind: str, fresh: Row, value: str, key: str) -> Row:
        """Return an event that is new, or said before: as it was, with another value, or by its id with another key."""
        rng, said = self.rng, self._said[kind]
        names = f"{kind[0]}{rng.randrange(4 * len(self.grid))}"
        row = {**fresh, "event_id": names if rng.random() < max(self.named, 0.3) else None}
        if said and rng.random() < 0.5:
            row = dict(rng.choice(said))
            changed = rng.random()
            if changed < 0.5:
                row[value] = fresh[value]
            elif changed < 0.65 and row["event_id"] is not None:
                row[key] = fresh[key]
            elif changed < 0.75:
                row["event_id"] = None
        return row | {"deleted": rng.random() < 0.15}

    def _main_photo(self) -> Row:
        rng, user = self.rng, self._anybody()
        own = [photo for photo in self.photos if self.owner[photo] == user]
        photo = rng.choice(own) if own and rng.random() < 0.7 else rng.choice(self.photos)
        row = {"user_id": user, "photo_id": None if rng.random() < 0.2 else photo, "set_at": self.instant()}
        return self._event("main_photos", row, "photo_id", rng.choice(["user_id", "set_at"]))

    def _swipe(self) -> Row:
        liked = self.rng.random() < 0.5
        row = {
            "sender_id": self._anybody(),
            "recipient_id": self._anybody(),
            "liked": liked,
            "swiped_at": self.instant(),
        }
        return self._event("swipes", row, "liked", self.rng.choice(["sender_id", "recipient_id", "swiped_at"]))


def write(rng: random.Random, file: File, stem: Path) -> Path:
    """Write the file in a random format with random spellings."""
    return rng.choice([_csv, _csv, _ndjson, _parquet])(rng, file, stem)


def _csv(rng: random.Random, file: File, stem: Path) -> Path:
    packed = rng.random() < 0.3
    path = stem.with_suffix(".csv.gz" if packed else ".csv")
    encoding = rng.choice(["utf-8", "utf-8", "utf-8-sig"])
    with gzip.open(path, "wt", newline="") if packed else path.open("w", newline="", encoding=encoding) as lines:
        writer = csv.writer(lines, quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        writer.writerow(file.columns)
        writer.writerows([_spelt(rng, name, row[name]) for name in file.columns] for row in file.rows)
    return path


def _spelt(rng: random.Random, name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in TIMES:
        return _time(rng, value)
    if name in ("liked", "gender"):
        return rng.choice(_SPELLINGS[value])
    if name == "deleted":
        return rng.choice(_DELETED[value])
    return " ".join(f"#{tag}" for tag in value) if name == "hashtags" else str(value)


def _time(rng: random.Random, at: dt.datetime) -> str:
    aware = at.replace(tzinfo=dt.UTC)
    us = (at - _EPOCH) // dt.timedelta(microseconds=1)
    spellings = [
        at.isoformat(sep=" "),
        f"{at.isoformat()}Z",
        aware.astimezone(dt.timezone(dt.timedelta(minutes=rng.choice([330, -480, 60, 765, -210])))).isoformat(),
        f"{at:%Y-%m-%dT%H:%M:%S.%f}+00",
        f"{at:%Y/%m/%d %H:%M:%S.%f}",
        str(us),
        f"{us // 10**6}.{us % 10**6:06d}",
    ]
    there = aware.astimezone(ZoneInfo("Europe/Berlin"))
    if there.replace(fold=0).utcoffset() == there.replace(fold=1).utcoffset():
        spellings.append(f"{there.replace(tzinfo=None).isoformat(sep=' ')} Europe/Berlin")
    return rng.choice(spellings)


def _ndjson(rng: random.Random, file: File, stem: Path) -> Path:
    path = stem.with_suffix(".ndjson")
    with path.open("w", encoding="utf-8") as lines:
        for row in file.rows:
            told = {
                name: _time(rng, row[name]) if name in TIMES and row[name] is not None else row[name]
                for name in file.columns
            }
            lines.write(json.dumps(told, ensure_ascii=rng.random() < 0.5) + "\n")
    return path


def _parquet(rng: random.Random, file: File, stem: Path) -> Path:
    path, form, arrays = stem.with_suffix(".parquet"), rng.randrange(4), {}
    for name in file.columns:
        values = [row[name] for row in file.rows]
        if name in TIMES:
            arrays[name] = [
                lambda v: pa.array(v, pa.timestamp("us")),
                lambda v: pa.array(v, pa.timestamp("ns")),
                lambda v: pa.array([x and x.replace(tzinfo=dt.UTC) for x in v], pa.timestamp("us", "America/New_York")),
                lambda v: pa.array([x and (x - _EPOCH) // dt.timedelta(microseconds=1) for x in v], pa.int64()),
            ][form](values)
        elif name in ("liked", "deleted"):
            arrays[name] = pa.array(values, pa.bool_())
        elif name == "hashtags":
            arrays[name] = pa.array(values, pa.list_(pa.string()))
        elif name in ("followers", "likes"):
            arrays[name] = pa.array(values, rng.choice([pa.int64(), pa.float64()]))
        else:
            arrays[name] = pa.array(values, pa.string())
    pq.write_table(pa.table(arrays), path, row_group_size=rng.choice([3, 1000]))
    return path

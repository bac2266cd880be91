"""Expected content of the store in the soak test, as plain lists of the ingested rows."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.mutations import drawn
from tests.sql import plain

BEGINNING = dt.datetime(2024, 1, 1)
Batch = list[tuple[str, Path]]


@dataclass
class Truth:
    """The ingested world; times are minutes since the start."""

    facts: plain.Facts = field(default_factory=plain.Facts)
    pictures: dict[str, str] = field(default_factory=dict)
    urls: set[str] = field(default_factory=set)
    n_bad: Counter[str] = field(default_factory=Counter)
    erased: list[str] = field(default_factory=list)
    erased_ids: list[str] = field(default_factory=list)
    n_told: int = 0

    def without(self, user: str) -> plain.Facts:
        """Return the truth without a user."""
        facts = self.facts
        return plain.Facts(
            [row for row in facts.users if row[0] != user],
            [row for row in facts.photos if row[1] != user],
            [row for row in facts.main_photos if row[0] != user],
            [row for row in facts.swipes if user not in row[:2]],
        )

    def erase(self, user: str) -> None:
        """Return the truth without a photo."""
        photos = [row[0] for row in self.facts.photos if row[1] == user]
        self.facts = self.without(user)
        self.erased.append(user)
        self.erased_ids += [user, *photos, *(self.pictures.pop(photo) for photo in photos)]
        self.urls -= set(photos)

    def counts(self) -> dict[str, int]:
        """Return the number of rows by relation."""
        return {name: len(getattr(self.facts, name)) for name in ("users", "photos", "main_photos", "swipes")}


def grown(truth: Truth, folder: Path, rng: random.Random, address: str) -> tuple[Truth, Batch]:
    """Write files with more users, photos, changes and swipes, some rows invalid. Returns the truth after their ingest.

    Args:
        truth: the truth so far.
        folder: folder of the files; images to fetch go to `folder/../served`.
        rng: random generator.
        address: address of the image server.
    """
    number = truth.n_told
    folder.mkdir(parents=True)
    served = folder.parent / "served"
    served.mkdir(exist_ok=True)
    facts = truth.facts
    users = [(f"user-{number}-{i}", rng.choice(("female", "male", None))) for i in range(4)]
    photos: list[tuple[str, str]] = []
    pictures, urls = {}, set()
    listed = []
    for user, _ in users:
        for at in range(rng.choice((1, 2))):
            photo = f"photo-{user}-{at}"
            data = drawn("JPEG", rng)
            photos.append((photo, user))
            pictures[photo] = hashlib.sha256(data).hexdigest()
            by_url = rng.random() < 0.3
            (served if by_url else folder).joinpath(f"{photo}.jpg").write_bytes(data)
            if by_url:
                urls.add(photo)
            listed.append((photo, user, "" if by_url else f"{photo}.jpg", f"{address}/{photo}.jpg" if by_url else ""))
    everybody = [row[0] for row in (*facts.users, *users)]
    owned: dict[str, list[str]] = {}
    for photo, user in (*[row[:2] for row in facts.photos], *photos):
        owned.setdefault(user, []).append(photo)
    start = number * 10_000
    instants = iter(sorted(rng.sample(range(start, start + 10_000), 400)))
    shown = [(user, owned[user][0], next(instants)) for user, _ in users]
    shown += [(user, rng.choice([*owned[user], None]), next(instants)) for user in rng.choices(everybody, k=4)]
    swipes = [
        (rng.choice(everybody), rng.choice([*everybody, "stranger"]), rng.random() < 0.5, next(instants))
        for _ in range(300)
    ]
    bad = Counter({"users": rng.randrange(3), "photos": rng.randrange(3), "swipes": rng.randrange(1, 30)})
    files: Batch = [
        ("users", _csv(folder / "users.csv", "user_id,gender", [*users, *([("", "male")] * bad["users"])])),
        (
            "photos",
            _csv(folder / "photos.csv", "photo_id,user_id,path,url", [*listed, *([("x", "", "", "")] * bad["photos"])]),
        ),
        (
            "main-photos",
            _csv(folder / "main.csv", "user_id,photo_id,set_at", [(u, p, instant(at)) for u, p, at in shown]),
        ),
        ("swipes", _swipes(folder, swipes, bad["swipes"], rng)),
    ]
    told = plain.Facts(
        [*facts.users, *users], [*facts.photos, *photos], [*facts.main_photos, *shown], [*facts.swipes, *swipes]
    )
    after = Truth(
        told,
        truth.pictures | pictures,
        truth.urls | urls,
        truth.n_bad + bad,
        list(truth.erased),
        list(truth.erased_ids),
        number + 1,
    )
    return after, files


def instant(minutes: float) -> str:
    return (BEGINNING + dt.timedelta(minutes=minutes)).isoformat()


def _csv(path: Path, header: str, rows: Iterable[tuple[Any, ...]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return path


def _swipes(folder: Path, swipes: list[plain.Row], n_bad: int, rng: random.Random) -> Path:
    """Write rows as CSV, NDJSON or Parquet."""
    rows = [(sender, recipient, liked, instant(at)) for sender, recipient, liked, at in swipes]
    rows += [("nobody", "no one", "perhaps", f"2024-01-01T00:00:{number:02}") for number in range(n_bad)]
    names = ("sender_id", "recipient_id", "liked", "swiped_at")
    form = rng.choice(("csv", "ndjson", "parquet"))
    path = folder / f"swipes.{form}"
    if form == "csv":
        return _csv(path, ",".join(names), rows)
    if form == "ndjson":
        path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
        return path
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({name: [str(row[at]) for row in rows] for at, name in enumerate(names)}), path)
    return path

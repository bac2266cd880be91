"""Small stores from literal rows. Hour 0 is 2024-01-01; rows arrive a day later by default."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from photogenic.warehouse import Database, Layout, Settings

SETTINGS = Settings(memory_limit="500MB", threads=2, lock_timeout_s=0)
ARRIVED = 24


def hour(n: float | None) -> dt.datetime | None:
    return None if n is None else dt.datetime(2024, 1, 1) + dt.timedelta(hours=n)


def store(folder: Path) -> Database:
    return Database(Layout(folder / "store"), SETTINGS)


def swipes_store(folder: Path) -> Database:
    """Return a store of 5,000 swipes for queries."""
    db = Database(Layout(folder / "store"), Settings("500MB", threads=1))
    with db.write("test") as con:
        con.execute(
            "insert into facts.swipes (sender_id, recipient_id, liked, swiped_at, ingested_at)"
            " select 'sender-' || range, 'recipient-' || range % 7, range % 3 = 0,"
            " timestamp '2024-01-01' + interval (range) second, $1 from range(5000)",
            [dt.datetime(2024, 6, 1)],
        )
    return db


def add_facts(
    db: Database,
    *,
    users: Iterable[tuple[Any, ...]] = (),
    photos: Iterable[tuple[Any, ...]] = (),
    main_photos: Iterable[tuple[Any, ...]] = (),
    swipes: Iterable[tuple[Any, ...]] = (),
    faces: Iterable[tuple[Any, ...]] = (),
    arrived: float = ARRIVED,
) -> None:
    """Append facts.

    Args:
        users: (user_id, gender[, followers]).
        photos: (photo_id, user_id[, likes[, posted hour[, hashtags]]]).
        main_photos: (user_id, photo_id, hour).
        swipes: (sender_id, recipient_id, liked, hour).
        faces: (photo_id, confidence); the photo gets bytes too.
        arrived: the hour at which the rows arrive.
    """
    at = hour(arrived)
    rows: dict[str, list[list[Any]]] = {
        "users": [[u[0], u[1], u[2] if len(u) > 2 else None, None, at] for u in users],
        "photos": [[p[0], p[1], None, None, hour(_at(p, 3)), _at(p, 2), _at(p, 4), at] for p in photos],
        "main_photos": [[user, photo, hour(n), at] for user, photo, n in main_photos],
        "swipes": [[sender, recipient, liked, hour(n), at] for sender, recipient, liked, n in swipes],
    }
    seen: dict[str, int] = {}
    rows["photo_files"], rows["faces"] = [], []
    for photo, confidence in faces:
        if photo not in seen:
            rows["photo_files"].append([photo, f"sha-{photo}", 10, 10, 10, "ok", None, at])
        seen[photo] = seen.get(photo, -1) + 1
        if confidence is not None:
            rows["faces"].append([photo, seen[photo], 0.0, 0.0, 1.0, 1.0, confidence, [0.5, 0.5]])
    with db.write("test") as con:
        con.begin()
        for table, values in rows.items():
            if values:
                con.register("told", pl.DataFrame(values, orient="row", infer_schema_length=None))
                columns = con.execute(f"select * from facts.{table} limit 0").description[: len(values[0])]
                names, given = ", ".join(column[0] for column in columns), "*"
                if table in ("swipes", "main_photos"):
                    names, given = f"{names}, batch", f"*, (select coalesce(max(batch), 0) + 1 from facts.{table})"
                con.execute(f"insert into facts.{table} ({names}) select {given} from told")
        con.commit()


def ask(db: Database, query: str) -> list[tuple[Any, ...]]:
    with db.read() as con:
        return con.execute(query).fetchall()


def everything(db: Database, names: Iterable[str]) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of these relations, sorted."""
    with db.read() as con:
        return {name: con.execute(f"select * from {name} order by all").fetchall() for name in names}


def _at(row: tuple[Any, ...], place: int) -> Any:
    return row[place] if len(row) > place else None

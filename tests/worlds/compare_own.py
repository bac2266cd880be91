"""Compare relations of the user's own in one world: builds, full builds, another moment, and the same SQL by hand.

By hand means a plain DuckDB whose tables are the independent recount (ledger.py, recount.py): no build, no store.
"""

from __future__ import annotations

import datetime as dt
import random
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb

from photogenic import FeatureStore
from photogenic.warehouse import Database
from photogenic.warehouse.catalog import relation
from photogenic.warehouse.definitions import updates
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.moment import EmptyMomentWarning
from tests.worlds.compare import Found, load, moment, options_of
from tests.worlds.ledger import Known, Ledger
from tests.worlds.own import Generator, Own
from tests.worlds.recount import recount
from tests.worlds.world import World, write

Rows = Counter[tuple[Any, ...]]

EACH = 10
"""Number of own relations in one world."""

_SUMS = "select relation, n_rows, checksum from checksums order by relation"
_PHOTO_SWIPES = [
    *("sender_id", "recipient_id", "liked", "swiped_at", "photo_id", "reason", "sender_gender", "recipient_gender"),
    *("photo_age_s", "main_for_s"),
]
_PEOPLE = ("user_id", "sender_id", "recipient_id")


@dataclass
class FoundOwn(Found):
    """Result of the comparison of own relations.

    Attributes:
        n_own: relations.
        actions: what builds did with them: action -> how often.
    """

    n_own: int = 0
    actions: Counter[str] = field(default_factory=Counter)

    def add(self, other: Found) -> None:
        """Add the result of another world."""
        super().add(other)
        if isinstance(other, FoundOwn):
            self.n_own += other.n_own
            self.actions += other.actions


def own_compared(seed: int, folder: Path, n: int = EACH) -> FoundOwn:
    """Compare n random relations in one world."""
    world, ledger, home, found = World(seed), Ledger(), folder / f"own-{seed}", FoundOwn(n_own=n)
    rng, paths = random.Random(f"own-{seed}"), dict[int, Path]()
    own = Generator(rng).draw(n)
    _write_project(home / "project", own)
    instants = [*world.arrivals, *world.grid[:2]]
    worth = rng.choice([updates.WORTH, 100.0])  # in a small world, most changes touch most swipes
    with (
        mock.patch.object(updates, "WORTH", worth),
        warnings.catch_warnings(),
        FeatureStore(home / "store", project=home / "project") as store,
    ):
        warnings.simplefilter("ignore", EmptyMomentWarning)
        n_files = rng.choice([3, 5, 8])
        options = options_of(rng)
        for number in range(n_files):
            file, where = world.draw(), f"world {seed}, file {number}"
            if id(file) not in paths:
                paths[id(file)] = write(world.rng, file, home / f"{number}-{file.kind}")
            instants.append(load(store, ledger, file, paths[id(file)], where, Found()))
            if number in (n_files - 1, n_files // 2) or rng.random() < 0.4:
                options = options if rng.random() < 0.8 else options_of(rng)
                _build(store, ledger, rng, own, (None, None), options, where, found)
        limited = moment(rng, world.grid, instants)
        wanted = by_hand(ledger.at(*limited), options, own)
        there = f"world {seed}, reader as of {limited[0]}, known at {limited[1]}, {options}"
        _compare(there, wanted, rows_of(store.at(*limited).database, own), found)
        _build(store, ledger, rng, own, limited, options, f"world {seed}, limited", found)
        _erase(store, rng, own, f"world {seed}", found)
    return found


def by_hand(known: Known, options: LabelOptions, own: list[Own]) -> dict[str, Rows]:
    """Run the SQL of the relations in a plain DuckDB over the recount."""
    with duckdb.connect(":memory:") as con:
        con.execute("set timezone = 'UTC'")
        for name, (columns, rows) in _tables(known, options).items():
            types = {column.name: column.type for column in relation(name).columns}
            values = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in columns]
            lists = (f"unnest(${no}::{types[one]}[]) as {one}" for no, one in enumerate(columns, 1))
            con.execute(f"create table {name} as select {', '.join(lists)}", values)
        found = {}
        for one in own:
            values = {"least": one.values.get("least", 2)} if "$least" in one.text else None
            con.execute(f"create table {one.name} as {one.text}", values)
            found[one.name] = _counted(con, one)
        return found


def rows_of(db: Database, own: list[Own]) -> dict[str, Rows]:
    """Return the rows of the relations in a store."""
    with db.read(query=", ".join(one.name for one in own)) as con:
        return {one.name: _counted(con, one) for one in own}


def _counted(con: duckdb.DuckDBPyConnection, own: Own) -> Rows:
    rows = con.execute(f"select {', '.join(own.columns)} from {own.name}").fetchall()
    return Counter(tuple(float(f"{one:.9g}") if isinstance(one, float) else one for one in row) for row in rows)


def _tables(known: Known, options: LabelOptions) -> dict[str, tuple[list[str], list[tuple[Any, ...]]]]:
    """Return the columns and rows of the relations that own ones may read."""
    said = recount(known, options)
    users = [
        (user, row["gender"], row["followers"], row["created_at"])
        for user, row in known.members.items()
        if user not in known.deleted_users
    ]
    photos = [(photo, known.owner[photo], row["posted_at"], row["likes"]) for photo, row in known.photos.items()]
    swipes = [row[:-1] for row in said["photo_swipes"] for _ in range(row[-1])]
    split = {
        name: [(key if isinstance(key, tuple) else (key,)) + row for key, row in said[name].items()]
        for name in ("like_ratios", "photo_labels")
    }
    return {
        "clock": (["as_of", "known_at", "observed_at"], [(known.until, known.known_at, known.observed_at)]),
        "users": (["user_id", "gender", "followers", "created_at"], users),
        "photos": (["photo_id", "user_id", "posted_at", "likes"], photos),
        "swipes": (["sender_id", "recipient_id", "liked", "swiped_at"], known.swipes),
        "photo_swipes": (_PHOTO_SWIPES, swipes),
        "photo_periods": (["photo_id", "user_id", "valid_from", "valid_to"], list(said["photo_periods"])),
        "like_ratios": (
            ["photo_id", "time_window", "user_id", "n_likes", "n_swipes", "like_ratio", "ci_low", "ci_high"],
            split["like_ratios"],
        ),
        "photo_labels": (
            ["photo_id", "source", "user_id", "gender", "value", "weight", "popular", "percentile"],
            split["photo_labels"],
        ),
    }


def _build(
    store: FeatureStore,
    ledger: Ledger,
    rng: random.Random,
    own: list[Own],
    limits: tuple[dt.datetime | None, dt.datetime | None],
    options: LabelOptions,
    where: str,
    found: FoundOwn,
) -> None:
    as_of, known_at = limits
    changes: dict[str, Any] = {"only": "labels", "as_of": as_of, "known_at": known_at, "labels": options}
    report = store.build(**changes, publish=True)
    assert report.labels is not None
    found.actions += Counter(one.action for one in report.labels.own.relations)
    for one in report.labels.own.relations:
        if one.action == "failed":
            found.wrong.append(f"{where}: {one.name} failed: {one.error}")
    where = f"{where}, as of {as_of}, known at {known_at}, {options}"
    _compare(where, by_hand(ledger.at(as_of, known_at), options, own), rows_of(store.database, own), found)
    if rng.random() < 0.5:
        before = {name: rest for name, *rest in store.sql(_SUMS).rows()}
        store.build(**changes, publish=True, force=True)
        after = {name: rest for name, *rest in store.sql(_SUMS).rows()}
        found.compare(f"{where}, full build", after, before)


def _compare(where: str, wanted: dict[str, Rows], said: dict[str, Rows], found: FoundOwn) -> None:
    for name, rows in wanted.items():
        found.n_compared += 1
        if rows != said[name]:
            only, more = list((rows - said[name]).items())[:2], list((said[name] - rows).items())[:2]
            found.wrong.append(f"{where}: {name}: only by hand {only}, only said {more}")


def _erase(store: FeatureStore, rng: random.Random, own: list[Own], where: str, found: FoundOwn) -> None:
    """Erase a user, and search the relations for the user and their photos."""
    users = [user for (user,) in store.sql("select distinct user_id from facts.users order by all").rows()]
    if not users:
        return
    user = rng.choice(users)
    owned = "select distinct photo_id from facts.photos where user_id = $user"
    photos = [photo for (photo,) in store.sql(owned, {"user": user}).rows()]
    store.erase(user)
    for one in own:
        for column in one.columns:
            traces = [user] if column in _PEOPLE else photos if column == "photo_id" else []
            for trace in traces:
                found.n_compared += 1
                query = f"select count(*) from {one.name} where {column} = $trace"
                if store.sql(query, {"trace": trace}).item():
                    found.wrong.append(f"{where}: {trace!r} is still in {one.name}.{column} after an erase")
    failed = store.sql("select relation, error from own_relations where status <> 'ok'").rows()
    found.compare(f"{where}, after an erase", {"failed": []}, {"failed": failed})
    store.build(only="labels", publish=True)
    full = rows_of(store.database, own)
    store.build(only="labels", publish=True, force=True)
    _compare(f"{where}, full build after an erase", rows_of(store.database, own), full, found)


def _write_project(folder: Path, own: list[Own]) -> None:
    (folder / "relations").mkdir(parents=True)
    settings = ['[project]\nname = "world"\nid = "0123456789ab"\n']
    settings += [
        f"[parameters.{one.name}]\n" + "".join(f"{name} = {value}\n" for name, value in one.values.items())
        for one in own
        if one.values
    ]
    (folder / "photogenic.toml").write_text("\n".join(settings))
    for one in own:
        (folder / "relations" / f"{one.name}.sql").write_text(one.text)

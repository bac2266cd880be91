"""Load one world with builds in between, and compare accounts and relations with an independent count."""

from __future__ import annotations

import copy
import datetime as dt
import itertools
import random
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from photogenic import FeatureStore, sql
from photogenic.warehouse import Database
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.moment import EmptyMomentWarning
from tests.warehouse.small import everything
from tests.worlds.ledger import Ledger
from tests.worlds.recount import recount
from tests.worlds.world import File, World, write

_KEYS = {
    "swipe_audit": ("reason", "n_swipes, n_likes"),
    "photo_swipes": (
        "sender_id, recipient_id, liked, swiped_at, photo_id, reason, sender_gender, recipient_gender, photo_age_s,"
        " main_for_s, n_swipes",
        "",
    ),
    "photo_periods": ("photo_id, user_id, valid_from, valid_to", ""),
    "like_ratios": ("photo_id, time_window", "user_id, n_likes, n_swipes, like_ratio, ci_low, ci_high"),
    "gender_breakdown": (
        "time_window, sender_gender, recipient_gender",
        "n_recipients, n_swipes, n_likes, like_ratio, mean_like_ratio",
    ),
    "follower_bounds": ("", "n_users, centre, deviation, low, high"),
    "follower_ratios": (
        "photo_id",
        "user_id, likes, followers, ratio, dropped, percentile, popular, band, band_percentile, band_popular,"
        " user_percentile, user_popular",
    ),
    "photo_labels": ("photo_id, source", "user_id, gender, value, weight, popular, percentile"),
    "population": ("stage, gender", "n_users, n_swipes_sent"),
    "photo_setups": ("photo_id, setup", "split"),
    "funnel": ("source, step", "n_users, n_photos, n_swipes"),
}
"""Relation -> its key and the compared columns."""


@dataclass
class Found:
    """Result of the comparison of worlds."""

    n_compared: int = 0
    n_spark: int = 0
    wrong: list[str] = field(default_factory=list)

    def compare(self, where: str, wanted: dict[str, Any], said: dict[str, Any]) -> None:
        """Compare named values."""
        self.n_compared += len(wanted)
        for name, value in wanted.items():
            if (found := difference(value, said[name])) is not None:
                self.wrong.append(f"{where}: {name}: {found}")

    def add(self, other: Found) -> None:
        """Add the result of another world."""
        self.n_compared += other.n_compared
        self.n_spark += other.n_spark
        self.wrong += other.wrong


def compared(seed: int, folder: Path, master: str | None = None) -> Found:
    """Compare one world with its recount: each account, builds in between, readers, and Spark if a master is given."""
    world, ledger, home, found = World(seed), Ledger(), folder / f"world-{seed}", Found()
    home.mkdir()
    rng, paths = world.rng, dict[int, Path]()
    instants = [*world.arrivals, *world.grid[:2]]
    with warnings.catch_warnings(), FeatureStore(home / "store") as store:
        warnings.simplefilter("ignore", EmptyMomentWarning)
        n_files = rng.choice([2, 4, 7])
        for number in range(n_files):
            file, where = world.draw(), f"world {seed}, file {number}"
            if id(file) not in paths:
                paths[id(file)] = write(rng, file, home / f"{number}-{file.kind}")
            instants.append(load(store, ledger, file, paths[id(file)], where, found))
            last = number == n_files - 1
            for _ in range(1 if last else rng.random() < 0.3):
                _build(store, ledger, rng, world, instants, f"{where}: ", found)
        if master is not None:
            _build_on_spark(store, rng, world, instants, master, home, f"world {seed}, Spark", found)
    return found


def load(store: FeatureStore, ledger: Ledger, file: File, path: Path, where: str, found: Found) -> dt.datetime:
    """Load one file, compare its account, and return the time of its arrival."""
    if file.retracts:
        (report,) = store.retract(file.kind, path, arrived_at=file.arrived_at)
    else:
        (report,) = store.ingest(file.kind, path, arrived_at=file.arrived_at)
    ((stamp,),) = store.sql("select max(ingested_at) from facts.ingests").rows()
    is_event = file.kind in ("swipes", "main_photos")
    if is_event and not file.retracts and any(file is earlier for earlier in ledger.files):
        found.compare(where, {"repeated": True}, {"repeated": report.repeated})  # it says nothing new, then or now
    elif report.repeated:
        before = copy.deepcopy(ledger)
        account = ledger.load(file, stamp)
        if any(account.get(what) for what in ("new", "corrected", "retracted")):
            found.wrong.append(f"{where}: {file.kind} were taken in before, but a repeat would say {account}")
            ledger.__dict__ = before.__dict__
    else:
        wanted = ledger.load(file, stamp)
        said = {"new": report.n_new, "corrected": report.n_corrected, "retracted": report.n_retracted}
        said |= {"known": report.n_known, **report.refused}
        given = sorted((what, n) for what, n in said.items() if n)
        found.compare(where, {"account": (*sorted(wanted.items()),)}, {"account": (*given,)})
    return stamp


def _build(
    store: FeatureStore,
    ledger: Ledger,
    rng: random.Random,
    world: World,
    instants: list[dt.datetime],
    where: str,
    found: Found,
) -> None:
    """Build, compare with the recount, then another moment with a reader, and sometimes with a full build."""
    options, (as_of, known_at) = options_of(rng), moment(rng, world.grid, instants)
    store.build(only="labels", as_of=as_of, known_at=known_at, labels=options, publish=True, force=rng.random() < 0.1)
    expected, said = recount(ledger.at(as_of, known_at), options), _said(store.database)
    found.compare(f"{where}as of {as_of}, known at {known_at}, {options}", expected, said)
    if rng.random() < 0.3:
        other = moment(rng, world.grid, instants)
        if other != (None, None):
            wanted = recount(ledger.at(*other), options)
            there = f"{where}reader as of {other[0]}, known at {other[1]}, {options}"
            found.compare(there, wanted, _said(store.at(*other).database))
            found.compare(f"{where}published after a reader", expected, _said(store.database))
    if rng.random() < 0.3:
        sums = "select relation, n_rows, checksum from checksums order by relation"
        before = {name: (n, total) for name, n, total in store.sql(sums).rows()}
        store.build(only="labels", as_of=as_of, known_at=known_at, labels=options, publish=True, force=True)
        after = {name: (n, total) for name, n, total in store.sql(sums).rows()}
        found.compare(f"{where}full build as of {as_of}, known at {known_at}, {options}", before, after)


def _build_on_spark(
    store: FeatureStore,
    rng: random.Random,
    world: World,
    instants: list[dt.datetime],
    master: str,
    home: Path,
    where: str,
    found: Found,
) -> None:
    """Build the facts of the store on Spark too, and compare all relations row for row."""
    facts = str(home / "facts")
    store.export(facts)
    options, (as_of, known_at) = options_of(rng), moment(rng, world.grid, instants)
    changes: dict[str, Any] = {"only": "labels", "as_of": as_of, "known_at": known_at, "labels": options}
    store.build(**changes, publish=True)
    with FeatureStore(home / "other") as other:
        other.build(**changes, publish=True, engine="spark", master=master, facts=facts)
        ours, theirs = (everything(one.database, sql.RELATIONS) for one in (store, other))
        found.compare(f"{where}: as of {as_of}, known at {known_at}, {options}", ours, theirs)
    found.n_spark += 1


def options_of(rng: random.Random) -> LabelOptions:
    return LabelOptions(
        window=rng.choice(["latest", "every"]),
        min_swipes=rng.choice([1, 1, 2, 3]),
        gender=rng.choice(["now", "now", "then"]),
        split_seed=rng.choice([0, 7]),
        hashtag=rng.choice([None, None, "me"]),
        follower_scale=rng.choice(["linear", "log"]),
        mad_threshold=rng.choice([3.0, 1.0, 0.0]),
        normalise=rng.choice(["all", "band", "user"]),
        band_size=rng.choice([2, 3, 100]),
        face_filter=rng.choice(["off", "off", "off", "strict"]),
    )


def moment(
    rng: random.Random, grid: list[dt.datetime], instants: list[dt.datetime]
) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Draw the instants of both clocks: at times of events and of arrivals, or just after them."""
    after = dt.timedelta(microseconds=rng.randrange(2))
    limited = rng.choice(["neither", "as_of", "known_at", "both"])
    as_of = rng.choice(grid) + after if limited in ("as_of", "both") else None
    return as_of, rng.choice(instants) + after if limited in ("known_at", "both") else None


def _said(db: Database) -> dict[str, Any]:
    """Return every compared relation by its key, from one connection."""
    said: dict[str, Any] = {}
    with db.read(query=", ".join(_KEYS)) as con:
        for relation, (key, columns) in _KEYS.items():
            n_key = len(key.split(", ")) if key else 0
            counted = (
                "(select * exclude (event_id), count(*) as n_swipes from photo_swipes group by all)"
                if relation == "photo_swipes"
                else relation
            )
            rows = con.execute(f"select {', '.join(filter(None, (key, columns)))} from {counted}").fetchall()
            if not key:
                (said[relation],) = rows
            elif not columns:
                said[relation] = set(rows)
            else:
                said[relation] = {row[0] if n_key == 1 else row[:n_key]: row[n_key:] for row in rows}
                assert len(said[relation]) == len(rows), f"{relation} has a key twice"
    said["photo_setups"] = {key: row[0] for key, row in said["photo_setups"].items() if key[1] == "all"}
    said["funnel"].pop(("swipes", "with_photo"))  # users who ever showed a photo: not in the independent count
    return said


def difference(wanted: Any, said: Any) -> str | None:
    """Return the first differences; None: there are none."""
    if isinstance(wanted, list):
        wrong = [pair for pair in itertools.zip_longest(wanted, said) if not _same(*pair)]
        return f"recounted {wrong[0][0]}, said {wrong[0][1]}" if wrong else None
    if isinstance(wanted, set):
        return None if wanted == said else f"only recounted {_some(wanted - said)}, only said {_some(said - wanted)}"
    if not isinstance(wanted, dict):
        return None if _same(wanted, said) else f"recounted {wanted}, said {said}"
    if wanted.keys() != said.keys():
        return f"only recounted {_some(wanted.keys() - said.keys())}, only said {_some(said.keys() - wanted.keys())}"
    for key, value in wanted.items():
        if not _same(value, said[key]):
            return f"{key}: recounted {value}, said {said[key]}"
    return None


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-9 * max(1, abs(one), abs(other))
    return bool(one == other)


def _some(keys: Any) -> list[Any]:
    return sorted(keys, key=str)[:3]

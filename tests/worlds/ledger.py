"""What a store must hold after given files, and the account of each file: lists and dictionaries, without SQL.

An event is a list of statements in the order of arrival. A description is a list of versions. Both are looked at
through two clocks: what had happened by one instant, as far as it had arrived by another.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.worlds.world import File, Row

FAR = dt.datetime(9999, 12, 31)
ACCOUNT = ("new", "corrected", "retracted", "known")

Key = tuple[Any, ...]
Value = tuple[Any, ...] | None


@dataclass(frozen=True)
class Statement:
    """What a row said about an event; `value` is None if it took the event back."""

    arrival: dt.datetime
    no: int
    key: Key | None
    value: Value


@dataclass
class Event:
    """One event, with what was said about it in the order of arrival."""

    event_id: str | None = None
    told: list[Statement] = field(default_factory=list)

    def before(self, arrival: dt.datetime) -> Statement | None:
        """Return the last statement that had arrived before an instant."""
        return next((told for told in reversed(self.told) if told.arrival < arrival), None)

    def until(self, arrival: dt.datetime) -> Statement | None:
        """Return the last statement that had arrived by an instant."""
        return next((told for told in reversed(self.told) if told.arrival <= arrival), None)

    def lasting(self) -> list[Statement]:
        """Return the retractions, and the statements that held for some time."""
        pairs = zip(self.told, [*self.told[1:], None], strict=False)
        return [one for one, after in pairs if one.value is None or after is None or after.arrival > one.arrival]

    def has(self, key: Key) -> bool:
        """Whether such a statement has the key."""
        return any(told.key == key for told in self.lasting())


class Log:
    """The events of one kind."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._by_id: dict[str, Event] = {}
        self._by_key: dict[Key, list[Event]] = {}
        self._n_told = 0

    def tell(self, event_id: str | None, key: Key | None, value: Value, arrival: dt.datetime) -> str:
        """Add what a row says, and return what the row did."""
        done = {self._add(event, key, value, arrival) for event in self._events(event_id, key, value)}
        return "retracted" if "retracted" in done else done.pop()

    def _add(self, event: Event, key: Key | None, value: Value, arrival: dt.datetime) -> str:
        state = event.until(arrival)
        is_there = state is not None and state.value is not None
        if value is None:
            did = "known" if state is not None and not is_there else "retracted"
        else:
            did = "new" if state is None or not is_there else "known" if state.value == value else "corrected"
        if did != "known":
            self._n_told += 1
            event.told.append(Statement(arrival, self._n_told, key, value))
            event.told.sort(key=lambda told: (told.arrival, told.no))
            if key is not None and event not in self._by_key.setdefault(key, []):
                self._by_key[key].append(event)
        return did

    def seen(self, known_at: dt.datetime) -> list[tuple[Any, ...]]:
        """Return the values of the events as they were known."""
        states = [event.before(known_at) for event in self.events]
        return [state.value for state in states if state is not None and state.value is not None]

    def _events(self, event_id: str | None, key: Key | None, value: Value) -> list[Event]:
        """Return the events that a row is about: one, or all that a row without an id takes back by their key."""
        if event_id is not None and event_id in self._by_id:
            return [self._by_id[event_id]]
        here = [event for event in self._by_key.get(key, []) if event.has(key)] if key is not None else []
        nameless = [event for event in here if event.event_id is None]
        if event_id is None and here:
            if value is None:
                return here
            return nameless or [min(here, key=lambda event: (event.event_id or "").encode())]
        if not nameless:
            nameless = [Event()]
            self.events += nameless
        if event_id is not None:
            nameless[0].event_id = event_id
            self._by_id[event_id] = nameless[0]
        return nameless


@dataclass(frozen=True)
class Version:
    """A user or photo as a file described it."""

    arrival: dt.datetime
    batch: int
    line: int
    updated_at: dt.datetime | None
    values: dict[str, Any]

    @property
    def since(self) -> dt.datetime:
        """The instant from which it was true."""
        return self.updated_at or self.arrival

    @property
    def order(self) -> tuple[Any, ...]:
        return (self.since, self.arrival, self.batch, self.line)


class Descriptions:
    """The versions of users or of photos."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.versions: dict[str, list[Version]] = {}

    def load(self, key: str, rows: list[tuple[int, dt.datetime, Row]], file: File, batch: int) -> dict[int, str]:
        """Add the versions of one user or photo in a file, and return what each line did."""
        held, done = self.versions.setdefault(key, []), {}
        newest = max((version.order[:2] for version in held), default=None)
        given = [(Version(at, batch, line, _given(file, row, "updated_at"), {}), row) for line, at, row in rows]
        for new, row in sorted(given, key=lambda told: told[0].order):
            line, arrival, updated_at = new.line, new.arrival, new.updated_at
            earlier = [version for version in held if version.since <= new.since and version.arrival <= arrival]
            before = max(earlier, key=lambda version: version.order, default=None)
            former = before.values if before is not None else None
            values = {name: row[name] if name in file.columns else (former or {}).get(name) for name in self.names}
            values["deleted_at"] = deleted_at = self._deleted_at(file, row, former, arrival)
            if values == former or (newest is not None and newest > new.order[:2]):
                done[line] = "known"
            elif deleted_at and (file.retracts if former is None else former["deleted_at"] is None):
                done[line] = "retracted"
            else:
                done[line] = "new" if former is None else "corrected"
            if values != former or (before is not None and updated_at is not None and updated_at > before.since):
                held.append(Version(arrival, batch, line, updated_at, values))
        return done

    def _deleted_at(self, file: File, row: Row, former: dict[str, Any] | None, arrival: dt.datetime) -> Any:
        said, held = _given(file, row, "deleted_at"), former["deleted_at"] if former is not None else None
        if said is not None:
            return said
        deleted = True if file.retracts else _given(file, row, "deleted")
        if deleted:
            return held or arrival
        return None if deleted is False or "deleted_at" in file.columns else held

    def seen(self, as_of: dt.datetime, known_at: dt.datetime, since: str) -> dict[str, dict[str, Any]]:
        """Return the values of what had begun, also if it was deleted, in the newest version."""
        found = {}
        for key, versions in self.versions.items():
            known = [v for v in versions if v.arrival < known_at and (v.updated_at is None or v.updated_at < as_of)]
            if known:
                values = max(known, key=lambda version: version.order).values
                if values[since] is None or values[since] < as_of:
                    found[key] = values
        return found

    def genders(self, user: str, as_of: dt.datetime, known_at: dt.datetime) -> list[tuple[dt.datetime, str | None]]:
        """Return since when a user had which gender: the first version, and those that hold before `as_of`."""
        known = [
            v for v in self.versions[user] if v.arrival < known_at and (v.updated_at is None or v.updated_at < as_of)
        ]
        genders = {v.since: v.values["gender"] for v in sorted(known, key=lambda version: version.order)}
        return [
            one for no, one in enumerate(sorted(genders.items(), key=lambda one: one[0])) if no == 0 or one[0] < as_of
        ]


class Ledger:
    """Everything that files said."""

    def __init__(self) -> None:
        self.users = Descriptions("gender", "followers", "created_at")
        self.photos = Descriptions("posted_at", "likes", "hashtags")
        self.claims: dict[str, str] = {}
        self.main_photos, self.swipes = Log(), Log()
        self.files: list[File] = []

    def load(self, file: File, stamp: dt.datetime) -> dict[str, int]:
        """Take in a file that was loaded at an instant, and return its account."""
        self.files.append(file)
        done = getattr(self, f"_{file.kind}")(file, stamp)
        account = Counter(done)
        assert sum(account.values()) == len(file.rows)
        return dict(account)

    def _arrival(self, file: File, row: Row, stamp: dt.datetime) -> dt.datetime:
        given: dt.datetime | None = file.arrived_at
        if "ingested_at" in file.columns:
            given = row["ingested_at"]
        return stamp if given is None else given

    def _in_order(self, file: File, stamp: dt.datetime) -> list[tuple[dt.datetime, Row]]:
        """Return the rows with their arrivals, in the order of arrival, then of lines."""
        arrived = [(self._arrival(file, row, stamp), row) for row in file.rows]
        return sorted(arrived, key=lambda item: item[0])

    def _swipes(self, file: File, stamp: dt.datetime) -> list[str]:
        done = []
        for arrival, row in self._in_order(file, stamp):
            key = (row["sender_id"], row["recipient_id"], row["swiped_at"]) if "sender_id" in file.columns else None
            gone = file.retracts or ("deleted" in file.columns and row["deleted"])
            value = None if gone or key is None else (*key[:2], row["liked"], key[2])
            done.append(self.swipes.tell(_given(file, row, "event_id"), key, value, arrival))
        return done

    def _main_photos(self, file: File, stamp: dt.datetime) -> list[str]:
        """Rows without ids of one user and instant that arrive together are one statement, up to a retraction."""
        statements: list[tuple[Any, ...]] = []
        n_gone, shared = Counter[Key](), dict[Key, list[Row]]()
        for arrival, row in self._in_order(file, stamp):
            event_id = _given(file, row, "event_id")
            key = (row["user_id"], row["set_at"]) if "user_id" in file.columns else None
            gone = file.retracts or bool(_given(file, row, "deleted"))
            if event_id is None and not gone:
                rows = shared.setdefault((arrival, key, n_gone[arrival, key]), [])
                rows.append(row)
                if len(rows) > 1:
                    continue
            else:
                rows = [row]
                n_gone[arrival, key] += event_id is None
            statements.append((arrival, event_id, key, gone, rows))
        done = []
        for arrival, event_id, key, gone, rows in statements:
            photos = frozenset() if gone else frozenset(row["photo_id"] for row in rows)
            did = self.main_photos.tell(event_id, key, None if gone or key is None else (*key, photos), arrival)
            n_said = 1 if gone else len(photos)
            done += [did] * n_said + ["known"] * (len(rows) - n_said)
        return done

    def _users(self, file: File, stamp: dt.datetime) -> list[str]:
        done, kept = self._superseded(file, stamp, "user_id", list(range(len(file.rows))))
        for user, rows in kept.items():
            done |= self.users.load(user, rows, file, len(self.files))
        return [done[line] for line in range(len(file.rows))]

    def _photos(self, file: File, stamp: dt.datetime) -> list[str]:
        refused, mine = dict[int, str](), []
        for line, row in enumerate(file.rows):
            user = _given(file, row, "user_id")
            if user is None and row["photo_id"] not in self.claims:
                refused[line] = "unknown_photo"
            elif user is not None and self.claims.setdefault(row["photo_id"], user) != user:
                refused[line] = "photo_of_another_user"
            else:
                mine.append(line)
        done, kept = self._superseded(file, stamp, "photo_id", mine)
        for photo, rows in kept.items():
            done |= self.photos.load(photo, rows, file, len(self.files))
        events: dict[tuple[Any, ...], frozenset[str]] = {}
        last = {(file.rows[line]["photo_id"], _given(file, file.rows[line], "set_at")): line for line in mine}
        for (photo, set_at), line in last.items():
            if set_at is not None:
                done[line] = "known" if done[line] == "superseded" else done[line]
                value = (self.claims[photo], set_at, photo)
                if not any(
                    told.value is not None and told.value[:2] == value[:2] and photo in told.value[2]
                    for event in self.main_photos.events
                    for told in event.lasting()
                ):
                    done[line] = "new" if done[line] == "known" else done[line]
                    at = (self._arrival(file, file.rows[line], stamp), *value[:2])
                    events[at] = events.get(at, frozenset()) | {photo}
        for (arrival, user, set_at), photos in sorted(events.items(), key=lambda event: event[0]):
            self.main_photos.tell(None, (user, set_at), (user, set_at, photos), arrival)
        done |= refused
        return [done[line] for line in range(len(file.rows))]

    def _superseded(
        self, file: File, stamp: dt.datetime, name: str, lines: list[int]
    ) -> tuple[dict[int, str], dict[str, list[tuple[int, dt.datetime, Row]]]]:
        """Return what the lines did that a later one of the same version repeats or replaces, and the other lines."""
        versions: dict[tuple[Any, ...], list[int]] = {}
        for line in lines:
            row = file.rows[line]
            arrival = self._arrival(file, row, stamp)
            version = (row[name], _given(file, row, "updated_at") or arrival, arrival)
            versions.setdefault(version, []).append(line)
        done, kept = dict[int, str](), dict[str, list[tuple[int, dt.datetime, Row]]]()
        for (key, *_), (*others, last) in versions.items():
            row = file.rows[last]
            kept.setdefault(key, []).append((last, self._arrival(file, row, stamp), row))
            for line in others:
                done[line] = "known" if _same(file, file.rows[line], row) else "superseded"
        return done, kept

    def at(self, as_of: dt.datetime | None, known_at: dt.datetime | None) -> Known:
        """Return what had happened by one instant as far as it had arrived by another."""
        return Known(self, as_of, known_at or FAR)


def _given(file: File, row: Row, name: str) -> Any:
    return row[name] if name in file.columns else None


def _same(file: File, row: Row, other: Row) -> bool:
    """Whether two rows say the same about one user or photo."""
    aside = {"set_at", "updated_at", "ingested_at"} | ({"deleted"} if file.retracts else set())
    return all(row[name] == other[name] for name in {*file.columns} - aside)


class Known:
    """Facts that had happened before one instant and arrived before another."""

    def __init__(self, ledger: Ledger, as_of: dt.datetime | None, known_at: dt.datetime) -> None:
        self.until = until = as_of or FAR
        self.known_at = known_at
        arrivals = [v.arrival for versions in ledger.photos.versions.values() for v in versions]
        newest = max((arrival for arrival in arrivals if arrival < known_at), default=dt.datetime(1970, 1, 1))
        self.observed_at = newest if as_of is None else as_of
        self.members = ledger.users.seen(until, known_at, "created_at")
        photos = ledger.photos.seen(until, known_at, "posted_at")
        gone = {user: row["deleted_at"] for user, row in self.members.items() if (row["deleted_at"] or FAR) < until}
        ends = {p: min(row["deleted_at"] or FAR, gone.get(ledger.claims[p], FAR)) for p, row in photos.items()}
        self.deleted_users = set(gone)
        self.deleted_photos = {photo: end for photo, end in ends.items() if end < until}
        self.photos = {photo: row for photo, row in photos.items() if photo not in self.deleted_photos}
        self.swipes = [swipe for swipe in ledger.swipes.seen(known_at) if swipe[3] < until]
        self.events = [
            (user, photo, at)
            for user, at, photos in ledger.main_photos.seen(known_at)
            for photo in photos
            if at < until
        ]
        self.owner = {photo: ledger.claims[photo] for photo in photos}
        for user, photo, _ in sorted(self.events, key=lambda event: (event[2], event[0].encode())):
            if photo is not None:
                self.owner.setdefault(photo, user)
        self.posted_at = {photo: row["posted_at"] for photo, row in photos.items()}
        self._genders = {user: ledger.users.genders(user, until, known_at) for user in self.members}
        self.periods = {user: self._periods(user) for user in self.members}

    def gender(self, user: str) -> str | None:
        return self.members[user]["gender"] if user in self.members else None

    def gender_at(self, user: str, at: dt.datetime) -> str | None:
        """Return the gender that a user had at an instant; before the first version, that of the first."""
        genders = self._genders.get(user, [])
        return next((gender for since, gender in reversed(genders) if since <= at), genders[0][1] if genders else None)

    def online_since(self, photo: str) -> dt.datetime:
        """Return when a photo that was shown went online."""
        starts = [period[0] for period in self.periods[self.owner[photo]] if period[2] == photo]
        posted_at = self.posted_at.get(photo)
        return min(starts) if posted_at is None else min(posted_at, *starts)

    def followers(self, user: str) -> int | None:
        return self.members[user]["followers"] if user in self.members and user not in self.deleted_users else None

    def _periods(self, user: str) -> list[tuple[dt.datetime, dt.datetime | None, str | None, str]]:
        """Yield start, end, photo and reason of swipes of each stretch."""
        at: dict[dt.datetime, list[str]] = {}
        for owner, photo, instant in self.events:
            if owner == user:
                at.setdefault(instant, []).extend([] if photo is None else [photo])
        shown = {instant: max(photos, key=str.encode, default=None) for instant, photos in sorted(at.items())}
        for (instant, photo), following in zip(list(shown.items()), [*list(shown)[1:], FAR], strict=False):
            end = self.deleted_photos.get(photo, FAR) if photo is not None else FAR
            if end <= instant:
                shown[instant] = None
            elif end < following:
                shown[end] = None
        changes: list[tuple[dt.datetime, str | None]] = []
        for instant, photo in sorted(shown.items(), key=lambda item: item[0]):
            if photo != (changes[-1][1] if changes else None):
                changes.append((instant, photo))
        found = []
        for (start, photo), (end, _) in zip(changes, [*changes[1:], (None, None)], strict=False):
            if photo is None:
                reason = "photo_removed"
            elif self.owner[photo] != user:
                reason = "foreign_photo"
            else:
                reason = "kept" if end is None else "stale_photo"
            found.append((start, end, photo, reason))
        return found

    def fate(self, swipe: tuple[Any, ...]) -> tuple[str, str | None]:
        """Return the reason of a swipe, and its photo."""
        sender, recipient, _, at = swipe
        if recipient not in self.members:
            return "unknown_recipient", None
        periods = self.periods[recipient]
        if not periods:
            return "no_photo", None
        if at < periods[0][0]:
            return "before_first_photo", None
        _, _, photo, reason = [period for period in periods if period[0] <= at][-1]
        return ("self_swipe" if sender == recipient else reason), photo

"""Which event each statement is about.

A statement with an `event_id` is about the event of that id. Without one it is about the event of its key: the event
that has no id, else the one of the least id among those that have the key, else a new one. A statement that takes back
without an id takes back all events of its key. An id that no statement had before takes on the event of its key that
has none.

So the order of statements decides only where some statements of a key have an id and others have none. Most of such
keys have one id only, and SQL names them (sql/ingest/events/named.sql). What is left is read one by one, in the order
of arrival.
"""

from __future__ import annotations

import datetime as dt
import heapq
from collections import Counter
from dataclasses import dataclass, field

from photogenic import sql
from photogenic._lazy import duckdb, pa

__all__ = ["name_events"]


def name_events(con: duckdb.DuckDBPyConnection) -> None:
    """Make `told_named` of `said`, and `held_named` of `held`: with the id of the event in `name`, or NULL."""
    con.execute(f"create or replace temp table named as {sql.read('ingest/events/named')}")
    con.execute(f"create or replace temp table tangled as {sql.read('ingest/events/tangled')}")
    numbers, keys, names = _read_one_by_one(con)
    found = pa.table(
        {
            "no": pa.array(numbers, pa.int64()),
            "key_no": pa.array(keys, pa.int64()),
            "name": pa.array(names, pa.string()),
        }
    )
    con.register("found", found)
    con.execute(
        """
        create or replace temp table named_one_by_one as
        select found.no, keys.key, found.name
        from found
        left join (select distinct key_no, key from tangled) as keys on found.key_no = keys.key_no
        """
    )
    con.unregister("found")
    for name in ("told_named", "held_named"):
        con.execute(f"create or replace temp table {name} as {sql.read(f'ingest/events/{name}')}")
    for name in ("named", "tangled", "named_one_by_one"):
        con.execute(f"drop table {name}")


@dataclass(slots=True)
class _Told:
    """A statement that is kept.

    Attributes:
        arrival: its arrival.
        key: number of its key; None: it has none.
        state: number of what it says; None: it took the event back.
        until: when it ended, as stored.
    """

    arrival: dt.datetime
    key: int | None
    state: int | None
    until: dt.datetime | None = None


@dataclass(slots=True, eq=False)
class _Event:
    """One event, with the statements that are kept.

    Attributes:
        name: its id; None: it is known by its key.
        held: statements of the store, in the order of arrival.
        at: number of those that had arrived by the last instant that was asked for.
        last: the last statement of the file.
        n_told: number of kept statements by key, without versions that held for no instant.
    """

    name: str | None = None
    held: list[_Told] = field(default_factory=list)
    at: int = 0
    last: _Told | None = None
    n_told: Counter[int] = field(default_factory=Counter)

    def state_at(self, arrival: dt.datetime) -> _Told | None:
        """Return the last statement by an instant. Instants have to be asked for in ascending order."""
        while self.at < len(self.held) and self.held[self.at].arrival <= arrival:
            self.at += 1
        held = self.held[self.at - 1] if self.at else None
        if self.last is None or (held is not None and held.arrival > self.last.arrival):
            return held
        return self.last


@dataclass(slots=True)
class _Place:
    """The events that have one key: one without an id, and those with ids."""

    nameless: _Event | None = None
    named: dict[str, _Event] = field(default_factory=dict)
    order: list[tuple[bytes, str]] = field(default_factory=list)

    def add(self, name: str, event: _Event) -> None:
        if name not in self.named:
            self.named[name] = event
            heapq.heappush(self.order, (name.encode(), name))

    def least(self) -> _Event | None:
        """Return the event of the least id."""
        while self.order and self.order[0][1] not in self.named:
            heapq.heappop(self.order)
        return self.named[self.order[0][1]] if self.order else None


class _Reading:
    """The events of some statements, which are read in the order of arrival."""

    def __init__(self) -> None:
        self.by_id: dict[str, _Event] = {}
        self.places: dict[int, _Place] = {}

    def hold(self, event_id: str | None, told: _Told) -> _Event:
        """Add a statement of the store; those of one event come in the order of arrival."""
        if event_id is not None:
            event = self.by_id.setdefault(event_id, _Event(event_id))
        else:
            assert told.key is not None
            place = self._place(told.key)
            event = place.nameless = place.nameless or _Event()
        event.held.append(told)
        self._count(event, told)
        return event

    def tell(self, event_id: str | None, told: _Told) -> list[_Event]:
        """Add a statement of the file, and return the events that it is about."""
        events = self._events(event_id, told)
        for event in events:
            former = event.state_at(told.arrival)
            if (
                former is not None
                and former.state == told.state
                and not (former.state is not None and former.until is not None and former.until <= told.arrival)
            ):
                continue
            if former is not None and former.state is not None and former.arrival == told.arrival:
                self._discount(event, former)
            event.last = told
            self._count(event, told)
        return events

    def _events(self, event_id: str | None, told: _Told) -> list[_Event]:
        if event_id is not None and event_id in self.by_id:
            return [self.by_id[event_id]]
        place = _Place() if told.key is None else self._place(told.key)
        if event_id is not None:
            event = place.nameless or _Event()
            event.name = self.by_id.setdefault(event_id, event).name = event_id
            if place.nameless is not None:
                place.nameless = None
                place.add(event_id, event)
            return [event]
        if told.state is None and (place.nameless or place.named):
            return [*([place.nameless] if place.nameless else []), *place.named.values()]
        found = place.nameless or place.least()
        if found is None:
            found = place.nameless = _Event()
        return [found]

    def _place(self, key: int) -> _Place:
        return self.places.setdefault(key, _Place())

    def _count(self, event: _Event, told: _Told) -> None:
        if told.key is not None:
            event.n_told[told.key] += 1
            if event.name is not None:
                self._place(told.key).add(event.name, event)

    def _discount(self, event: _Event, told: _Told) -> None:
        if told.key is not None:
            event.n_told[told.key] -= 1
            if event.name is not None and not event.n_told[told.key]:
                self._place(told.key).named.pop(event.name, None)


def _read_one_by_one(con: duckdb.DuckDBPyConnection) -> tuple[list[int | None], list[int | None], list[str | None]]:
    """Read the statements of `tangled`, and return the names of those without an id.

    Returns:
        Three lists: the number of a statement of the file, or NULL; else the key of an event of the store; and the name
        of the event. A statement that takes back several events is there several times.
    """
    reading, about = _Reading(), list[tuple[int | None, int | None, _Event]]()
    rows = con.execute(
        """
        select is_new, no, event_id, key_no, state_no, arrival, replaced_at
        from tangled
        order by is_new, arrival, if(is_new, no, if(state_no is null, 0, 1))
        """
    )
    nameless = dict[int, _Event]()
    while batch := rows.fetchmany(100_000):
        for is_new, no, event_id, key_no, state_no, arrival, replaced_at in batch:
            told = _Told(arrival, key_no, state_no, replaced_at)
            if not is_new:
                event = reading.hold(event_id, told)
                if event_id is None:
                    nameless[key_no] = event
            else:
                events = reading.tell(event_id, told)
                if event_id is None:
                    about += [(no, None, event) for event in events]
    about += [(None, key_no, event) for key_no, event in nameless.items()]
    return [no for no, _, _ in about], [key_no for _, key_no, _ in about], [event.name for _, _, event in about]

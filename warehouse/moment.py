"""The moment that relations show: what had happened by one instant, as far as it had arrived by another.

Moment.of(as_of="2024-06-01")                         what had happened by June, as it is known today
Moment.of(known_at="2024-06-01")                      everything, as it was known in June
Moment.of(as_of="2024-06-01", known_at="2024-06-01")  what a build of that day could have seen
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass

from photogenic.warehouse.errors import InputError

__all__ = ["EVERYTHING", "EmptyMomentWarning", "Instant", "Instants", "Moment", "Moments"]

EVERYTHING = dt.datetime(9999, 12, 31)
"""The instant of a clock without a limit."""

Instant = dt.datetime | dt.date | str
"""An instant: naive times and dates are UTC, a date is its first instant, text is ISO 8601."""

Instants = Instant | Mapping[str, Instant]
"""One instant, or several by name; the empty name is that of relations without a name before them."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_RESERVED = frozenset(
    {"facts", "information_schema", "main", "memory", "moment", "pg_catalog", "store", "system", "temp"}
)
_SHOWN = 80

_MOST = 12
"""Largest number of moments of one query."""


class EmptyMomentWarning(UserWarning):
    """Why relations of a moment are empty, for callers that gave no progress callback."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A reading of both clocks, naive UTC.

    Attributes:
        as_of: only facts that had happened before it count.
        known_at: only facts that had arrived before it count.
    """

    as_of: dt.datetime = EVERYTHING
    known_at: dt.datetime = EVERYTHING

    @classmethod
    def of(cls, as_of: Instant | None = None, known_at: Instant | None = None) -> Moment:
        """Return the moment of two instants; None: no limit.

        Raises:
            InputError: an instant cannot be read, or is outside the years 1 to 9999.
        """
        return cls(_instant("as_of", as_of), _instant("known_at", known_at))

    @property
    def is_limited(self) -> bool:
        """Whether one of the clocks is limited."""
        return self != Moment()

    def __str__(self) -> str:
        parts = [
            f"{words} {instant.isoformat()}Z"
            for words, instant in (("as of", self.as_of), ("known at", self.known_at))
            if instant < EVERYTHING
        ]
        return ", ".join(parts) or "everything"


@dataclass(frozen=True, slots=True)
class Moments:
    """The moments that one query reads.

    Attributes:
        plain: moment of relations without a name before them; None: that of the published relations.
        named: moments by name, as in `jan.photo_labels`.
    """

    plain: Moment | None = None
    named: tuple[tuple[str, Moment], ...] = ()

    @classmethod
    def of(cls, as_of: Instants | None = None, known_at: Instants | None = None) -> Moments:
        """Return the moments of instants, or of instants by name.

        Raises:
            InputError: an instant cannot be read, or a name cannot stand before a relation.
        """
        happened, arrived = _by_name(as_of), _by_name(known_at)
        if len({*happened, *arrived}) > _MOST:
            raise InputError(f"{len({*happened, *arrived})} moments are too many.", f"at most {_MOST} in one query", "")
        found = {name: Moment.of(happened.get(name), arrived.get(name)) for name in {**happened, **arrived}}
        plain = found.pop("", None)
        for name in found:
            _check_name(name)
        if len({name.lower() for name in found}) < len(found):
            raise InputError(
                "Two moments have the same name.", "names that differ in more than case", "--as-of jan=2024-01-31"
            )
        return cls(plain, tuple(sorted(found.items())))

    def __bool__(self) -> bool:
        return self.plain is not None or bool(self.named)

    def __str__(self) -> str:
        parts = [f"{name}: {moment}" for name, moment in self.named]
        return "; ".join([str(self.plain), *parts] if self.plain is not None else parts)


def _by_name(given: Instants | None) -> Mapping[str, Instant]:
    if given is None:
        return {}
    return given if isinstance(given, Mapping) else {"": given}


def _check_name(name: object) -> None:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or name.lower() in _RESERVED:
        raise InputError(
            f"A moment is called {_short(name)}.",
            f"a name of letters, digits and _ that begins with a letter, and none of {', '.join(sorted(_RESERVED))}",
            "--as-of jan=2024-01-31",
        )


def _short(given: object) -> str:
    text = given if isinstance(given, str) else repr(given)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _instant(name: str, given: Instant | None) -> dt.datetime:
    if given is None:
        return EVERYTHING
    instant: dt.datetime | None = None
    if isinstance(given, dt.datetime):
        instant = given
    elif isinstance(given, dt.date):
        instant = dt.datetime(given.year, given.month, given.day)
    else:
        try:
            instant = dt.datetime.fromisoformat(given)
        except (TypeError, ValueError) as error:
            raise _error(name, given) from error
    try:
        naive = instant.astimezone(dt.UTC).replace(tzinfo=None) if instant.tzinfo else instant
    except OverflowError as error:
        raise _error(name, given) from error
    if not dt.datetime(1, 1, 1) < naive <= EVERYTHING:
        raise _error(name, given)
    return naive


def _error(name: str, given: object) -> InputError:
    if isinstance(given, dt.date):
        given = str(given)
    option = f"--{name.replace('_', '-')}"
    return InputError(
        f"{name} is {_short(given)}.", "an instant before the year 9999, as ISO 8601", f"{option} 2024-02-01T00:00:00Z"
    )

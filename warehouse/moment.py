"""The moment that relations show: what had happened by one instant, as far as it had arrived by another.

Moment.of(as_of="2024-06-01")                         what had happened by June, as it is known today
Moment.of(known_at="2024-06-01")                      everything, as it was known in June
Moment.of(as_of="2024-06-01", known_at="2024-06-01")  what a build of that day could have seen
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from photogenic.warehouse.errors import InputError

__all__ = ["EVERYTHING", "Instant", "Moment"]

EVERYTHING = dt.datetime(9999, 12, 31)
"""The instant of a clock without a limit."""

Instant = dt.datetime | dt.date | str
"""An instant: naive times and dates are UTC, a date is its first instant, text is ISO 8601."""


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
    option = f"--{name.replace('_', '-')}"
    return InputError(
        f"{name} is {given}.", "an instant before the year 9999, as ISO 8601", f"{option} 2024-02-01T00:00:00Z"
    )

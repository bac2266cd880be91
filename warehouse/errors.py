"""Errors that a user can cause, as one class tree. Each message has three parts: fact, expectation, remedy.

    PhotogenicError
    ├── InputError      a file, a row format, an option value that cannot be used
    │   └── ConflictError  options that contradict each other; the program ends with exit code 2
    ├── SyncError       a source of several could not be read; the others were
    ├── ThresholdError  too many rows were refused, or too few came; the program ends with exit code 3
    ├── StoreError      the store on disk: absent, from a newer version, damaged
    │   └── LockedError another process holds the writer's lock
    ├── QueryError      SQL that the user wrote and the engine refused
    │   └── QueryMemoryError  a query that needs more memory than its limit
    ├── AuditError      a relation broke its contract; the former state was kept
    ├── WeightsError    the weights of a network cannot be found or are not the published ones
    ├── EncoderError    an unknown encoder name, or an encoder that cannot run here
    ├── NetworkError    a service answered with an error that no retry resolves
    ├── OutputError     the output of a command cannot be written
    ├── ResourceError   the machine has too little memory, or allows no more threads or open files
    └── MissingPartError  an optional package, system library or program is absent

The program catches PhotogenicError only; anything else is a bug and shows its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

__all__ = [
    "AuditError",
    "ConflictError",
    "EncoderError",
    "InputError",
    "LockedError",
    "MissingPartError",
    "NetworkError",
    "OutputError",
    "PhotogenicError",
    "QueryError",
    "QueryMemoryError",
    "ResourceError",
    "StoreError",
    "SyncError",
    "ThresholdError",
    "WeightsError",
]


class PhotogenicError(Exception):
    """Base class of all errors that a user can cause.

    Args:
        what: what happened, with the offending value.
        expected: the value or state that was expected.
        remedy: what to do now, preferably a command to paste.

    Attributes:
        exit_code: exit code of the program after this error.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, expected: str = "", remedy: str = "") -> None:
        self.what, self.expected, self.remedy = what, expected, remedy
        super().__init__(what, expected, remedy)

    def __str__(self) -> str:
        beats = [self.what]
        if self.expected:
            beats.append(f"Expected: {self.expected}")
        if self.remedy:
            beats.append(f"Try: {self.remedy}")
        return "\n".join(beats)


class InputError(PhotogenicError):
    """A file, a row format or an option value that cannot be used."""


class ConflictError(InputError):
    """Options that contradict each other. The command line answers as to any wrong command line: exit code 2."""

    exit_code = 2


class ThresholdError(PhotogenicError):
    """Too many rows of an ingest were refused, or too few came. The good rows were taken in.

    Attributes:
        reports: the report of each file.
    """

    exit_code = 3

    def __init__(self, what: str, expected: str = "", remedy: str = "", reports: Sequence[Any] = ()) -> None:
        super().__init__(what, expected, remedy)
        self.reports = tuple(reports)


class SyncError(PhotogenicError):
    """A source could not be read to its end. The others were, and what came of it before is kept.

    Attributes:
        reports: the report of each source.
    """

    def __init__(self, what: str, expected: str = "", remedy: str = "", reports: Sequence[Any] = ()) -> None:
        super().__init__(what, expected, remedy)
        self.reports = tuple(reports)


class StoreError(PhotogenicError):
    """The store on disk is absent, from a newer version, or damaged."""


class LockedError(StoreError):
    """Another process holds the writer's lock and did not release it in time."""


class QueryError(PhotogenicError):
    """SQL that the user wrote and the engine refused."""


class QueryMemoryError(QueryError):
    """A query that needs more memory than its limit."""


class AuditError(PhotogenicError):
    """A relation broke its contract; the former state was kept."""


class WeightsError(PhotogenicError):
    """The weights of a network cannot be found, or are not the published ones."""


class EncoderError(PhotogenicError):
    """An unknown encoder name, or an encoder that cannot run here."""


class NetworkError(PhotogenicError):
    """A remote service answered with an error that no retry resolves."""


class OutputError(PhotogenicError):
    """The output of a command cannot be written: stdout is closed, or the disk is full."""


class ResourceError(PhotogenicError):
    """The machine has too little memory, or allows no more threads, processes or open files."""


class MissingPartError(PhotogenicError):
    """An optional package, a system library or a program is absent."""

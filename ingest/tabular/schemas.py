"""Schemas of files: the kinds of rows, their columns, and every reason to reject a row.

Header names are matched ignoring case, surrounding blanks, spaces and hyphens (`Sender ID` is `sender_id`); nothing
else is guessed: `--map ours=theirs` gives other names.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal, get_args

from photogenic.warehouse import InputError

__all__ = [
    "KINDS",
    "PREDICTIONS",
    "REASONS",
    "TABLES",
    "TYPES",
    "Column",
    "Kind",
    "Reason",
    "Table",
    "Type",
    "schema_of",
    "table_of",
]

Kind = Literal["users", "photos", "main_photos", "swipes", "predictions"]
KINDS: tuple[Kind, ...] = ("users", "photos", "main_photos", "swipes")
"""The kinds of facts. Predictions are no facts: `models.runs.add_run` takes them in."""

Type = Literal["id", "text", "tags", "gender", "flag", "count", "number", "time"]
TYPES: tuple[Type, ...] = get_args(Type)

Reason = Literal[
    "bad_avro",
    "bad_deleted",
    "bad_encoding",
    "bad_gender",
    "bad_json",
    "bad_liked",
    "bad_number",
    "bad_page",
    "bad_quotes",
    "bad_split",
    "bad_time",
    "erased",
    "future_arrival",
    "future_time",
    "inexact_id",
    "nested_value",
    "no_photo_id",
    "no_recipient_id",
    "no_sender_id",
    "no_time",
    "no_user_id",
    "no_value",
    "not_a_number",
    "out_of_range",
    "path_outside_images",
    "photo_of_another_user",
    "repeated_key",
    "repeated_photo",
    "superseded",
    "too_few_columns",
    "too_long",
    "too_many_columns",
    "unknown_photo",
]

REASONS: dict[Reason, str] = {
    "bad_avro": "The message of a stream is not one complete Avro record of the schema.",
    "bad_deleted": "Neither yes nor no in one of the known spellings (blank is no).",
    "bad_encoding": "The row is not valid UTF-8 in a file that otherwise is.",
    "bad_gender": "The gender is not one of the known spellings (blank and `unknown` are fine).",
    "bad_json": "The line is not one complete JSON object.",
    "bad_liked": "Neither yes nor no in one of the known spellings, or blank.",
    "bad_number": "Not a whole number from 0 to 2^53.",
    "bad_page": "A page in the journal of an earlier crawl that cannot be read; its walk ends as `api_error`.",
    "bad_quotes": "A quoted field is not closed, or continues after its closing quote.",
    "bad_split": "Neither train, dev nor test (blank: not said).",
    "bad_time": "Not a time: unreadable, in a zone given by an abbreviation, before 1900, or too small to be an epoch.",
    "erased": "About a person, or a photo of a person, who was erased from the store; nothing else of it is kept.",
    "future_arrival": "The arrival, `ingested_at`, is later than the ingest.",
    "future_time": "More than a day after the instant of the ingest.",
    "inexact_id": "A number that went through floating point, which may have changed it: from 2^53 on, or 1.5e+18.",
    "nested_value": "An object or a list of JSON where an id or a text is needed.",
    "no_photo_id": "The photo's id is blank.",
    "no_recipient_id": "The recipient's id is blank.",
    "no_sender_id": "The sender's id is blank.",
    "no_time": "A time that is needed is blank.",
    "no_user_id": "The user's id is blank.",
    "no_value": "The message of a stream has no value: it is a tombstone, by which a broker compacts a topic.",
    "not_a_number": "The prediction is blank, or no finite number.",
    "out_of_range": "The prediction is outside the range of the target, such as 0 to 1.",
    "path_outside_images": "The path leads out of the images folder, through `..`, a link or an absolute path.",
    "photo_of_another_user": "The photo's id belongs to another user already; the first claim holds.",
    "repeated_key": "A key of the JSON object is there twice.",
    "repeated_photo": "The files give several predictions, or several splits, for this photo; none of them is kept.",
    "superseded": "A later row of the same file says something else about the same id.",
    "too_few_columns": "Fewer fields than the header has.",
    "too_long": "An id over 1,024 bytes, another value over 65,536, or a row over 16 MiB.",
    "too_many_columns": "More fields than the header has.",
    "unknown_photo": "The store does not have the photo of a prediction; or a row that deletes a photo which the store "
    "does not have does not say whose it is.",
}
"""Each reason with its meaning. `read = new + corrected + retracted + known + refused` holds for every file."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column that we read.

    Attributes:
        name: our name, the name in the warehouse.
        type: type that decides how its values are read (sql/ingest/values.sql).
        required: whether a file without it is refused.
        blank: reason that rejects a row where it is blank; None: blank is NULL.
        unless: columns that make it dispensable together: `deleted`, in a row that takes back, and `event_id`.
    """

    name: str
    type: Type
    required: bool = False
    blank: Reason | None = None
    unless: tuple[Literal["deleted", "event_id"], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of rows, with its columns in order.

    Attributes:
        kind: kind of the rows.
        columns: columns of a file.
        key: columns that say which event a row is about, if it has no `event_id`; the last one is its time. Empty for
            descriptions.
        value: column of what is said about the event.
        picture: column of the bytes of pictures; they are never among the values of a row.
    """

    kind: Kind
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    value: str = ""
    picture: Column | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column of that name.

        Raises:
            InputError: there is no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        near = difflib.get_close_matches(name, self.names, n=1)
        raise InputError(
            f"{self.kind} have no column {name!r}.",
            f"one of {', '.join(self.names)}",
            f"--map {near[0]}=THEIRS" if near else "features ingest --help",
        )


_OF_EVENTS = (Column("event_id", "id"), Column("deleted", "flag"), Column("ingested_at", "time"))

TABLES: dict[Kind, Table] = {
    "users": Table(
        "users",
        (
            Column("user_id", "id", required=True, blank="no_user_id"),
            Column("gender", "gender"),
            Column("followers", "count"),
            Column("created_at", "time"),
            Column("updated_at", "time"),
            Column("deleted_at", "time"),
            Column("deleted", "flag"),
            Column("ingested_at", "time"),
        ),
    ),
    "photos": Table(
        "photos",
        (
            Column("photo_id", "id", required=True, blank="no_photo_id"),
            Column("user_id", "id", required=True, blank="no_user_id", unless=("deleted",)),
            Column("path", "text"),
            Column("url", "text"),
            Column("posted_at", "time"),
            Column("likes", "count"),
            Column("hashtags", "tags"),
            Column("set_at", "time"),
            Column("updated_at", "time"),
            Column("deleted_at", "time"),
            Column("deleted", "flag"),
            Column("ingested_at", "time"),
        ),
        picture=Column("image", "text"),
    ),
    "main_photos": Table(
        "main_photos",
        (
            Column("user_id", "id", required=True, blank="no_user_id", unless=("deleted", "event_id")),
            Column("photo_id", "id", required=True, unless=("deleted",)),
            Column("set_at", "time", required=True, blank="no_time", unless=("deleted", "event_id")),
            *_OF_EVENTS,
        ),
        key=("user_id", "set_at"),
        value="photo_id",
    ),
    "swipes": Table(
        "swipes",
        (
            Column("sender_id", "id", required=True, blank="no_sender_id", unless=("deleted", "event_id")),
            Column("recipient_id", "id", required=True, blank="no_recipient_id", unless=("deleted", "event_id")),
            Column("liked", "flag", required=True, blank="bad_liked", unless=("deleted",)),
            Column("swiped_at", "time", required=True, blank="no_time", unless=("deleted", "event_id")),
            *_OF_EVENTS,
        ),
        key=("sender_id", "recipient_id", "swiped_at"),
        value="liked",
    ),
}
"""`photos.set_at` is the time at which the photo became its user's main photo: an event of main_photos."""


PREDICTIONS = Table(
    "predictions",
    (
        Column("photo_id", "id", required=True, blank="no_photo_id"),
        Column("prediction", "number", required=True, blank="not_a_number"),
        Column("split", "text"),
    ),
)
"""`split`: train and dev are photos that the predictions were learned from; test and blank are others."""


def schema_of(kind: Kind) -> Table:
    """The table of that kind, also of predictions."""
    return PREDICTIONS if kind == "predictions" else TABLES[kind]


def table_of(kind: str) -> Table:
    """The table of that kind; `main-photos` is `main_photos`.

    Raises:
        InputError: there is no such kind.
    """
    for name in KINDS:
        if name == kind.replace("-", "_"):
            return TABLES[name]
    raise InputError(f"There is no kind {kind!r}.", f"one of {', '.join(KINDS)}", "features ingest --help")

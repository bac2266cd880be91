"""Suggest which columns of a file are ours: by likeness of the name, and only where the values fit the type.

    from_member, To Member, verdict, ts  ->  --map sender_id=from_member --map 'recipient_id=To Member' ...

A column for which nothing fits is suggested as THEIRS, for the user to fill in.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from photogenic.ingest.readers.input_files import printable_name, shell_quoted
from photogenic.ingest.tabular.parsing import readable
from photogenic.ingest.tabular.schemas import TYPES, Column, Kind, Table, Type
from photogenic.warehouse import InputError

__all__ = ["Candidate", "candidate_of_type", "candidate_of_values", "missing_error", "normalized"]

_GENERIC = {"id", "ids", "uid", "uuid", "guid", "key", "no", "nr", "number", "ref", "at", "time", "ts", "the"}
"""Parts of a name that do not say what it names."""

_PEOPLE = {"user", "member", "account", "profile", "person", "customer", "player"}
_WORDS: dict[Kind, dict[str, set[str]]] = {
    "swipes": {
        "sender_id": {"sender", "from", "actor", "source", "src", "swiper", "rater", "viewer", "liker", "voter"}
        | {"initiator", "author", "giver", "by"},
        "recipient_id": {"recipient", "to", "target", "swipee", "ratee", "viewed", "viewee", "receiver", "likee"}
        | {"destination", "dest", "dst", "candidate", "rated", "swiped"},
        "liked": {"liked", "like", "likes", "decision", "action", "verdict", "response", "direction", "reaction"}
        | {"swipe", "vote", "choice", "outcome", "answer", "result"},
        "swiped_at": {"swiped", "time", "timestamp", "ts", "at", "date", "datetime", "when", "occurred"},
    },
    "users": {
        "user_id": _PEOPLE | {"uid"},
        "gender": {"gender", "sex"},
        "followers": {"followers", "follower", "subscribers", "fans"},
        "created_at": {"created", "joined", "registered", "signup", "registration", "since"},
    },
    "photos": {
        "photo_id": {"photo", "image", "picture", "pic", "img", "media", "asset"},
        "user_id": _PEOPLE | {"owner", "author", "poster", "uid"},
        "path": {"path", "file", "filename"},
        "url": {"url", "link", "href", "uri"},
        "posted_at": {"posted", "published", "uploaded", "created"},
        "likes": {"likes", "hearts", "favorites"},
        "hashtags": {"hashtags", "tags"},
        "set_at": {"set", "since", "main"},
    },
    "main_photos": {
        "user_id": _PEOPLE | {"owner", "uid"},
        "photo_id": {"photo", "image", "picture", "pic", "img", "media", "asset"},
        "set_at": {"set", "since", "changed", "updated", "start", "time", "timestamp", "ts", "at", "date", "created"},
    },
    "predictions": {
        "photo_id": {"photo", "image", "picture", "pic", "img", "media", "asset"},
        "prediction": {
            "prediction",
            "predicted",
            "pred",
            "score",
            "probability",
            "prob",
            "proba",
            "output",
            "yhat",
            "p",
        },
        "split": {"split", "subset", "part", "fold"},
    },
}
"""Parts of names that exports use for each of our columns."""

_OF_ANY_KIND = {
    "updated_at": {"updated", "modified"},
    "deleted_at": {"deleted", "removed"},
    "deleted": {"deleted", "removed"},
    "ingested_at": {"ingested", "arrived", "loaded"},
    "event_id": set[str](),
}
"""The same for columns that say when and whether a row holds."""

_EVENTS = {"event", "log", "row"}
_WEAK = {"at", "by", "date", "datetime", "time", "timestamp", "to", "ts", "when"}
"""Words that name one of our columns only where nothing else is said: `time`, `swipe_time`, but not `birth_time`."""

_THEIRS, _LEAST = "THEIRS", 0.7
_SHOWN = 40

_TIME = re.compile(r"\d{4}[-/]\d\d?[-/]\d\d?([ T].*)?")
_EPOCH = re.compile(r"\d{9,19}(\.\d*)?")
_COUNT = re.compile(r"\d+(\.0*)?")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FRACTION = re.compile(r"-?\d*\.\d*[1-9]\d*([eE].*)?")
_MISSING = {"", "NULL", "null", r"\N", "nan", "NaN", "None", "NA", "N/A"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A column of the file, and the types of our columns that its values may have."""

    name: str
    fits: frozenset[Type]


def candidate_of_type(name: str, field_type: str, values: Iterable[str]) -> Candidate:
    """The column of a Parquet file, by its DuckDB type and some of its values."""
    fits = frozenset(type_ for type_ in TYPES if readable(type_, field_type))
    is_typed = field_type.startswith(("TIMESTAMP", "DATE", "VARCHAR["))
    return Candidate(name, fits if is_typed else fits & candidate_of_values(name, values).fits)


def candidate_of_values(name: str, values: Iterable[str]) -> Candidate:
    """The column of a text file, by some of its values."""
    given = [value.strip() for value in values]
    given = [value for value in given if value not in _MISSING]
    if not given:
        return Candidate(name, frozenset(TYPES))
    fits, few = set[Type](), len(set(given)) <= 8
    dates = all(map(_TIME.fullmatch, given))
    if dates or all(map(_EPOCH.fullmatch, given)):
        fits.add("time")
    if all(map(_COUNT.fullmatch, given)):
        fits.add("count")
    if all(map(_NUMBER.fullmatch, given)):
        fits.add("number")
    if not dates:
        fits |= {"text", "tags"}
        if not any(map(_FRACTION.fullmatch, given)):
            fits |= {"flag", "gender"} if few else set()
            fits |= set() if {value.lower() for value in given} <= {"true", "false"} else {"id"}
    return Candidate(name, frozenset(fits))


def missing_error(
    file: str,
    table: Table,
    missing: Sequence[tuple[Column, str]],
    names: Sequence[str],
    found: Sequence[Candidate],
    *,
    retract: bool = False,
) -> InputError:
    """Make the error that names all missing columns, with the options that map them.

    Args:
        file: name of the file.
        table: kind of its rows.
        missing: our columns that are missing, each with the name that was looked for.
        names: names of the file's columns.
        found: the columns that may be mapped; our columns that are there are left out.
        retract: whether every row takes back; of events, the id is enough then.
    """
    chosen = _choose(table, missing, found)
    options = " ".join(_option(column, chosen.get(column.name) or _THEIRS) for column, _ in missing)
    others = "; or event_id alone" if retract and table.key else ""
    if any(column.name == "ingested_at" for column, _ in missing):
        others += "; or a time such as 2024-02-01T00:00:00Z, for all rows"
    wanted = ", ".join(repr(name) for _, name in missing)
    shown = ", ".join(printable_name(name) for name in names[:_SHOWN])
    one = len(missing) == 1
    return InputError(
        f"{file} has no column{'' if one else 's'} {wanted}.",
        f"{'that name' if one else 'those names'} among its columns: {shown}"
        + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
        + others,
        options,
    )


def _option(column: Column, theirs: str) -> str:
    """The option that names the column of the file for a column of the store."""
    if column.name == "ingested_at":
        return f"--arrived-at {shell_quoted(theirs)}"
    return f"--map {shell_quoted(f'{column.name}={theirs}')}"


def normalized(name: str) -> str:
    """Normalize a name: `Sender ID`, `sender-id` and `sender_id` are equal."""
    return re.sub(r"[\s\-_]+", "_", name.strip().strip("\ufeff").strip().lower())


def _choose(table: Table, missing: Sequence[tuple[Column, str]], found: Sequence[Candidate]) -> dict[str, str]:
    """Our column -> the column that is most like it, best pairs first, each column of the file once."""
    pairs = [
        (score, -place, -at)
        for place, (column, name) in enumerate(missing)
        for at, candidate in enumerate(found)
        if column.type in candidate.fits and (score := _score(table, column, name, candidate.name)) >= _LEAST
    ]
    chosen, used = dict[str, str](), set[int]()
    for _, place, at in sorted(pairs, reverse=True):
        ours = missing[-place][0].name
        if ours not in chosen and at not in used:
            chosen[ours] = found[-at].name
            used.add(at)
    return chosen


def _score(table: Table, column: Column, name: str, given: str) -> float:
    """How well a column of the file suits the name that is looked for, from 0 to 1."""
    parts = set(_parts(given))
    words = _OF_ANY_KIND | _WORDS[table.kind]
    score = 0.0
    if meant := words[column.name] & parts:
        others = parts - words[column.name] - _GENERIC - _PEOPLE
        plain = not others - _EVENTS - set().union(*_WORDS[table.kind].values())
        score = 0.9 if plain else 0.8 if meant - _WEAK else 0.0
    elif any(words[other] & parts - _WEAK for other in table.names if other != column.name):
        return 0.0  # Its name says that it is another one of our columns.
    likeness = _likeness(name, given)
    return max(score, likeness if likeness >= _LEAST and _alike_from_start(name, given) else 0.0)


def _likeness(one: str, other: str) -> float:
    """Similarity of two names, from 0 to 1, by their distinctive parts: `sender_id` is not similar to `event_id`."""
    left, right = _distinctive(one), _distinctive(other)
    if not left or not right:
        return difflib.SequenceMatcher(None, normalized(one), normalized(other)).ratio()
    return difflib.SequenceMatcher(None, left, right).ratio()


def _alike_from_start(one: str, other: str) -> bool:
    """Whether two names begin with the same letter: `gender` is no misspelt `sender`."""
    return (_distinctive(one) or normalized(one))[:1] == (_distinctive(other) or normalized(other))[:1]


def _distinctive(name: str) -> str:
    return "_".join(part for part in _parts(name) if part not in _GENERIC)


def _parts(name: str) -> list[str]:
    """The words of a name: `fromMember`, `photo.id` and `To Member` have two."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name[:200].strip())
    return [part for part in re.split(r"[^\w]|_", normalized(plain)) if part]

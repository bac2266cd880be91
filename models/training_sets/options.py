"""Options of a named training set, on the command line, in Python and in `training_sets/NAME.toml` of a project."""

import dataclasses
import datetime as dt
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from photogenic.warehouse.definitions.project import ProjectDefinitions
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.moment import Instant, Moment
from photogenic.warehouse.option_help import Help, check_choices
from photogenic.warehouse.option_ranges import check
from photogenic.warehouse.toml_file import toml_of

__all__ = ["TrainingSetArguments", "TrainingSetOptions", "chosen", "from_toml", "from_values", "step_of"]

_EVERY = re.compile(r"([1-9][0-9]{0,3})(h|d|mo)")
_UNITS = {"h": "hours", "d": "days", "mo": "months"}


@dataclass(frozen=True, slots=True)
class TrainingSetOptions:
    """What a training set holds.

    Raises:
        InputError: a value is missing or cannot be used.
    """

    target: Annotated[
        str | None,
        Help("Column to predict, relation.column. It may be of a later time than the row.", metavar="RELATION.COLUMN"),
    ] = None
    features: Annotated[
        Sequence[str],
        Help(
            "Features: relation.column, relation.* for all numbers and booleans of a relation, or the name of an "
            "encoder. May be given several times, or separated by commas.",
            metavar="NAME",
        ),
    ] = ()
    entity: Annotated[
        str, Help("Relation whose rows the set has; it has photo_id, user_id or both.", metavar="RELATION")
    ] = "photo_periods"
    at: Annotated[
        str | None,
        Help(
            "Column of the entity with the instant of each row: features are joined as they were known then. Default: "
            "the moment of the set.",
            metavar="COLUMN",
        ),
    ] = None
    user: Annotated[
        str | None,
        Help(
            "Column of the entity with the user whose features are joined. Default: user_id, else recipient_id, else "
            "the owner of the photo.",
            metavar="COLUMN",
        ),
    ] = None
    weight: Annotated[
        str | None,
        Help("Column with the weight of each row, relation.column. Default: 1.", metavar="RELATION.COLUMN"),
    ] = None
    as_of: Annotated[dt.datetime | None, Help("Use only what had happened before this instant.", metavar="TIME")] = None
    known_at: Annotated[dt.datetime | None, Help("Use only what had arrived before this instant.", metavar="TIME")] = (
        None
    )
    every: Annotated[
        str | None,
        Help(
            "Step of time at whose beginnings features that depend on the clock are computed, such as 1d, 7d or 1mo: "
            "each row has those of the last beginning before it. Default: at the instant of each row.",
            metavar="STEP",
        ),
    ] = None
    setup: Annotated[
        Literal["all", "one_face"], Help("Rows to keep: all, or one_face for photos with exactly one face.")
    ] = "all"
    split: Annotated[
        Literal["8:1:1", "3:1"],
        Help("Sizes of train, dev and test: 8:1:1, or 3:1 for train to test with a tenth of train as dev."),
    ] = "8:1:1"
    by_time: Annotated[bool, Help("Put the newest rows into test, instead of users drawn at random.")] = False
    division_seed: Annotated[
        int | None,
        Help("Seed of the division into train, dev and test. Default: that of the relation photo_setups."),
    ] = None
    audit_instants: Annotated[
        int, Help("Number of instants at which the audit computes features again, to find values from the future.")
    ] = 5

    def __post_init__(self) -> None:
        names = [self.features] if isinstance(self.features, str) else self.features
        split = [part.strip() for name in names for part in str(name).split(",")]
        object.__setattr__(self, "features", tuple(dict.fromkeys(part for part in split if part)))
        check_choices(self)
        check(division_seed=self.division_seed, audit_instants=self.audit_instants)
        if self.every is not None:
            step_of(self.every)
        if self.every is not None and self.at is None:
            raise InputError(
                "--every is given without --at.", "a column with the instant of each row", "--at valid_from --every 1d"
            )
        if self.by_time and self.at is None:
            raise InputError(
                "--by-time is given without --at.", "a column with the instant of each row", "--at valid_from --by-time"
            )

    @property
    def moment(self) -> Moment:
        """The moment of the set."""
        return Moment.of(self.as_of, self.known_at)

    @property
    def step(self) -> str | None:
        """`every` as an interval of SQL."""
        return step_of(self.every) if self.every else None

    def recorded(self) -> dict[str, Any]:
        """Return the options as values of JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            name: list(value)
            if isinstance(value, tuple)
            else value.isoformat()
            if isinstance(value, dt.datetime)
            else value
            for name, value in values.items()
        }


class TrainingSetArguments(TypedDict, total=False):
    """The fields of `TrainingSetOptions` as keyword arguments."""

    target: str | None
    features: str | Sequence[str]
    entity: str
    at: str | None
    user: str | None
    weight: str | None
    as_of: Instant | None
    known_at: Instant | None
    every: str | None
    setup: Literal["all", "one_face"]
    split: Literal["8:1:1", "3:1"]
    by_time: bool
    division_seed: int | None
    audit_instants: int


def step_of(every: str) -> str:
    """Return a step as an interval of SQL.

    Raises:
        InputError: it is no step.
    """
    found = _EVERY.fullmatch(every)
    if not found:
        raise InputError(
            f"--every is {every[:40]!r}.", "a number of hours, days or months: 12h, 1d, 7d, 1mo", "--every 7d"
        )
    return f"{found[1]} {_UNITS[found[2]]}"


def from_values(values: Mapping[str, Any], where: str = "create_training_set") -> TrainingSetOptions:
    """Return the options of these values; instants may be texts.

    Raises:
        InputError: a name is unknown, or a value cannot be used.
    """
    known = [field.name for field in dataclasses.fields(TrainingSetOptions)]
    given = {name.replace("-", "_"): value for name, value in values.items()}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.3) or ["target"]
            raise InputError(f"{where}: {name[:60]!r} is unknown.", f"one of {', '.join(known)}", f"{near[0]} = ...")
        if name in ("as_of", "known_at") and value is not None:
            limit = Moment.of(**{name: value})
            given[name] = limit.as_of if name == "as_of" else limit.known_at
        elif name == "features":
            several = [value] if isinstance(value, str) else value
            fits = isinstance(several, Sequence) and all(isinstance(one, str) for one in several)
            _expect(fits, f"{where}: features", value, "a list of texts")
        elif name == "by_time":
            _expect(isinstance(value, bool), f"{where}: by_time", value, "true or false")
        elif name not in ("as_of", "known_at", "division_seed", "audit_instants"):
            _expect(value is None or isinstance(value, str), f"{where}: {name}", value, "a text")
    return TrainingSetOptions(**given)


def from_toml(text: str, where: str, changes: Mapping[str, Any]) -> TrainingSetOptions:
    """Return the options of a file `training_sets/NAME.toml`, with those replaced that are named.

    Raises:
        InputError: the file cannot be read, or a name in it is unknown.
    """
    values = toml_of(Path(where), "training set", text).table
    return from_values({**values, **changes}, where)


def _expect(fits: bool, what: str, value: object, expected: str) -> None:
    if not fits:
        raise InputError(f"{what} is {str(value)[:60]!r}.", expected, f"{what.rpartition(' ')[2]} = ...")


def chosen(
    project: ProjectDefinitions | None,
    name: str,
    options: TrainingSetOptions | None,
    changes: Mapping[str, Any],
) -> TrainingSetOptions:
    """Return the options of a set: given ones, else those of its file in the project, with changes.

    Raises:
        InputError: the file cannot be read, or a value cannot be used.
    """
    if options is not None:
        return from_values({**{one.name: getattr(options, one.name) for one in dataclasses.fields(options)}, **changes})
    if project is not None and name in project.unreadable_names("training_sets"):
        why = project.unreadable_names("training_sets")[name]
        where = project.file("training_sets", name)
        raise InputError(f"{where} cannot be read: {why}.", "a file of TOML", f"correct {where}")
    if project is not None and name in project.training_sets:
        return from_toml(project.training_sets[name], f"training_sets/{name}.toml", changes)
    return from_values(changes)

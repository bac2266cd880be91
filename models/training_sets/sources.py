"""What a training set reads: the columns of its entity, and each target, weight and feature with its rule of time.

row        a column of the entity itself
interval   the row of the relation that holds at the instant: valid_from <= instant < valid_to
constant   a value that does not depend on time, such as one computed from pixels
clock      everything else: computed again as of each instant, or as of the beginnings of `--every`
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from photogenic._lazy import duckdb
from photogenic.features.encoders import registry
from photogenic.models.training_sets.options import TrainingSetOptions
from photogenic.warehouse.catalog import Relation, catalog_of
from photogenic.warehouse.columns import ColumnRef, resolve
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.storage.layout import Layout

__all__ = ["Entity", "Sources", "Wanted", "required_keys", "sources_of"]

Time = Literal["row", "interval", "constant", "clock"]

_UNDATED = frozenset(
    f"facts.{table}"
    for table in (
        "builds",
        "commands",
        "embeddings",
        "fetch_attempts",
        "ingests",
        "own_relations",
        "predictions",
        "promoted_runs",
        "rejects",
        "relation_state",
        "runs",
        "training_sets",
    )
)
"""Base tables of which no clock says what was known at an instant."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One target, weight or feature.

    Attributes:
        name: its column in the set.
        relation: its relation; empty: it is the vector of an encoder.
        column: column of the relation, or name of the encoder.
        key: key by which it joins.
        time: how it is joined.
    """

    name: str
    relation: str
    column: str
    type: str
    key: Literal["photo_id", "user_id"]
    time: Time

    @property
    def source(self) -> str:
        """`relation.column`, or the name of the encoder."""
        return f"{self.relation}.{self.column}" if self.relation else self.column


@dataclass(frozen=True, slots=True)
class Entity:
    """The relation whose rows a set has.

    Attributes:
        photo: its column with the photo; None: it has none.
        user: its column with the user; None: the owner of the photo.
        ids: all its columns with ids, which the set keeps.
        at: its column with the instant; None: the moment of the set.
        owner: whether the owner of the photo is looked up.
    """

    relation: Relation
    photo: str | None
    user: str | None
    ids: tuple[str, ...]
    at: str | None

    @property
    def owner(self) -> bool:
        return self.user is None


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that a set reads.

    Attributes:
        relations: definition of every relation that is read.
    """

    entity: Entity
    target: Wanted
    weight: Wanted | None
    features: tuple[Wanted, ...]
    relations: Mapping[str, Relation]

    @property
    def all(self) -> tuple[Wanted, ...]:
        """Target, weight if there is one, and features."""
        return (self.target, *([self.weight] if self.weight else []), *self.features)

    @property
    def names(self) -> frozenset[str]:
        """The relations that are read."""
        return frozenset(
            {self.entity.relation.name, "photos", "photo_owners", "duplicate_clusters", "faces"}
            | {want.relation for want in self.all if want.relation}
        )

    def of_time(self, time: Time) -> dict[str, list[Wanted]]:
        """Return features of one rule of time by relation, in order of the set."""
        found: dict[str, list[Wanted]] = {}
        for want in self.features:
            if want.time == time:
                found.setdefault(want.relation or want.column, []).append(want)
        return found


def sources_of(con: duckdb.DuckDBPyConnection, options: TrainingSetOptions, layout: Layout) -> Sources:
    """Resolve the names of the options.

    Raises:
        InputError: a name is unknown, missing or ambiguous, or a feature does not say what was known at an instant.
    """
    if options.target is None:
        raise InputError(
            "No target is given.",
            "the column to predict",
            "--target photo_swipes.liked --entity photo_swipes --at swiped_at",
        )
    if not options.features:
        raise InputError("No features are given.", "columns or encoders", "--features photos.width,dlib_face")
    catalog = catalog_of(con)
    relations = {name: catalog.relation(name) for name in catalog.names}
    if options.entity in catalog.unbuilt:
        raise _not_built(options.entity, catalog.unbuilt[options.entity])
    entity = _entity(relations, options)
    place = entity.relation.name

    def wanted(ref: ColumnRef, name: str, *, is_feature: bool) -> Wanted:
        what = relations[ref.relation]
        time: Time = "clock"
        if ref.relation == place and options.at is not None:
            time = "row"
        elif ref.intervals:
            time = "interval"
        elif what.time.lower().startswith("constant"):
            time = "constant"
        if is_feature and options.at is not None and time == "clock":
            _refuse_undated(what, relations)
        return Wanted(name, ref.relation, ref.column, ref.type, ref.key, time)

    (target,) = _one(con, options.target, "--target", place, relations)
    weight = _one(con, options.weight, "--weight", place, relations)[0] if options.weight else None
    features: list[Wanted] = []
    for name in options.features:
        if "." in name and not _is_encoder(name, layout):
            found = _row_columns(relations[place], name) if name.split(".")[0] == place else None
            refs = found or resolve(con, [name], any_type=not name.endswith(".*"))
            features += [wanted(ref, f"{ref.relation}__{ref.column}", is_feature=True) for ref in refs]
        else:
            features.append(_encoder(name, layout, relations))
    for want in features:
        if want.source in (options.target, options.weight):
            what = "target" if want.source == options.target else "weight"
            raise InputError(
                f"{want.source} is the {what} and a feature.",
                "features without the target and its weight",
                "name the features one by one instead of with .*",
            )
    unique = tuple({want.source: want for want in features}.values())
    sources = Sources(
        entity,
        wanted(target, "target", is_feature=False),
        wanted(weight, "weight", is_feature=False) if weight else None,
        unique,
        relations,
    )
    _refuse_collisions(sources)
    _refuse_missing_keys(sources)
    return sources


def _one(
    con: duckdb.DuckDBPyConnection, name: str, option: str, place: str, relations: Mapping[str, Relation]
) -> list[ColumnRef]:
    refs = _row_columns(relations[place], name) if name.split(".", maxsplit=1)[0] == place else None
    refs = refs or resolve(con, [name], option=option)
    if len(refs) != 1:
        raise InputError(f"{option} is {name[:80]!r}.", "one column", f"{option} {refs[0].name}")
    return refs


def _row_columns(what: Relation, name: str) -> list[ColumnRef] | None:
    """Return a named column of the entity, which needs no key; None: `.*`, or a column that does not exist."""
    return [
        ColumnRef(what.name, column.name, column.type, "photo_id", False, column.comment)
        for column in what.columns
        if f"{what.name}.{column.name}" == name
    ] or None


def _entity(relations: Mapping[str, Relation], options: TrainingSetOptions) -> Entity:
    what = relations.get(options.entity)
    if what is None:
        near = difflib.get_close_matches(options.entity, relations, 3) or ["photo_periods"]
        raise InputError(
            f"--entity: there is no relation {options.entity[:80]!r}.",
            f"one of {', '.join(near)}",
            f"--entity {near[0]}",
        )
    types = {column.name: column.type for column in what.columns}
    ids = tuple(
        name for name, kind in types.items() if kind == "varchar" and name.endswith("_id") and name != "event_id"
    )
    photo = "photo_id" if "photo_id" in ids else None
    user = options.user or next((name for name in ("user_id", "recipient_id") if name in ids), None)
    if user is not None and user not in ids:
        raise InputError(
            f"--user: {what.name} has no ids {user[:80]!r}.",
            f"one of {', '.join(ids)}",
            f"--user {(*ids, 'user_id')[0]}",
        )
    if photo is None and user is None:
        raise InputError(
            f"{what.name} has neither photo_id nor user_id.",
            "an entity with one of them",
            "--entity photo_periods, or a relation of your own that adds the id",
        )
    instants = [name for name, kind in types.items() if kind == "timestamp"]
    if options.at is not None and options.at not in instants:
        raise InputError(
            f"--at: {what.name} has no instants {options.at[:80]!r}.",
            f"one of {', '.join(instants)}" if instants else "an entity with a column of timestamps",
            f"--at {instants[0]}" if instants else "--entity photo_periods --at valid_from",
        )
    return Entity(what, photo, user, ids, options.at)


def _not_built(name: str, why: str) -> InputError:
    return InputError(f"{name} was not computed yet: {why}.", "a relation that a build computed", "features build")


def _is_encoder(name: str, layout: Layout) -> bool:
    """Whether a name with a dot is that of an encoder with vectors, such as `timm:resnet50.a1`."""
    return ":" in name or layout.embeddings(name).is_dir()


def _encoder(name: str, layout: Layout, relations: Mapping[str, Relation]) -> Wanted:
    if name in relations:
        raise InputError(f"--features: {name} is a relation.", "relation.column or relation.*", f"--features {name}.*")
    if not layout.embeddings(name).is_dir():
        known = sorted({path.name for path in layout.embeddings("any").parent.glob("*/")} | {*registry.ENCODERS})
        near = difflib.get_close_matches(name, known, 3, 0.4) or known[:3]
        raise InputError(
            f"--features: {name[:80]!r} is neither a column nor an encoder with vectors in this store.",
            f"relation.column, or an encoder such as {', '.join(near)}",
            f"features build --encoder {near[0]}" if near else "features build",
        )
    return Wanted(name, "", name, "float[]", "photo_id", "constant")


def _refuse_undated(what: Relation, relations: Mapping[str, Relation]) -> None:
    seen, left = set[str](), [what.name]
    while left:
        name = left.pop()
        if name in _UNDATED:
            raise InputError(
                f"--features: {what.name} reads {name.removeprefix('facts.')}, which do not say what was known at the "
                "instant of a row.",
                "a relation that depends on the clock, has intervals, or is constant",
                "leave it out, or create the set without --at",
            )
        if name not in seen and name in relations:
            seen.add(name)
            left += relations[name].reads


def _refuse_collisions(sources: Sources) -> None:
    ours = [*sources.entity.ids, "instant", "split", *(want.name for want in sources.all)]
    ours += [] if sources.weight else ["weight"]
    ours += ["user_id"] if sources.entity.owner and "user_id" not in sources.entity.ids else []
    twice = sorted({name for name in ours if [one.lower() for one in ours].count(name.lower()) > 1})
    if twice:
        raise InputError(
            f"Two columns of the set would be called {twice[0]}.",
            "names that differ in more than case, and none of instant, split, target and weight",
            "a relation of your own with another name for one of the columns",
        )


def _refuse_missing_keys(sources: Sources) -> None:
    for want in sources.all:
        if want.time != "row" and want.key == "photo_id" and sources.entity.photo is None:
            raise InputError(
                f"{want.source} is one value per photo, and {sources.entity.relation.name} has no photo_id.",
                "an entity with photo_id",
                "--entity photo_periods",
            )


def required_keys(wanted: Iterable[Wanted]) -> set[str]:
    """Return the keys by which these are joined."""
    return {want.key for want in wanted if want.time != "row"}

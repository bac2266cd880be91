"""Publish the values of features: manifests, base tables `facts.picture_NAME`, and the relations that users query.

The relation is a view of the base table and of `photos`. For a feature of the user its text is made here, in the form
of the files of sql/, and stored in facts.own_relations. So every reader works without the code of the feature.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from photogenic import sql
from photogenic._lazy import duckdb, pl
from photogenic.features.faces.settings import FaceSettings
from photogenic.features.pictures.definition import PictureFeature
from photogenic.features.pictures.evaluate import Answer
from photogenic.features.pictures.shipped import SHIPPED
from photogenic.features.pictures.values import FeatureValues, StoredFeature, held_features
from photogenic.features.pictures.work import FeatureRow
from photogenic.warehouse import Database, InputError, Store
from photogenic.warehouse.definitions.definition import check_name

if TYPE_CHECKING:
    from photogenic.features.compute.worker import Vectors

__all__ = [
    "commit_features",
    "definition_text",
    "face_state",
    "network_rows",
    "refuse_names",
    "update_relations",
]


def face_state(settings: FaceSettings) -> str:
    """Everything that decides which faces a function sees."""
    return f"{settings.digest} {settings.confidence:g}"


def refuse_names(store: Store, features: Sequence[PictureFeature]) -> None:
    """Refuse names of features and columns that SQL or another relation has.

    Raises:
        InputError: a name cannot be used.
    """
    own = [feature for feature in features if not feature.is_ours]
    if not own:
        return
    with store.database.read() as con:
        held = {
            name for (name,) in con.execute("select relation from facts.own_relations where kind = 'sql'").fetchall()
        }
        words = {
            name
            for (name,) in con.execute(
                "select keyword_name from duckdb_keywords() where keyword_category = 'reserved'"
            ).fetchall()
        }
        for feature in own:
            try:
                check_name(con, feature.name)
            except InputError as error:
                what = error.what.replace("A relation is called", "A feature of a picture is called")
                raise InputError(what, error.expected, 'give it another name: @feature(name="...")') from error
    relations = held | set(store.project.relations if store.project is not None else ())
    for feature in own:
        if feature.name in relations:
            raise InputError(
                f"A feature of a picture is called {feature.name}, which is a relation of the project.",
                "a name that nothing else has",
                'give it another name: @feature(name="...")',
            )
        if wrong := sorted(words & set(feature.types)):
            raise InputError(
                f"The feature {feature.name} has a column {wrong[0]}, which is a word of SQL.",
                "a name that SQL does not use",
                f"call it {wrong[0]}_value",
            )


def network_rows(vectors: Sequence[Vectors], features: Sequence[PictureFeature]) -> list[FeatureRow]:
    """Rows of the features that a network computes."""
    networks = {feature.name: feature for feature in features if feature.network is not None}
    rows: list[FeatureRow] = []
    for made in vectors:
        feature = networks.get(made.encoder)
        if feature is None:
            continue
        for sha256, x in zip(made.sha256s, made.X, strict=True):
            if np.isfinite(x).all():
                kinds = [column.type for column in feature.columns]
                values = [round(float(v)) if t == "bigint" else float(v) for v, t in zip(x, kinds, strict=True)]
                answer = Answer("ok", "", tuple(values))
            else:
                answer = Answer.failed(feature, "error", "the network returned numbers that are not finite")
            rows.append(FeatureRow(feature.name, sha256, None, answer.status, answer.detail, answer.values))
    return rows


def commit_features(
    store: Store, values: Sequence[FeatureValues], held: Mapping[str, StoredFeature], current: pl.Series
) -> None:
    """Publish the values of a build, and remove those of vanished photos also from features that were not computed.

    Args:
        store: the open store.
        values: values of the features that were brought up to date.
        held: features with values in the store before the build.
        current: digests of the photo bytes in the store.
    """
    computed = {stored.feature.name for stored in values}
    others = [FeatureValues(store.layout, known, known.digest) for name, known in held.items() if name not in computed]
    for stored in (*values, *others):
        stored.commit(current)
    update_relations(store.database)


def update_relations(db: Database) -> None:
    """Load the published values into the warehouse in one transaction, where they have changed."""
    held = held_features(db.layout)
    with db.read() as con:
        comments = _comments(con)
        listed = {
            name
            for (name,) in con.execute("select relation from facts.own_relations where kind = 'picture'").fetchall()
        }
    states = {name: _state(db, feature) for name, feature in held.items()}
    stale = [name for name, state in states.items() if comments.get(f"picture_{name}") != state]
    emptied = [name for name in SHIPPED if name not in held and comments.get(f"picture_{name}")]
    dropped = sorted(listed - set(held))
    if not stale and not dropped and not emptied:
        return
    with db.write("compute features") as con:
        con.begin()
        for name in stale:
            _load(con, db, held[name], states[name])
        for name in emptied:
            con.execute(f"delete from facts.picture_{name}")
            con.execute(f"comment on table facts.picture_{name} is null")
        for name in dropped:
            con.execute(f"drop view if exists {name}")
            con.execute(f"drop table if exists facts.picture_{name}")
            con.execute("delete from facts.own_relations where relation = $1", [name])
        con.commit()


def definition_text(feature: PictureFeature | StoredFeature) -> str:
    """The relation of a feature as a file of sql/ would define it."""
    is_face = feature.input == "face"
    columns = [("photos.photo_id", "varchar", "photo_id", "the photo")]
    if is_face:
        columns.append(("found.face_no", "integer", "face_no", "from 0, as in faces; NULL: the whole photo failed"))
    columns += [(f"found.{c.name}", c.type, c.name, c.comment) for c in feature.columns]
    columns += [
        (
            "found.status",
            "varchar",
            "status",
            "ok; error, wrong_result, timeout, killed: it failed, and the values are NULL",
        ),
        ("found.detail", "varchar", "detail", "why it failed"),
    ]
    lines = [f"    cast({source} as {kind}) as {name}" for source, kind, name, _ in columns]
    lines = [line + "," * (at < len(lines) - 1) for at, line in enumerate(lines)]
    width = max(map(len, lines))
    lines = [f"{line:{width}} -- {comment}" for line, (*_, comment) in zip(lines, columns, strict=True)]
    return "\n".join(
        [
            f"-- {feature.name}: {feature.summary}",
            "--",
            f"-- grain:  {'photo_id, face_no' if is_face else 'photo_id'}",
            f"-- reads:  facts.picture_{feature.name}, photos",
            "-- time:   constant",
            f"-- source: the Python function of this name, version {feature.version}",
            "select",
            *lines,
            f"from facts.picture_{feature.name} as found",
            "inner join photos on found.sha256 = photos.sha256",
            "",
        ]
    )


def _load(con: duckdb.DuckDBPyConnection, db: Database, feature: StoredFeature, state: str) -> None:
    """Replace the rows of a base table, and for a feature of the user the table and the relation."""
    table = f"facts.picture_{feature.name}"
    columns = ["sha256", *(["face_no"] if feature.input == "face" else []), *(c.name for c in feature.columns)]
    columns += ["status", "detail"]
    if feature.name in SHIPPED:
        con.execute(f"delete from {table}")
    else:
        kinds = {"sha256": "varchar not null", "face_no": "integer", "status": "varchar not null", "detail": "varchar"}
        kinds |= {c.name: c.type for c in feature.columns}
        con.execute(f"create or replace table {table} ({', '.join(f'{name} {kinds[name]}' for name in columns)})")
        text = definition_text(feature)
        con.execute(f"create or replace view {feature.name} as {text}")
        con.execute("delete from facts.own_relations where relation = $1", [feature.name])
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        con.execute(
            "insert into facts.own_relations (relation, kind, definition, parameters, status, tried_at,"
            " built_definition, built_parameters) values ($1, 'picture', $2, '{}', 'ok', $3, $2, '{}')",
            [feature.name, text, now],
        )
    parts = [str(path) for path in FeatureValues(db.layout, feature, feature.digest).parts.paths()]
    if parts:
        chosen = ", ".join("nullif(detail, '') as detail" if name == "detail" else name for name in columns)
        con.execute(
            f"insert into {table} select {chosen} from read_parquet($parts) where status <> 'no_face' order by all",
            {"parts": parts},
        )
    con.execute(f"comment on table {table} is '{state}'")


def _state(db: Database, feature: StoredFeature) -> str:
    """State that changes with the values and with the text of the relation, 16 hex digits."""
    paths = FeatureValues(db.layout, feature, feature.digest).parts.paths()
    text = " ".join([*(path.name for path in paths), sql.read(feature.name) if feature.name in SHIPPED else ""])
    described = "" if feature.name in SHIPPED else definition_text(feature)
    return hashlib.sha256(f"{feature.digest} {text} {described}".encode()).hexdigest()[:16]


def _comments(con: duckdb.DuckDBPyConnection) -> dict[str, str | None]:
    found = con.execute("select table_name, comment from system.main.duckdb_tables() where schema_name = 'facts'")
    return dict(found.fetchall())

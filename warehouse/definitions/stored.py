"""The store's copy of a project's definitions: all that builds, readers and erase use.

A build inside a project replaces the copy. A build elsewhere uses it as it is.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import parse, read_values
from photogenic.warehouse.definitions.definition import values_json
from photogenic.warehouse.definitions.link import refuse_other_project
from photogenic.warehouse.definitions.project import ProjectDefinitions
from photogenic.warehouse.errors import PhotogenicError

__all__ = [
    "StoredAudit",
    "StoredRelation",
    "describe",
    "drop_relation",
    "is_new",
    "read_audits",
    "read_relations",
    "save_definitions",
    "wanted_audits",
    "wanted_relations",
]


@dataclass(frozen=True, slots=True)
class StoredRelation:
    """One row of facts.own_relations.

    Attributes:
        kind: sql, picture.
        parameters: the values that the project gives, as JSON.
        built_definition: the file that the present rows were computed from; None: there are none.
        failed_digest: digest of the inputs with which it failed.
    """

    name: str
    kind: str
    definition: str
    parameters: str
    status: str = "pending"
    error: str | None = None
    built_definition: str | None = None
    built_parameters: str | None = None
    failed_digest: str | None = None

    def given(self) -> dict[str, Any]:
        """Return the values that the project gives to parameters."""
        try:
            return read_values(parse(self.name, self.definition), self.parameters)
        except ValueError:
            found: dict[str, Any] = json.loads(self.parameters)
            return found


@dataclass(frozen=True, slots=True)
class StoredAudit:
    """One row of facts.own_audits."""

    name: str
    definition: str
    status: str = "pending"
    error: str | None = None
    digest: str | None = None


def read_relations(con: duckdb.DuckDBPyConnection) -> dict[str, StoredRelation]:
    """Read the relations of the store's copy, by name."""
    query = (
        "select relation, kind, definition, parameters, status, error, built_definition, built_parameters,"
        " failed_digest from facts.own_relations order by relation"
    )
    return {row[0]: StoredRelation(*row) for row in con.execute(query).fetchall()}


def read_audits(con: duckdb.DuckDBPyConnection) -> dict[str, StoredAudit]:
    """Read the audits of the store's copy, by name."""
    query = "select audit, definition, status, error, digest from facts.own_audits order by audit"
    return {row[0]: StoredAudit(*row) for row in con.execute(query).fetchall()}


def wanted_relations(con: duckdb.DuckDBPyConnection, project: ProjectDefinitions | None) -> dict[str, StoredRelation]:
    """Return the relations that a build computes: those of the project, else those of the store's copy."""
    held = read_relations(con)
    if project is None:
        return held
    kept = {name: one for name, one in held.items() if one.kind != "sql" and name not in project.relations}
    unread = {
        name: held.get(name, StoredRelation(name, "sql", "", "{}")) for name in project.unreadable_names("relations")
    }
    return (
        kept
        | unread
        | {
            name: _renewed(held.get(name), name, text, project.parameters.get(name, {}))
            for name, text in project.relations.items()
        }
    )


def wanted_audits(con: duckdb.DuckDBPyConnection, project: ProjectDefinitions | None) -> dict[str, StoredAudit]:
    """Return the audits that a build runs: those of the project, else those of the store's copy."""
    held = read_audits(con)
    if project is None:
        return held
    unread = {name: held.get(name, StoredAudit(name, "")) for name in project.unreadable_names("audits")}
    return unread | {
        name: held[name] if name in held and held[name].definition == text else StoredAudit(name, text)
        for name, text in project.audits.items()
    }


def is_new(con: duckdb.DuckDBPyConnection, project: ProjectDefinitions | None) -> bool:
    """Whether `save_definitions` would change the store's copy."""
    if project is None:
        return False
    linked = con.execute("select project_id, name, path from facts.project").fetchall()
    return (
        linked != [(project.project_id, project.name, project.place)]
        or wanted_relations(con, project) != read_relations(con)
        or wanted_audits(con, project) != read_audits(con)
    )


def save_definitions(con: duckdb.DuckDBPyConnection, project: ProjectDefinitions) -> None:
    """Replace the store's copy by the definitions of a project, in one transaction.

    Tables of definitions that the project no longer has are dropped. A changed definition keeps its rows until it is
    computed.

    Raises:
        ConflictError: the store has the definitions of another project.
    """
    refuse_other_project(con, project)
    row = [project.project_id, project.name, project.place]
    held, held_audits = read_relations(con), read_audits(con)
    relations, audits = wanted_relations(con, project), wanted_audits(con, project)
    if not is_new(con, project):
        return
    linked = con.execute("select project_id, name, path from facts.project").fetchall()
    con.begin()
    try:
        if linked != [tuple(row)]:
            con.execute("delete from facts.project")
            con.execute("insert into facts.project values ($1, $2, $3, $4)", [*row, _now()])
        for name in held.keys() - relations.keys():
            drop_relation(con, name)
        for name, one in relations.items():
            if one != held.get(name):
                if name in held and held[name].kind != one.kind:
                    drop_relation(con, name)
                con.execute("delete from facts.own_relations where relation = $1", [name])
                con.execute(
                    "insert into facts.own_relations values ($1, $2, $3, $4, $5, $6, null, $7, $8, $9)",
                    [
                        *(name, one.kind, one.definition, one.parameters, one.status, one.error),
                        *(one.built_definition, one.built_parameters, one.failed_digest),
                    ],
                )
        con.execute("delete from facts.own_audits where not list_contains($1, audit)", [list(audits)])
        for name, audit in audits.items():
            if audit != held_audits.get(name):
                con.execute("delete from facts.own_audits where audit = $1", [name])
                con.execute(
                    "insert into facts.own_audits values ($1, $2, $3, null, null, null)",
                    [name, audit.definition, audit.status],
                )
    except BaseException:
        con.rollback()
        raise
    con.commit()


def drop_relation(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Drop the table or view of an own relation, its state and its definition; in the caller's transaction."""
    query = """
        select 'table' from duckdb_tables() where table_name = $1 and schema_name = 'main' and not temporary
        union all
        select 'view' from duckdb_views() where view_name = $1 and schema_name = 'main' and not internal
    """
    for (kind,) in con.execute(query, [name]).fetchall():
        quoted = name.replace('"', '""')
        con.execute(f'drop {kind} "{quoted}"')
    con.execute("delete from facts.relation_state where relation = $1", [name])
    con.execute("delete from facts.own_relations where relation = $1", [name])


def _renewed(held: StoredRelation | None, name: str, text: str, given: Mapping[str, Any]) -> StoredRelation:
    """Return the row of a definition: as it is held, if it is unchanged."""
    parameters = values_json(given)
    if held is None or held.kind != "sql":
        return StoredRelation(name, "sql", text, parameters)
    if (held.definition, held.parameters) == (text, parameters):
        return held
    return StoredRelation(
        name, "sql", text, parameters, built_definition=held.built_definition, built_parameters=held.built_parameters
    )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def describe(error: PhotogenicError | Exception) -> str:
    """Return the text of an error that is recorded, at most 4,000 characters."""
    return str(error).strip()[:4_000]

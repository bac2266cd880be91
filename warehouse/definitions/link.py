"""Which project a store has the definitions of: the row of facts.project, which a build in a project writes."""

from __future__ import annotations

import datetime as dt
import shlex
from dataclasses import dataclass
from pathlib import Path

from photogenic._lazy import duckdb
from photogenic.warehouse.context import Store
from photogenic.warehouse.definitions.folder import project_id_in
from photogenic.warehouse.definitions.project import ProjectDefinitions
from photogenic.warehouse.duckdb_store.database import Database
from photogenic.warehouse.errors import ConflictError

__all__ = ["Linked", "link_project", "linked_project", "refuse_other_project", "refuse_replacing"]


@dataclass(frozen=True, slots=True)
class Linked:
    """The project of a store.

    Attributes:
        path: its folder in the last build.
        linked_at: when a build linked it.
    """

    project_id: str
    name: str
    path: Path
    linked_at: dt.datetime


def linked_project(db: Database) -> Linked | None:
    """Return the project whose definitions the store has; None: it has none, or there is no store."""
    if not db.layout.snapshot.exists():
        return None
    with db.read() as con:
        return _read(con)


def refuse_replacing(store: Store, *, replace: bool) -> None:
    """Refuse a build of one project on the store of another, before it takes the lock.

    Args:
        store: the open store; it need not exist.
        replace: whether the definitions of the other project may be replaced.

    Raises:
        ConflictError: the store has the definitions of another project.
    """
    if store.project is not None and not replace:
        _refuse(linked_project(store.database), store.project)


def refuse_other_project(con: duckdb.DuckDBPyConnection, project: ProjectDefinitions | None) -> None:
    """Refuse a build of one project on the store of another.

    Raises:
        ConflictError: the store has the definitions of another project.
    """
    _refuse(_read(con), project)


def link_project(store: Store, *, replace: bool = False) -> list[str]:
    """Prepare the store for a build of the project, and return notes about what changes. The caller holds the lock.

    The build itself writes the row, together with the definitions. Only the row of another project is replaced here.

    Raises:
        ConflictError: the store has the definitions of another project, and `replace` is False.
    """
    held, project = linked_project(store.database), store.project
    if project is None:
        return []
    if held is None:
        return [f"The store has the definitions of the project {project.name} from now on."]
    if held.project_id != project.project_id:
        if not replace:
            _refuse(held, project)
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        with store.database.write("features build") as con:
            con.begin()
            con.execute("delete from facts.project")
            row = [project.project_id, project.name, project.place, now]
            con.execute("insert into facts.project values ($1, $2, $3, $4)", row)
            con.commit()
        return [f"The definitions of the project {project.name} replace those of {held.name}."]
    if str(held.path) != project.place:
        return [
            f"The project {project.name} was built from {held.path} before, and from {project.path} now. A copy that "
            "is to be another project needs another id in its photogenic.toml."
        ]
    return []


def _read(con: duckdb.DuckDBPyConnection) -> Linked | None:
    row = con.execute("select project_id, name, path, linked_at from facts.project").fetchone()
    return Linked(row[0], row[1], Path(row[2]), row[3]) if row else None


def _refuse(held: Linked | None, project: ProjectDefinitions | None) -> None:
    if held is None or project is None or held.project_id == project.project_id:
        return
    there = project_id_in(held.path) == held.project_id
    raise ConflictError(
        f"The store has the definitions of the project {held.name} in {held.path}, and this build is of the project "
        f"{project.name} in {project.path}.",
        f"a build of {held.name}, another store for {project.name}, or --replace-project, which drops the relations of "
        f"{held.name}",
        f"features build --project {shlex.quote(str(held.path))}" if there else "features build --replace-project",
    )

"""Check the project that the command works in, and whether it fits the store."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from photogenic.maintenance.doctor.finding import Finding
from photogenic.warehouse import Store
from photogenic.warehouse.catalog import catalog_of
from photogenic.warehouse.definitions.definition import check_audit, check_relation
from photogenic.warehouse.definitions.folder import project_id_in
from photogenic.warehouse.definitions.link import Linked, linked_project
from photogenic.warehouse.definitions.project import CODE, ProjectDefinitions
from photogenic.warehouse.errors import PhotogenicError
from photogenic.warehouse.user_modules import import_user_modules

__all__ = ["examine_files", "examine_link"]

_MOST_NAMES = 5


def examine_files(store: Store) -> Iterator[Finding]:
    """Check the files of the project, which needs no store."""
    project = store.project
    if project is None:
        return
    for file, why in project.unreadable.items():
        what, _, remedy = why.partition("\nTry: ")
        yield Finding(f"project {file}", "fault", what.partition("\n")[0], remedy)
    if project.code is not None:
        yield _code(project)


def examine_link(store: Store) -> Iterator[Finding]:
    """Check whether the project and the store fit, and whether a build could use its definitions."""
    held, project = linked_project(store.database), store.project
    if project is not None:
        yield _link(store, held, project)
        yield from _definitions(store, project)
    elif held is not None:
        yield _elsewhere(held)


def _code(project: ProjectDefinitions) -> Finding:
    """Check that `features.py` may run, and that it can be imported."""
    allow = f"features init {shlex.quote(str(project.path))}"
    if not project.may_run:
        return Finding(f"project {CODE}", "note", "does not run: nobody has allowed it on this machine", allow)
    try:
        import_user_modules()
    except PhotogenicError as error:
        return Finding(f"project {CODE}", "fault", error.what, error.remedy)
    return Finding(f"project {CODE}", "ok", "runs, and can be imported")


def _link(store: Store, held: Linked | None, project: ProjectDefinitions) -> Finding:
    if held is None:
        found = f"{project.name}: no build has used its definitions in this store yet"
        return Finding("project", "note", found, "features build")
    if held.project_id != project.project_id:
        found = f"the store has the definitions of {held.name} in {held.path}, not of {project.name} in {project.path}"
        return Finding("project", "fault", found, "work in that folder, or features build --replace-project")
    if held.path != project.path and project_id_in(held.path) == held.project_id:
        found = f"{project.path} and {held.path} have the same id, and the store was built from the latter"
        return Finding("project", "note", found, f"write another id into {project.path / 'photogenic.toml'}")
    if changed := _changed(store, project):
        shown = ", ".join(changed[:_MOST_NAMES]) + (", ..." if len(changed) > _MOST_NAMES else "")
        found = f"{len(changed):,} definitions are not those of the last build: {shown}"
        return Finding("project", "note", found, "features build")
    return Finding("project", "ok", f"{project.name} in {project.path}")


def _elsewhere(held: Linked) -> Finding:
    """Check the folder of the store's project, when the command works outside it."""
    there = project_id_in(held.path)
    if there == held.project_id:
        return Finding("project", "ok", f"{held.name} in {held.path}")
    what = "has no project now" if there is None else "has another project now"
    found = f"{held.name}: {held.path} {what}; builds use the definitions that the store keeps"
    return Finding("project", "note", found, "features build --project FOLDER, where the project is now")


def _changed(store: Store, project: ProjectDefinitions) -> list[str]:
    """Return the files of the project that differ from the copy in the store, and those that are gone."""
    changed = []
    for kind, query in (
        ("relations", "select relation, definition from facts.own_relations where kind = 'sql'"),
        ("audits", "select audit, definition from facts.own_audits"),
    ):
        texts = getattr(project, kind)
        unreadable = project.unreadable_names(kind)
        copies = {name: text for name, text in store.database.rows(query) if name not in unreadable}
        names = sorted(name for name in {*texts, *copies} if texts.get(name) != copies.get(name))
        changed += [f"{kind}/{name}.sql" for name in names]
    return changed


def _definitions(store: Store, project: ProjectDefinitions) -> Iterator[Finding]:
    """Check each definition as a build does."""
    with store.database.read() as con:
        known = {*catalog_of(con).names, *project.relations}
        for name, text in project.relations.items():
            try:
                check_relation(con, name, text, known)
            except PhotogenicError as error:
                yield Finding(f"project relations/{name}.sql", "fault", error.what, error.remedy)
        for name, text in project.audits.items():
            try:
                check_audit(con, name, text, known)
            except PhotogenicError as error:
                yield Finding(f"project audits/{name}.sql", "fault", error.what, error.remedy)

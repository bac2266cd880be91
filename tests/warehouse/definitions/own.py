"""Projects from literal files, for tests of own relations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from photogenic.warehouse import Store
from photogenic.warehouse.definitions.project import ProjectDefinitions


def sql_file(
    name: str, select: str, *, reads: str, grain: str = "user_id", time: str = "as of the clock", **keys: str
) -> str:
    """Return the text of a relation with the header that it needs."""
    more = "".join(f"-- {key}: {value}\n" for key, value in keys.items())
    contract = f"-- grain: {grain}\n-- reads: {reads}\n-- time: {time}\n-- source: test\n{more}"
    return f"-- {name}: a test\n--\n{contract}{select}\n"


def audit_file(name: str, select: str, *, reads: str) -> str:
    """Return the text of an audit with the header that it needs."""
    return f"-- {name}: no row\n--\n-- reads: {reads}\n{select}\n"


RECEIVED = """
select
    cast(recipient_id as varchar) as user_id, -- who received them
    cast(count(*) as bigint) as n_received -- swipes
from swipes
group by recipient_id
"""


def received(name: str = "received") -> str:
    """Return a relation of the swipes that each user received."""
    return sql_file(name, RECEIVED, reads="swipes")


def project(relations: dict[str, str], audits: dict[str, str] | None = None, **more: Any) -> ProjectDefinitions:
    """Return a project with these files."""
    values = {"project_id": "1", "name": "test", "path": Path("/project"), **more}
    return ProjectDefinitions(relations=relations, audits=audits or {}, **values)


def within(db: Any, relations: dict[str, str], audits: dict[str, str] | None = None, **more: Any) -> Store:
    """Return the store, opened inside such a project."""
    return Store(db, project=project(relations, audits, **more))

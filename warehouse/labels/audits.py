"""Audits: queries in sql/audits/ that must return no rows.

A file begins with `-- NAME: what must hold` and `-- reads: the relations in it`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from photogenic import sql
from photogenic.warehouse.errors import AuditError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Audit", "audit", "audit_named"]

_SHOWN = 5

Asking = Callable[[str], tuple[list[str], list[tuple[Any, ...]]]]


@dataclass(frozen=True, slots=True)
class Audit:
    """One query that must return no rows."""

    name: str
    promise: str
    reads: tuple[str, ...]
    text: str


def audit_named(name: str) -> Audit:
    """The audit of `sql/audits/NAME.sql`.

    Raises:
        ValueError: the header is not in the form that this module's docstring gives.
    """
    text = sql.read(f"audits/{name}")
    header = re.match(rf"-- {name}: (?P<promise>.+)\n--\n-- reads:\s+(?P<reads>.+)\n", text)
    if header is None:
        raise ValueError(f"sql/audits/{name}.sql must begin with `-- {name}: what must hold` and `-- reads:`")
    return Audit(name, header["promise"], tuple(header["reads"].split(", ")), text)


def audit(con: DuckDBPyConnection, changed: Collection[str], ask: Asking | None = None) -> None:
    """Run the audits that read a changed relation, those of early relations first: a fault shows where it begins.

    Args:
        con: holds the relations.
        changed: names of relations.
        ask: answers the audits that look at facts, where the facts are not DuckDB's: names and rows.

    Raises:
        AuditError: one found rows; it says how many, shows the first, and gives the query.
    """
    place = {name: number for number, name in enumerate((*sql.VIEWS, *sql.RELATIONS))}
    due = [one for one in map(audit_named, sql.audits()) if not set(changed).isdisjoint(one.reads)]
    due.sort(key=lambda one: max(place[name] for name in one.reads))
    if not due:
        return
    if ask is not None:
        for one in (one for one in due if "facts." in one.text):
            names, rows = ask(one.text)
            if rows:
                _fail(one, len(rows), names, rows[:_SHOWN])
        due = [one for one in due if "facts." not in one.text]
    # All in one query, which keeps every core busy; the first that finds something is asked once more for its rows.
    counts = [f"select '{one.name}' as name, count(*) as n_found from ({one.text}) as found" for one in due]
    found = dict(con.execute(" union all ".join(counts)).fetchall()) if due else {}
    for one in due:
        if found[one.name]:
            answer = con.execute(f"select * from ({one.text}) as found limit {_SHOWN}")
            names = [column[0] for column in answer.description]
            _fail(one, found[one.name], names, answer.fetchall())


def _fail(one: Audit, n_found: int, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> NoReturn:
    shown = [", ".join(f"{name} = {value}" for name, value in zip(names, row, strict=True)) for row in rows]
    raise AuditError(
        f"The audit {one.name} found {n_found:,} rows where there must be none: {one.promise}\n"
        + "\n".join(f"    {line}" for line in shown),
        f"no rows from\n\n{one.text.strip()}\n",
        f"features sql --show {one.reads[0]} (the former labels stand; the rows above show which facts to look at)",
    )

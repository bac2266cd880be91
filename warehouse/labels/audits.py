"""Audits: queries in sql/audits/ that must return no rows.

A file begins with `-- NAME: what must hold` and `-- reads: the relations in it`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.errors import AuditError

__all__ = ["Audit", "audit", "audit_named", "read_audit", "rows_found"]

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
    """Return the audit that `sql/audits/NAME.sql` defines.

    Raises:
        ValueError: the header does not have the form described in the docstring of this module.
    """
    return read_audit(name, sql.read(f"audits/{name}"), f"sql/audits/{name}.sql")


def read_audit(name: str, text: str, file: str) -> Audit:
    """Read the header of an audit.

    Raises:
        ValueError: it does not have the form described in the docstring of this module.
    """
    header = re.match(rf"-- {name}: (?P<promise>.+)\n--\n-- reads:\s+(?P<reads>.+)\n", text)
    if header is None:
        raise ValueError(f"{file} must begin with `-- {name}: what must hold` and `-- reads:`")
    return Audit(name, header["promise"], tuple(re.split(r",\s*", header["reads"].strip())), text)


def rows_found(con: duckdb.DuckDBPyConnection, one: Audit, ask: Asking | None = None) -> None:
    """Run one audit.

    Args:
        con: connection with the relations.
        one: the audit.
        ask: function that runs it elsewhere, and returns column names and rows; None: DuckDB runs it.

    Raises:
        AuditError: it found rows.
    """
    if ask is not None:
        names, rows = ask(one.text)
        if rows:
            _fail(one, len(rows), names, rows[:_SHOWN])
        return
    ((n_found,),) = con.execute(f"select count(*) from ({one.text}\n) as found").fetchall()
    if n_found:
        answer = con.execute(f"select * from ({one.text}\n) as found limit {_SHOWN}")
        _fail(one, n_found, [column[0] for column in answer.description], answer.fetchall())


def audit(
    con: duckdb.DuckDBPyConnection,
    changed: Collection[str],
    ask: Asking | None = None,
    *,
    there: Collection[str] | None = None,
) -> None:
    """Run the audits that read a changed relation, in build order, so that a fault is reported where it begins.

    Args:
        con: connection with the relations.
        changed: names of the changed relations.
        ask: function that runs audits of facts where Spark has the facts; returns column names and rows.
        there: the only relations that an audit may read; None: all.

    Raises:
        AuditError: an audit found rows; the message has their number, the first of them, and the query.
    """
    place = {name: number for number, name in enumerate(sql.NAMES)}
    due = [one for one in map(audit_named, sql.audits()) if not set(changed).isdisjoint(one.reads)]
    if there is not None:
        due = [one for one in due if set(one.reads) <= set(there)]
    due.sort(key=lambda one: max(place[name] for name in one.reads))
    if not due:
        return
    if ask is not None:
        for one in (one for one in due if "facts." in one.text):
            names, rows = ask(one.text)
            if rows:
                _fail(one, len(rows), names, rows[:_SHOWN])
        due = [one for one in due if "facts." not in one.text]
    # All audits in one query use every core. The first one that finds rows runs once more to show them.
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
        f"features sql --show {one.reads[0]} (the former labels are kept; the rows above show which facts to check)",
    )

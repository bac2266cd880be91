"""Check that a relation adds up: its rows for two disjoint sets of log rows, added by group, are those for both.

`additive: swipes` or `additive: photo_swipes` in a header declares it. Such a relation is updated from new and removed
log rows alone. It holds for one form of SELECT, and everything else is refused:

- the log is read once, in FROM or in a join that keeps each of its rows apart; what it is joined to may be any query
- subqueries and parts of a WITH between the log and the end only filter, join and compute row by row
- the last SELECT groups by the columns of the grain
- each other column is `count(*)`, `count(...)`, `count_if(...)` or a sum of whole numbers that is never NULL, cast to
  bigint; exactly one is a plain `count(*)`: a group whose count becomes 0 vanishes
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Relation, relation
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.labels.incremental import LOGS
from photogenic.warehouse.sql_guard.rewrite import has_nearest_join

__all__ = ["Sums", "check_additive"]

_SELECT = {"expressions", "from_", "joins", "where", "with_", "order"}
"""Parts of a SELECT between the log and the end."""

_NEVER_NULL = ("sender_id", "recipient_id", "liked", "swiped_at")
"""Columns of both logs that have a value in each row."""

_INTEGERS = ("tinyint", "smallint", "integer", "int", "bigint")


@dataclass(frozen=True, slots=True)
class Sums:
    """How the rows of an additive relation add up.

    Attributes:
        log: the log.
        keys: columns of the grain.
        count: the plain `count(*)`.
        sums: all columns that are added, `count` among them.
    """

    log: str
    keys: tuple[str, ...]
    count: str
    sums: tuple[str, ...]


def check_additive(what: Relation, log: str, where: str) -> Sums:
    """Check the form of an additive relation.

    Args:
        what: the relation.
        log: the value of `additive:` in its header.
        where: its file, for messages.

    Raises:
        InputError: its rows do not add up, or not in a form that this check knows.
    """
    if log not in LOGS:
        raise InputError(f"{where}: additive is {log}.", f"one of {', '.join(LOGS)}", "additive: swipes")
    return _Check(what, log, where).run()


class _Check:
    def __init__(self, what: Relation, log: str, where: str) -> None:
        self.what, self.log, self.where = what, log, where
        if has_nearest_join(what.text):
            self._fail("it has a NEAREST join", "a plain SELECT that groups the rows of the log")
        try:
            self.tree = sqlglot.parse_one(what.text, dialect="duckdb")
        except (SqlglotError, RecursionError):
            self._fail("its SQL has a form that this check does not know", "a plain SELECT")

    def run(self) -> Sums:
        if not isinstance(self.tree, exp.Select):
            self._fail("it is no single SELECT", "one SELECT that groups the rows of the log")
        direct = self._follow(self._log())
        keys, sums = self.what.keys, list[str]()
        if not keys:
            self._fail(f"its grain is {self.what.grain!r}, which names no column", "a grain of at least one column")
        counts = []
        projections = {item.alias_or_name.lower(): item for item in self.tree.expressions}
        for column in self.what.columns:
            item = projections.get(column.name)
            if item is None:
                self._fail(f"the column {column.name} is not in its last SELECT", "columns that are written out")
            value = item.this if isinstance(item, exp.Alias) else item
            if column.name in keys:
                self._refuse_aggregates([value], f"the column {column.name} of the grain")
            else:
                sums.append(column.name)
                counts += [column.name] * self._is_count(column.name, value, direct)
        if len(counts) != 1:
            said = f"{len(counts)} columns are a plain count(*)" if counts else "no column is a plain count(*)"
            self._fail(said, "exactly one, which tells when a group vanishes", "cast(count(*) as bigint) as n")
        self._check_groups(projections, keys, direct)
        return Sums(self.log, keys, counts[0], tuple(sums))

    def _log(self) -> exp.Table:
        """Return the place where the log is read."""
        names = [cte.alias.lower() for cte in self.tree.find_all(exp.CTE)]
        if len(set(names)) < len(names) or self.log in names:
            self._fail("two parts of it have the same name", f"a WITH whose names differ, also from {self.log}")
        if any(part.args.get("recursive") for part in self.tree.find_all(exp.With)):
            self._fail("it has a recursive WITH", "a WITH without recursion")
        found = [table for table in self.tree.find_all(exp.Table) if table.name.lower() == self.log]
        if len(found) != 1:
            n = "never" if not found else f"{len(found)} times"
            self._fail(f"it reads {self.log} {n}", "a query that reads the log once")
        return found[0]

    def _follow(self, place: exp.Table) -> bool:
        """Check every SELECT from the log to the last one; return whether the last one reads the log itself."""
        node: exp.Expr = place
        n_selects = 0
        while True:
            if isinstance(node, exp.Table) and set(_given(node)) - {"this", "alias"}:
                self._fail(f"{node.sql(dialect='duckdb')} is more than a name", f"from {self.log}")
            select = self._selected_from(node)
            n_selects += 1
            if select is self.tree:
                self._check_parts(select, {*_SELECT, "group"})
                return n_selects == 1
            self._check_parts(select, _SELECT)
            self._refuse_aggregates(_own(select), "a SELECT before the last one")
            around = select.parent
            if isinstance(around, exp.Subquery) and not set(_given(around)) - {"this", "alias"}:
                node = around
                continue
            if not isinstance(around, exp.CTE):
                self._fail(f"{self.log} is read in {type(around).__name__.lower()}", "in FROM, in a join, or in a WITH")
            readers = [table for table in self.tree.find_all(exp.Table) if table.name.lower() == around.alias.lower()]
            if len(readers) != 1:
                n = "never" if not readers else f"{len(readers)} times"
                self._fail(f"{around.alias}, which reads {self.log}, is read {n}", "once")
            node = readers[0]

    def _selected_from(self, node: exp.Expr) -> exp.Select:
        """Return the SELECT that reads a table or subquery in its FROM or in a join that keeps the rows apart."""
        around = node.parent
        select = around.parent if isinstance(around, (exp.From, exp.Join)) else None
        if not isinstance(select, exp.Select):
            self._fail(
                f"{self.log} is read in {type(around).__name__.lower()}", "in FROM, in a join, or in a part of a WITH"
            )
        joins = select.args.get("joins") or []
        if isinstance(around, exp.Join):
            place = next(n for n, join in enumerate(joins) if join is around)
            if _kind(around) not in ("", "inner", "cross", "right"):
                self._fail_join(around)
            joins = joins[place + 1 :]
        for join in joins:
            if _kind(join) not in ("", "inner", "cross", "left", "semi", "anti", "asof", "asof inner", "asof left"):
                self._fail_join(join)
        return select

    def _fail_join(self, join: exp.Join) -> NoReturn:
        self._fail(
            f"it has a {_kind(join) or 'plain'} join, in which rows of {self.log} decide on rows of others",
            f"{self.log} left join ..., or an inner, cross, semi, anti or asof join to it",
            f"from {self.log} left join ...",
        )

    def _check_parts(self, select: exp.Select, known: set[str]) -> None:
        for part in set(_given(select)) - known:
            self._fail(
                f"it uses {part.rstrip('_')} on rows of {self.log}", "filters, joins and one GROUP BY at the end"
            )
        for item in select.expressions:
            if (inside := item.find(exp.Query)) is not None:
                self._fail(
                    f"it has the subquery {inside.sql(dialect='duckdb')[:60]} in a column", "a join to that query"
                )
        for node in _own(select):
            if window := next((part for part in _walk(node) if isinstance(part, exp.Window)), None):
                self._fail(
                    f"it has the window {window.sql(dialect='duckdb')[:60]}, which looks at other rows",
                    "values of one row at a time",
                )

    def _refuse_aggregates(self, nodes: list[exp.Expr], place: str) -> None:
        for node in nodes:
            for part in _walk(node):
                if isinstance(part, exp.AggFunc) or (isinstance(part, exp.Func) and _name(part) in _aggregates()):
                    self._fail(
                        f"{place} has the aggregate {part.sql(dialect='duckdb')[:60]}", "aggregates of the last SELECT"
                    )

    def _is_count(self, name: str, value: exp.Expr, direct: bool) -> bool:
        """Check a column that is added; return whether it is the plain `count(*)`."""
        if not (type(value) is exp.Cast and value.to.sql(dialect="duckdb").lower() == "bigint"):
            self._refuse(name, value)
        inner, never_null = value.this, False
        if type(inner) is exp.Coalesce and [part.sql() for part in inner.expressions] == ["0"]:
            inner, never_null = inner.this, True
        filtered = type(inner) is exp.Filter
        if filtered:
            self._refuse_aggregates([inner.expression], f"the filter of {name}")
            inner = inner.this
        if type(inner) is exp.Count:
            if isinstance(inner.this, exp.Distinct) or inner.expressions:
                self._refuse(name, value)
            if not isinstance(inner.this, exp.Star):
                self._refuse_aggregates([inner.this], f"the column {name}")
            return isinstance(inner.this, exp.Star) and not filtered and not never_null
        if type(inner) is exp.CountIf:
            self._refuse_aggregates([inner.this], f"the column {name}")
            return False
        if type(inner) is not exp.Sum or isinstance(inner.this, exp.Distinct):
            self._refuse(name, value)
        self._refuse_aggregates([inner.this], f"the column {name}")
        if not self._is_whole(inner.this, direct):
            self._fail(
                f"the column {name} adds up {inner.this.sql(dialect='duckdb')[:60]}, which may have fractions",
                "a sum of whole numbers: only they add up exactly",
                f"cast(coalesce(sum(cast(... as bigint)), 0) as bigint) as {name}",
            )
        if not never_null and (filtered or not self._has_value(inner.this, direct)):
            self._fail(
                f"the column {name} may be NULL: a sum of no value is, and the rest after a subtraction would be 0",
                "a sum that is never NULL",
                f"cast(coalesce(sum(...), 0) as bigint) as {name}",
            )
        return False

    def _refuse(self, name: str, value: exp.Expr) -> NoReturn:
        self._fail(
            f"the column {name} is {value.sql(dialect='duckdb')[:60]}, which does not add up",
            f"cast(count(*) as bigint), with a filter or without, or a sum of whole numbers cast to bigint; put ratios "
            f"and averages into another relation that reads {self.what.name}",
            f"cast(count(*) filter (where ...) as bigint) as {name}",
        )

    def _is_whole(self, value: exp.Expr, direct: bool) -> bool:
        """Whether a value is surely a whole number or NULL."""
        if isinstance(value, exp.Cast):
            return type(value) is exp.Cast and value.to.sql(dialect="duckdb").lower() in _INTEGERS
        if isinstance(value, exp.Literal):
            return not value.is_string and value.this.isdigit()
        if isinstance(value, exp.Column):
            return direct and self._type(value) == "bigint"
        return isinstance(value, exp.Null) or self._all(value, lambda part: self._is_whole(part, direct))

    def _has_value(self, value: exp.Expr, direct: bool) -> bool:
        """Whether a value is surely not NULL."""
        if type(value) is exp.Cast:
            return self._has_value(value.this, direct)
        if isinstance(value, exp.Literal):
            return True
        if isinstance(value, exp.Column):
            return direct and value.name.lower() in _NEVER_NULL and self._type(value) is not None
        if isinstance(value, exp.Coalesce):
            return any(self._has_value(part, direct) for part in (value.this, *value.expressions))
        if isinstance(value, exp.Case) and value.args.get("default") is None:
            return False
        return self._all(value, lambda part: self._has_value(part, direct))

    def _all(self, value: exp.Expr, holds: Callable[[exp.Expr], bool]) -> bool:
        """Whether something holds for each value that an expression is made of; False: its form is not known."""
        if isinstance(value, (exp.Paren, exp.Neg)):
            return holds(value.this)
        if isinstance(value, (exp.Add, exp.Sub, exp.Mul)):
            return holds(value.left) and holds(value.right)
        if isinstance(value, exp.Coalesce):
            return all(map(holds, (value.this, *value.expressions)))
        if isinstance(value, (exp.Case, exp.If)):
            branches = value.args.get("ifs") or [value]
            default = value.args.get("default" if isinstance(value, exp.Case) else "false")
            return all(holds(branch.args["true"]) for branch in branches) and (default is None or holds(default))
        return False

    def _type(self, column: exp.Column) -> str | None:
        """Return the type of a column that the last SELECT takes from the log itself; None: it is another one."""
        table = self._log()
        if column.table and column.table.lower() != table.alias_or_name.lower():
            return None
        if not column.table and self.tree.args.get("joins"):
            return None  # it may be a column of what the log is joined to
        return next((c.type for c in relation(self.log).columns if c.name == column.name.lower()), None)

    def _check_groups(self, projections: dict[str, exp.Expr], keys: tuple[str, ...], direct: bool) -> None:
        """Check that the rows are grouped by the columns of the grain, as they are cast."""
        group = self.tree.args.get("group")
        if group is None:
            self._fail("it has no GROUP BY", f"rows grouped by {', '.join(keys)}", "group by all")
        if group.args.get("all") is True and not group.expressions:
            return
        if set(_given(group)) - {"expressions"}:
            self._fail("its GROUP BY makes several sets", f"rows grouped by {', '.join(keys)}", "group by all")
        values = {key: projections[key].unalias() for key in keys}
        left = dict(values)
        for item in group.expressions:
            if isinstance(item, exp.Literal) and not item.is_string:
                n = int(item.this) - 1
                found = self.tree.expressions[n].alias_or_name.lower() if n < len(self.tree.expressions) else ""
                same = [found] if found in values else []
            else:
                same = [key for key, value in values.items() if self._is_group(item, value, direct)]
            if not same:
                self._fail(
                    f"it groups by {item.sql(dialect='duckdb')[:60]}, which is no column of its grain as it is cast",
                    f"rows grouped by {', '.join(keys)}",
                    "group by all",
                )
            for key in same:
                left.pop(key, None)
        if left:
            self._fail(
                f"it does not group by {', '.join(left)} of its grain", "rows grouped by the grain", "group by all"
            )

    def _is_group(self, item: exp.Expr, value: exp.Expr, direct: bool) -> bool:
        """Whether a grouped value is that of a column, also before a cast that keeps different values different."""
        if item == value:
            return True
        if type(value) is not exp.Cast or item != value.this:
            return False
        kind = value.to.sql(dialect="duckdb").lower()
        return kind in ("text", "varchar") or (direct and isinstance(item, exp.Column) and self._type(item) == kind)

    def _fail(self, what: str, expected: str, remedy: str = "") -> NoReturn:
        remedy = remedy or "leave out additive: in the header, and every build that finds new swipes computes all of it"
        raise InputError(f"{self.where}: {self.what.name} cannot be additive: {what}.", expected, remedy)


def _given(node: exp.Expr) -> list[str]:
    """Return the names of the parts that a node has."""
    return [name for name, part in node.args.items() if part not in (None, False, [])]


def _own(select: exp.Select) -> list[exp.Expr]:
    """Return the expressions of a SELECT, without those of the queries that it reads."""
    nodes: list[exp.Expr] = [*select.expressions]
    nodes += [part for name in ("where", "group", "order") if (part := select.args.get(name)) is not None]
    return nodes + [on for join in select.args.get("joins") or [] if (on := join.args.get("on")) is not None]


def _walk(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yield a node and what is below it, without subqueries."""
    yield from node.walk(prune=lambda part: isinstance(part, exp.Query))


def _kind(join: exp.Join) -> str:
    """Return the kind of a join; an empty text stands for a comma or a plain JOIN."""
    words = [str(join.args.get(part) or "") for part in ("method", "side", "kind")]
    return " ".join(word.lower() for word in words if word and word.lower() not in ("outer", "natural"))


def _name(part: exp.Func) -> str:
    """Return the name of a function in DuckDB."""
    return part.sql(dialect="duckdb").partition("(")[0].strip().lower()


@functools.cache
def _aggregates() -> frozenset[str]:
    query = "select distinct lower(function_name) from duckdb_functions() where function_type = 'aggregate'"
    with duckdb.connect(":memory:") as con:
        return frozenset(name for (name,) in con.execute(query).fetchall())

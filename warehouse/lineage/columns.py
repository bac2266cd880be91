"""Which columns each column of a relation is made from, and which columns choose its rows, found by sqlglot.lineage.

    columns = column_lineage(relation("photo_labels"), columns_of_sources)
    columns.values["value"].columns      (("follower_ratios", "ratio"), ("like_ratios", "like_ratio"))

A column of `count(*)` is made from the rows of a relation. SQL that sqlglot cannot resolve within the limits leaves
every column of the relation made from the rows of all that it reads, with the reason in `problem`.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from photogenic._lazy import sqlglot
from photogenic.warehouse.catalog import Relation
from photogenic.warehouse.sql_guard.rewrite import has_nearest_join

__all__ = ["ColumnSources", "RelationColumns", "column_lineage"]

Source = tuple[str, str]
"""Name of a relation, or of a base table as `facts.NAME`, and name of a column."""

Sources = Mapping[str, tuple[str, ...]]
"""Name of a relation or base table -> its columns."""

_Given = tuple[tuple[str, tuple[str, ...]], ...]

LIMIT_S = 2.0
"""Longest time for one relation, in seconds of computing: a busy machine does not change the answer."""

_WIDEST = 5_000
"""Most columns of all parts of a query together, with every star written out."""

logging.getLogger("sqlglot").addHandler(logging.NullHandler())  # else its warnings would stand on stderr


@dataclass(frozen=True, slots=True)
class ColumnSources:
    """What one column is made from; nothing: it is a constant.

    Attributes:
        columns: the columns in its expression, in the relations that the SQL reads.
        rows: relations whose rows it counts or numbers.
        parameters: names of `$name` in its expression.
    """

    columns: tuple[Source, ...] = ()
    rows: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RelationColumns:
    """The lineage of every column of one relation.

    Attributes:
        values: column -> what its values are made from.
        choosing: columns that choose, join, group or order the rows.
        problem: why columns could not be resolved; None: they were.
    """

    values: Mapping[str, ColumnSources]
    choosing: tuple[Source, ...] = ()
    problem: str | None = None


def column_lineage(relation: Relation, sources: Sources, *, limit_s: float = LIMIT_S) -> RelationColumns:
    """Resolve every column of a relation.

    Args:
        relation: the relation.
        sources: columns of each relation and base table that it reads.
        limit_s: longest time, in seconds of computing.
    """
    columns = tuple(column.name for column in relation.columns)
    given = tuple((name, tuple(sources.get(name, ()))) for name in relation.reads)
    try:
        return _cached(relation.text, columns, given, limit_s)
    except TimeoutError as error:  # not cached
        return _unresolved(columns, given, str(error))


@functools.lru_cache(maxsize=512)
def _cached(text: str, columns: tuple[str, ...], sources: _Given, limit_s: float) -> RelationColumns:
    try:
        return _Query(text, dict(sources), limit_s).resolved(columns)
    except TimeoutError:
        raise
    except (sqlglot.errors.SqlglotError, ValueError, LookupError, AttributeError, RecursionError) as error:
        return _unresolved(columns, sources, str(error).splitlines()[0][:200] if str(error) else type(error).__name__)


def _unresolved(columns: tuple[str, ...], sources: _Given, why: str) -> RelationColumns:
    """Return a lineage in which every column is made from the rows of everything that is read."""
    whole = ColumnSources(rows=tuple(name for name, _ in sources))
    choosing = tuple((name, column) for name, held in sources for column in held)
    return RelationColumns(dict.fromkeys(columns, whole), choosing, f"its columns cannot be distinguished: {why}")


class _Query:
    """One SELECT with every column qualified by its table.

    Attributes:
        scope: the scope of the last SELECT; scopes of CTEs and subqueries are below it.
    """

    def __init__(self, text: str, sources: Sources, limit_s: float) -> None:
        self._until = time.thread_time() + limit_s
        self._names = {_quoted(name): name for name in sources}
        self._schema: dict[str, Any] = {}
        for name, columns in sources.items():
            schema, _, table = name.rpartition(".")
            self._schema.setdefault(schema or "main", {})[table] = dict.fromkeys(columns, "unknown")
        if has_nearest_join(text):
            raise ValueError("it has a NEAREST join")
        tree = sqlglot.parse_one(text, read="duckdb")
        self._check_width(tree)
        for found in tree.find_all(sqlglot.exp.Table):
            if not found.db and found.name.lower() in sources and not _is_cte(found):
                found.set("db", sqlglot.exp.to_identifier("main"))
        self.tree = sqlglot.optimizer.qualify.qualify(
            tree, dialect="duckdb", schema=self._schema, validate_qualify_columns=False, identify=False
        )
        self._align_unions()
        self.scope: Any = sqlglot.optimizer.build_scope(self.tree)
        if self.scope is None:
            raise ValueError("the SQL is no SELECT")
        self._check_time()

    def resolved(self, columns: Iterable[str]) -> RelationColumns:
        """Return the lineage of these columns."""
        found = sqlglot.lineage.lineage(
            None, self.tree, self._schema, dialect="duckdb", scope=self.scope, **self._settings()
        )
        return RelationColumns(
            {name: self._sources(found[name].walk()) for name in columns}, tuple(dict.fromkeys(self._choosing()))
        )

    def _settings(self) -> dict[str, Any]:
        return {"trim_selects": False, "copy": False, "on_node": lambda _: self._check_time()}

    def _check_time(self) -> None:
        if time.thread_time() > self._until:
            raise TimeoutError("the time limit is over")

    def _check_width(self, tree: Any) -> None:
        """Refuse a query whose stars stand for so many columns that writing them out would take too long."""
        widths: dict[int, int] = {}
        for scope in sqlglot.optimizer.traverse_scope(tree):
            self._check_time()
            inside = 0
            for source in scope.sources.values():
                if isinstance(source, sqlglot.exp.Table):
                    inside += len(self._schema.get(source.db or "main", {}).get(source.name.lower(), ()))
                else:
                    inside += widths.get(id(source.expression), 1)
            selected = getattr(scope.expression, "selects", ())
            stars = sum(1 for one in selected if one.is_star)
            widths[id(scope.expression)] = len(selected) - stars + stars * inside
            if sum(widths.values()) > _WIDEST:
                raise ValueError(f"its stars stand for more than {_WIDEST:,} columns")

    def _align_unions(self) -> None:
        """Write `union by name` in the order of its first part, as lineage counts places."""
        exp = sqlglot.exp
        for union in list(self.tree.find_all(exp.SetOperation)):
            if union.args.get("by_name") and isinstance(union.right, exp.Select):
                given = {one.alias_or_name: one for one in union.right.selects}
                names = [one.alias_or_name for one in union.selects]
                if not set(given) <= set(names):
                    raise ValueError("a union by name whose second part has more columns")
                union.right.set("expressions", [given.get(name) or exp.alias_(exp.null(), name) for name in names])

    def _sources(self, nodes: Iterable[Any]) -> ColumnSources:
        """Collect what the nodes of a lineage read."""
        exp = sqlglot.exp
        columns, rows, parameters = dict[Source, None](), dict[str, None](), dict[str, None]()
        for node in nodes:
            if isinstance(node.expression, exp.Table):
                columns[self._name(node.expression), node.name.rpartition(".")[2].strip('"')] = None
                continue
            if isinstance(node.expression, exp.Placeholder) and not node.expression.this:
                raise ValueError(f"{node.name} has no known source")
            if isinstance(node.expression, exp.SetOperation) or (not node.downstream and _is_star(node.expression)):
                continue
            for used in node.expression.find_all(exp.Placeholder, exp.Parameter):
                parameters[used.name] = None
            if any(map(_counts_rows, node.expression.find_all(exp.AggFunc, exp.Window))):
                rows |= dict.fromkeys(self._tables(node.source))
        return ColumnSources(tuple(sorted(columns)), tuple(sorted(rows)), tuple(sorted(parameters)))

    def _tables(self, select: Any) -> Iterator[str]:
        """Yield the relations in FROM and JOIN of a SELECT, and of the CTEs and subqueries that stand there."""
        exp = sqlglot.exp
        ctes = {cte.alias: cte.this for cte in self.tree.find_all(exp.CTE)}
        seen, queue = set[str](), [select.args.get("from_"), *select.args.get("joins", ())]
        while queue:
            part = queue.pop()
            for table in part.find_all(exp.Table) if part is not None else ():
                name = self._name(table)
                if name is not None:
                    yield name
                elif table.name in ctes and table.name not in seen:
                    seen.add(table.name)
                    queue.append(ctes[table.name])

    def _choosing(self) -> Iterator[Source]:
        """Yield the columns in conditions, joins, groups and orders of every part of the query."""
        for scope in self.scope.traverse():
            self._check_time()
            select = scope.expression
            if not isinstance(select, sqlglot.exp.Select):
                continue
            clauses = [select.args.get(name) for name in ("where", "group", "having", "qualify")]
            clauses += select.args.get("joins", ())
            used = {one for clause in clauses if clause is not None for one in clause.find_all(sqlglot.exp.Column)}
            for column in sorted(used, key=str):
                source = scope.sources.get(column.table)
                if isinstance(source, sqlglot.exp.Table):
                    if (name := self._name(source)) is not None:
                        yield name, column.name
                elif source is not None and column.name in getattr(source.expression, "named_selects", ()):
                    node = sqlglot.lineage.lineage(
                        column.name, self.tree, self._schema, dialect="duckdb", scope=source, **self._settings()
                    )
                    yield from self._sources(node.walk()).columns

    def _name(self, table: Any) -> Any:
        """Return the name of a relation or base table; None: the table is a CTE."""
        return self._names.get((table.db, table.name.lower()))


def _quoted(name: str) -> tuple[str, str]:
    schema, _, table = name.rpartition(".")
    return schema or "main", table


def _is_cte(table: Any) -> bool:
    """Return whether a name stands for a CTE that is visible where it is used."""
    exp = sqlglot.exp
    node, inside = table.parent, None
    while node is not None:
        if isinstance(node, exp.CTE):
            inside = node
        elif isinstance(node, exp.Query):
            for cte in node.ctes:
                if cte is inside:  # a CTE sees those before it, not itself
                    break
                if cte.alias.lower() == table.name.lower():
                    return True
        node = node.parent
    return False


def _counts_rows(function: Any) -> bool:
    """Return whether a function of many rows reads no column, such as `count(*)`."""
    while isinstance(function.parent, (sqlglot.exp.Window, sqlglot.exp.Filter)):
        function = function.parent
    return function.find(sqlglot.exp.Column) is None


def _is_star(expression: Any) -> bool:
    return isinstance(expression, sqlglot.exp.Star)

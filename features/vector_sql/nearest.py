"""Answer NEAREST joins over relations of vectors by our own search instead of DuckDB's comparison of all pairs.

    from vectors_x a join vectors_x b exact nearest 5 by distance array_distance(a.embedding, b.embedding)

1. Find the NEAREST joins whose ranking is a distance to a vector of the right side.
2. Compute the right side once, with a marker in the place of each vector (provenance.py), into a table in memory.
3. Replace the join: a function searches the vectors of the left side, 2,048 rows at a time, and returns row numbers of
   that table.

        a join lateral (select unnest(search(a.embedding)) as hit) on true
          join (select photo_id, vector(embedding) as embedding, rowid as row from table) as b on hit = row

4. Columns, names and types must be those of the query as it was written. Where they are not, or a step cannot be
   carried out, DuckDB answers the join, and the plan says why.

Rows are those of DuckDB, except among equal distances, whose order DuckDB leaves open: here it is that of photo_id.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from photogenic._lazy import duckdb, pa, pl
from photogenic.features.search.index_files import Index
from photogenic.features.vector_sql.candidates import Candidates, IrregularError
from photogenic.features.vector_sql.correlated import CheckedSearch, Outer, split_outer
from photogenic.features.vector_sql.functions import NO_ROW, Decode, OfMarkers, Search, same
from photogenic.features.vector_sql.left_side import (
    LeftToDuckDBError,
    MarkedLeft,
    call_of,
    hide,
    leaf_of,
    refuse_unseen_columns,
    vectors_in,
)
from photogenic.features.vector_sql.provenance import mark, why_not_handed_on
from photogenic.features.vector_sql.ranking import Ranking, ranking_of
from photogenic.features.vector_sql.right_side import RightSide, sides
from photogenic.features.vector_sql.tree import (
    NearestJoin,
    Node,
    column,
    deparse,
    name_of,
    nearest_joins,
    parameters,
    parse,
    parse_expression,
    parse_reference,
    quoted,
    select_from,
    walk,
)
from photogenic.features.vectors.reader import VectorSet
from photogenic.warehouse.duckdb_store.extension import HIDDEN

__all__ = ["Answered", "VectorSources", "answer_nearest", "discard", "markers_of"]

_CONDITIONS = "conditions on the left side must be terms of AND in its WHERE, and name columns as in a.gender"
_NUMBERS = itertools.count(1)


class VectorSources(Protocol):
    """The vectors behind the relations."""

    def relations(self) -> Collection[str]:
        """Relations of vectors that the query may name, in lower case."""

    def vectors(self, relation: str) -> VectorSet:
        """The vectors of a relation."""

    def index(self, relation: str) -> Index | None:
        """The index of these vectors; None: there is none that is up to date."""

    def markers(self, con: duckdb.DuckDBPyConnection, relation: str) -> pa.Table:
        """The rows of a relation, with markers in the place of the vectors: those of `markers_of`."""


@dataclass(slots=True)
class Answered:
    """A query whose NEAREST joins are answered.

    Attributes:
        text: SQL to run.
        values: its parameters.
        plan: a line for each NEAREST join: how it is answered.
        noted: whether the plan is worth a note: the search may not be exact, or DuckDB answers a join.
        recall: the smallest recall of its searches; 1 if all are exact.
        key: what it depends on, if it may be kept for the next time.
        markers: tables of markers that it reads, by name.
        checked: its searches with conditions on the left side.
        candidates: the rows among which it searches.
        tables, functions, cursors: what was made for it, to be discarded after the query.
    """

    text: str
    values: dict[str, object] | None
    noted: bool = False
    plan: list[str] = field(default_factory=list)
    recall: float = 1.0
    key: Any = None
    markers: dict[str, pa.Table] = field(default_factory=dict)
    checked: list[CheckedSearch] = field(default_factory=list)
    candidates: list[Candidates] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    cursors: list[duckdb.DuckDBPyConnection] = field(default_factory=list)


def markers_of(con: duckdb.DuckDBPyConnection, sources: VectorSources, relation: str) -> pa.Table:
    """Return the rows of a relation of vectors: photo_id, and a marker of relation and row as `embedding`."""
    ids = con.sql(f"select photo_id from {quoted(relation)}").to_arrow_table().column(0).combine_chunks()
    index, vectors = sources.index(relation), sources.vectors(relation)
    found = vectors.positions(ids.to_pylist()) if index is None else index.rows(pl.Series(ids))
    struct = pa.StructArray.from_arrays([pa.array(found.astype(np.int32))], [relation])
    return pa.table({"photo_id": ids, "embedding": struct})


def answer_nearest(
    con: duckdb.DuckDBPyConnection,
    text: str,
    values: Mapping[str, object] | None,
    sources: VectorSources,
    *,
    owner: duckdb.DuckDBPyConnection | None = None,
    open_cursor: Callable[[], duckdb.DuckDBPyConnection] | None = None,
) -> Answered | None:
    """Answer the NEAREST joins of a SELECT.

    Args:
        con: the connection of the query, on which the relations of vectors are installed.
        text: one SELECT that the guard has accepted.
        values: its parameters, by name.
        sources: the vectors.
        owner: the connection that has its tables and functions, and runs nothing. Default: `con`.
        open_cursor: opens a cursor of the same instance for queries while the query runs. Default: a plain one.

    Returns:
        What to run; None: it has no NEAREST join.
    """
    if "nearest" not in text.lower():
        return None
    document = parse(con, text)
    if document is None:
        return None
    try:
        joins = nearest_joins(document)
    except RecursionError:
        return None
    if not joins:
        return None
    answered = Answered(text, dict(values) if values is not None else None)
    work = _Work(con, document, answered, sources, owner or con, open_cursor or con.cursor)
    try:
        want = _columns(con, text, answered.values)
    except duckdb.Error:
        return answered  # DuckDB reports its own error
    n_left = 0
    for _ in joins:
        changed = copy.deepcopy(document)
        join = nearest_joins(changed)[n_left]
        k = join.join["nearest_count"]
        try:
            line = work.answer(join)
            made = deparse(con, changed)
            if _columns(con, made, _kept(made, con, answered.values)) != want:
                raise LeftToDuckDBError("its columns would be others")
        except (LeftToDuckDBError, IrregularError, RecursionError, duckdb.Error) as error:
            line = f"DuckDB compares all pairs of rows, because {_reason(error)}"
            n_left += 1
            answered.noted = True
        else:
            document, answered.text = changed, made
        answered.plan.append(f"NEAREST {k}: {line}")
    answered.values = _kept(answered.text, con, answered.values)
    return answered


def discard(con: duckdb.DuckDBPyConnection, answered: Answered) -> None:
    """Remove the tables and functions of a query that has ended, on the connection that owns them."""
    for table in answered.tables:
        con.execute(f"drop table if exists {table}")
    for function in answered.functions:
        con.remove_function(function)
    for cursor in answered.cursors:
        cursor.close()
    answered.cursors.clear()
    answered.tables.clear()
    answered.functions.clear()


def _reason(error: Exception) -> str:
    if isinstance(error, IrregularError):
        return "the right side has vectors that are not finite, or of length zero for a cosine"
    if isinstance(error, RecursionError):
        return "the query is nested too deeply"
    if isinstance(error, duckdb.Error):
        why = f"its right side cannot be computed on its own ({str(error).splitlines()[0]})"
        return f"{why}; {_CONDITIONS}" if isinstance(error, duckdb.BinderException) else why
    return str(error)


def _kept(text: str, con: duckdb.DuckDBPyConnection, values: Mapping[str, object] | None) -> dict[str, object] | None:
    """The values of the parameters that a text still has."""
    if values is None:
        return None
    (statement,) = con.extract_statements(text)
    return {name: value for name, value in values.items() if name in statement.named_parameters} or None


def _columns(con: duckdb.DuckDBPyConnection, text: str, values: dict[str, object] | None) -> list[tuple[str, str]]:
    relation = con.sql(text, params=values)
    return list(zip(relation.columns, map(str, relation.types), strict=True))


class _Work:
    def __init__(  # noqa: PLR0917
        self,
        con: duckdb.DuckDBPyConnection,
        document: Node,
        answered: Answered,
        sources: VectorSources,
        owner: duckdb.DuckDBPyConnection,
        open_cursor: Callable[[], duckdb.DuckDBPyConnection],
    ) -> None:
        self.owner = owner
        self.con, self.answered, self.sources, self.open_cursor = con, answered, sources, open_cursor
        named = {
            entry["key"].lower()
            for node in walk(document)
            if isinstance(node.get("cte_map"), dict)
            for entry in node["cte_map"]["map"]
        }
        self.relations = sorted(set(sources.relations()) - named)
        # A WITH has precedence over a table of its name: it would be read in the place of the markers.
        self._hides_markers = any(name.startswith(HIDDEN) for name in named)

    def answer(self, found: NearestJoin) -> str:
        """Replace one join in the document, and return its line of the plan."""
        join = found.join
        if self._hides_markers:
            raise LeftToDuckDBError(f"a WITH in the query has a name that begins with {HIDDEN}")
        ranking = ranking_of(join)
        if isinstance(ranking, str):
            raise LeftToDuckDBError(ranking)
        if found.select is None or found.is_recursive:
            raise LeftToDuckDBError("it is in a PIVOT or a recursive WITH")
        right, alias = join["right"], name_of(join["right"])
        if right["type"] not in ("BASE_TABLE", "SUBQUERY") or alias is None or right.get("sample"):
            raise LeftToDuckDBError("its right side is not one relation or subquery with a name")
        refuse_unseen_columns(found.select, alias)
        outer = split_outer(self.con, found)
        table = self._compute(found, outer)
        key, target = sides(ranking, alias, table)
        candidates = self._candidates(table, target, ranking, approx=join["nearest_approx"] and outer is None)
        if table.has_null_vectors(target) and ranking.function.startswith(("list", "<")):
            raise LeftToDuckDBError(f"{ranking.function} refuses rows without a vector")
        search = Search(candidates, join["nearest_count"], keeps_empty=join["join_type"] == "LEFT")
        self._replace(found, alias, table, key, search, outer)
        return self._line(table, target, candidates, outer)

    def _compute(self, found: NearestJoin, outer: Outer | None) -> RightSide:
        """Compute the right side with markers into a table."""
        right = found.join["right"] if outer is None else outer.right
        markers = {name: f"{HIDDEN}rows_{name}" for name in self.relations}
        document = select_from(self.con, right, found.withs, lambda tree: mark(tree, markers))
        used = [name for name, marker in markers.items() if _names(document, marker)]
        if not used:
            raise LeftToDuckDBError("its right side has no relation of vectors")
        top = _top(document)
        if (why := why_not_handed_on(document, {name: markers[name] for name in used}, top)) is not None:
            raise LeftToDuckDBError(why)
        self._refuse_volatile(document)
        for name in used:
            self._install_markers(name, markers[name])
        text = deparse(self.con, document)
        name = f"memory.main.{HIDDEN}right_{next(_NUMBERS)}"
        self.con.execute(f"create table {name} as {text}", self._given(document))
        self.answered.tables.append(name)
        columns = [(row[0], row[1]) for row in self.con.execute(f"describe {name}").fetchall()]
        ((n_rows,),) = self.con.execute(f"select count(*) from {name}").fetchall()
        return RightSide(self.con, name, [column_name for column_name, _ in columns], vectors_in(columns, used), n_rows)

    def _install_markers(self, relation: str, marker: str) -> None:
        if marker not in self.answered.markers:
            self.answered.markers[marker] = self.sources.markers(self.con, relation)
            self.con.register(marker, self.answered.markers[marker])

    def _left_types(self, found: NearestJoin, expressions: list[Node]) -> list[str]:
        """Types of expressions of the left side."""
        document = select_from(self.con, found.join["left"], found.withs)
        document["statements"][0]["node"]["select_list"] = copy.deepcopy(expressions)
        return [str(kind) for kind in self.con.sql(deparse(self.con, document), params=self._given(document)).types]

    def _given(self, tree: object) -> dict[str, object] | None:
        """The values of the parameters in a tree."""
        names = parameters(tree)
        given = self.answered.values
        return {name: given[name] for name in names} if given and names else None

    def _refuse_volatile(self, document: Node) -> None:
        """Refuse a right side that reads a WITH whose rows may be others each time that it is computed."""
        withs = [
            entry["value"]
            for node in walk(document)
            if isinstance(node.get("cte_map"), dict)
            for entry in node["cte_map"]["map"]
        ]
        if not withs:
            return
        volatile = _volatile_functions()
        for node in walk(withs):
            if node.get("sample") or str(node.get("function_name", "")).lower() in volatile:
                raise LeftToDuckDBError("its right side reads a WITH of random rows")

    def _candidates(self, table: RightSide, target: str, ranking: Ranking, *, approx: bool) -> Candidates:
        relation = table.vectors[target]
        made = Candidates(
            self.sources.vectors(relation),
            table.positions(target),
            ranking.measure,
            index=self.sources.index(relation),
            approx=approx,
        )
        self.answered.candidates.append(made)
        return made

    def _replace(  # noqa: PLR0917
        self, found: NearestJoin, alias: str, table: RightSide, key: Node, search: Search, outer: Outer | None
    ) -> None:
        number, join = next(_NUMBERS), found.join
        hit, place, name = f"{HIDDEN}hit_{number}", f"{HIDDEN}row_{number}", f"{HIDDEN}search_{number}"
        call, hidden = self._call(found, name, key, table, search, outer)
        columns: list[str] = []
        shown = table.columns if outer is None else table.columns[: len(table.columns) - outer.n_added]
        for one in shown:
            relation = table.vectors.get(one)
            columns.append(quoted(one) if relation is None else self._decoded(name, f"r{len(columns)}", one, relation))
        right = f"select {', '.join([*columns, f'rowid as {place}'])} from {table.name}"
        if search.keeps_empty:  # DuckDB 2.0.0 may fail in a LEFT join with vectors on its right side
            right += f" union all select {'null, ' * len(columns)} {NO_ROW}"
        made = parse_reference(
            self.con,
            f"_ join lateral (select unnest(0) as {hit}) as {hit}_ on true "
            f"join ({right}) as {quoted(alias)} on {hit}_.{hit} = {quoted(alias)}.{place}",
        )
        made["left"]["left"] = join["left"]
        made["left"]["right"]["subquery"]["node"]["select_list"][0]["arguments"][0]["expression"] = call
        join.clear()
        join.update(made)
        assert found.select is not None
        hide(found.select, alias, [place])
        hide(found.select, None, [hit, place])
        if hidden is not None:
            hide(found.select, hidden, [f"{HIDDEN}left_{number}"])
            hide(found.select, None, [f"{HIDDEN}left_{number}"])

    def _call(  # noqa: PLR0917
        self, found: NearestJoin, name: str, key: Node, table: RightSide, search: Search, outer: Outer | None
    ) -> tuple[Node, str | None]:
        """The call of a search.

        DuckDB unnests a call with one column of the left side row by row. One with several columns is computed for
        all different values, which are found first, at great cost for vectors. So the call becomes a column of the
        left side, where all that it needs is of one item of FROM. If this item only hands on its vectors, it is read
        with markers in their place, and the vectors themselves are looked up where the query names them.

        Returns the expression to unnest, and the name of the item of FROM that now has the column.
        """
        dim = search.candidates.dim
        needed = [key, *(outer.arguments if outer is not None else ())]
        leaf = leaf_of(found.join["left"], needed)
        if outer is None and leaf is not found.join["left"]:
            leaf = None  # a search before an inner join would be for more rows than one after it
        marked = self._marked(found, leaf, key, dim) if leaf is not None else None
        if marked is not None and not {name.lower() for name in marked.vectors}.isdisjoint(map(_last, needed[1:])):
            marked = None  # a condition needs the vectors themselves
        function: Callable[..., Any] = search
        if outer is not None:
            kinds = self._left_types(found, needed)
            checked = outer.bind(self.open_cursor(), table.name, search, kinds[1:], self.answered.values)
            self.answered.cursors.append(checked.con)
            self.answered.checked.append(checked)
            function = checked
            if marked is None and kinds[0] != f"FLOAT[{dim}]":
                self._function(f"{name}_key", same, [f"FLOAT[{dim}]"], f"FLOAT[{dim}]")
                key = call_of(self.con, f"{name}_key", [key])
        if marked is not None:
            function = OfMarkers(function, self.sources.vectors(marked.vectors[marked.key]))
        self._function(name, function, [f"FLOAT[{dim}]"] if outer is None and marked is None else None, "BIGINT[]")
        call = call_of(self.con, name, copy.deepcopy([key, *needed[1:]]))
        if leaf is None or (outer is None and marked is None):
            return call, None
        alias, hits = name_of(leaf), name.replace("search", "left")
        assert alias is not None
        assert found.select is not None
        refuse_unseen_columns(found.select, alias)
        shown = "*"
        if marked is not None:
            decoded = [self._decoded(name, at, one, of) for at, (one, of) in enumerate(marked.vectors.items())]
            shown = f"* replace ({', '.join(decoded)})"
        made = parse_reference(self.con, f"(select {shown}, 0 as {hits} from _) as {quoted(alias)}")
        inside = made["subquery"]["node"]
        inside["select_list"][1] = {**call, "alias": hits}
        inside["from_table"] = copy.deepcopy(leaf) if marked is None else marked.reference
        leaf.clear()
        leaf.update(made)
        return parse_expression(self.con, f"{quoted(alias)}.{hits}"), alias

    def _marked(self, found: NearestJoin, leaf: Node, key: Node, dim: int) -> MarkedLeft | None:
        """An item of FROM with markers in the place of its vectors; None: it does more than hand them on."""
        markers = {name: f"{HIDDEN}rows_{name}" for name in self.relations}
        reference = copy.deepcopy(leaf)
        mark(reference, markers)
        used = [name for name, marker in markers.items() if _names(reference, marker)]
        names = column(key)
        if not used or names is None:
            return None
        document = select_from(self.con, reference, found.withs)
        if why_not_handed_on(document, {name: markers[name] for name in used}, _top(document)) is not None:
            return None
        for name in used:
            self._install_markers(name, markers[name])
        try:
            described = _columns(self.con, deparse(self.con, document), self._given(document))
        except duckdb.Error:
            return None
        vectors = vectors_in(described, used)
        chosen = [name for name in vectors if name.lower() == names[-1]]
        if len(chosen) != 1 or self.sources.vectors(vectors[chosen[0]]).dim != dim:
            return None
        return MarkedLeft(reference, chosen[0], vectors)

    def _decoded(self, name: str, number: int | str, one: str, relation: str) -> str:
        """A column of vectors, from its markers."""
        vectors, decode = self.sources.vectors(relation), f"{name.replace('search', 'vector')}_{number}"
        self._function(decode, Decode(vectors), None, f"FLOAT[{vectors.dim}]")
        return f"{decode}({quoted(one)}) as {quoted(one)}"

    def _function(self, name: str, function: Callable[..., Any], parameters: list[str] | None, result: str) -> None:
        self.owner.create_function(  # type: ignore[call-overload]
            name, function, parameters, result, type="arrow", null_handling="special", side_effects=False
        )
        self.answered.functions.append(name)

    def _line(self, table: RightSide, target: str, candidates: Candidates, outer: Outer | None) -> str:
        relation = table.vectors[target]
        if candidates.way == "exact":
            line = f"exact over {candidates.n_vectors:,} vectors of {relation}"
        else:
            made = candidates.index.manifest  # type: ignore[union-attr]  # only an index answers otherwise
            line = (
                f"index {made.generation} ({made.kind}) at recall@10 {made.recall_at_10:.3f} over "
                f"{candidates.n_vectors:,} vectors of {relation}"
            )
            self.answered.noted = True
            self.answered.recall = min(self.answered.recall, candidates.recall)
        if table.n_rows != candidates.n_vectors:
            line += f", {table.n_rows:,} rows"
        return line if outer is None else f"{line}; rows allowed for each left row by {outer.text}"


@functools.cache
def _volatile_functions() -> frozenset[str]:
    """DuckDB's functions whose result may differ for each row, in lower case."""
    with duckdb.connect(":memory:") as con:
        found = con.execute("select lower(function_name) from duckdb_functions() where stability = 'VOLATILE'")
        return frozenset(name for (name,) in found.fetchall())


def _names(tree: object, table: str) -> bool:
    return any(node.get("table_name") == table for node in walk(tree))


def _last(argument: Node) -> str:
    return (column(argument) or ("",))[-1]


def _top(document: Node) -> Node:
    node = document["statements"][0]["node"]["from_table"]
    while node.get("alias") == "_" and node["type"] == "SUBQUERY":
        node = node["subquery"]["node"]["from_table"]
    made: Node = node
    return made

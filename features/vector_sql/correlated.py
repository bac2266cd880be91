"""Right sides of a NEAREST join that depend on the row of the left side.

    from a join lateral (select ... from v join p using (photo_id) where p.popular and p.gender <> a.gender) as b
      exact nearest 5 by distance ...

The conditions in WHERE that name columns of the left side are taken out. The right side without them is computed once.
For each block of left rows the nearest rows of it are found, and DuckDB itself evaluates the conditions for these
pairs. Where fewer than k rows pass, more are fetched; where few of the rows would pass, the conditions are evaluated
for all rows of the right side, once for each combination of values of the left side, and only the allowed rows are
searched.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import duckdb, pa
from photogenic.features.vector_sql.candidates import HELD_BYTES, Candidates
from photogenic.features.vector_sql.functions import Search, vectors_of, whole
from photogenic.features.vector_sql.tree import (
    NearestJoin,
    Node,
    column,
    deparse,
    name_of,
    parameters,
    select_from,
    walk,
)

__all__ = ["CheckedSearch", "Outer", "split_outer", "tables_of"]

_NONE = np.empty(0, np.int64)
_FEW, _FEW_GROUPS = 16, 64
"""Values of a column, and their combinations, in a block for which the allowed rows are computed."""

_PAIRS = 2**21
"""Pairs of rows for which conditions are evaluated at a time."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a left row and a row of the right side.

    Attributes:
        text: SQL over `_photogenic_x0`, ... (left side) and `_photogenic_y0`, ... (right side).
        arguments: numbers of the columns of the left side in it.
        parameters: names of the parameters in it.
    """

    text: str
    arguments: frozenset[int]
    parameters: frozenset[str]


@dataclass(slots=True)
class Outer:
    """What a right side takes from the left side.

    Attributes:
        right: the right side without these conditions, with the columns that they need added at the end.
        arguments: the columns of the left side in the conditions.
        conditions: the conditions.
        n_added: columns added to the right side.
        text: the conditions as SQL.
    """

    right: Node
    arguments: list[Node]
    conditions: list[Condition]
    n_added: int
    text: str

    def bind(
        self,
        con: duckdb.DuckDBPyConnection,
        table: str,
        search: Search,
        types: Sequence[str],
        values: Mapping[str, object] | None,
    ) -> CheckedSearch:
        """Return the function of left vectors and arguments that finds the allowed rows.

        Args:
            con: a cursor for the conditions.
            table: the right side, computed.
            search: the search among all its rows.
            types: types of the arguments.
            values: values of the parameters in the conditions.

        Raises:
            duckdb.Error: the conditions cannot be evaluated on their own.
        """
        return CheckedSearch(con, table, self, search, types, values)


def split_outer(con: duckdb.DuckDBPyConnection, found: NearestJoin) -> Outer | None:
    """Take the conditions over the left side out of a right side; None: it has none, or not in a form for this.

    A right side that still depends on the left side cannot be computed on its own, and is left to DuckDB.
    """
    right = found.join["right"]
    if right["type"] != "SUBQUERY":
        return None
    select = right["subquery"]["node"]
    if select["type"] != "SELECT_NODE" or select["where_clause"] is None:
        return None
    left = {name.lower() for one in tables_of(found.join["left"]) if (name := name_of(one)) is not None}
    inner = {name.lower() for one in tables_of(select["from_table"]) if (name := name_of(one)) is not None}
    outer_names = left - inner
    every = _conjuncts(select["where_clause"])
    if not any(_names_outer(condition, outer_names) for condition in every):
        return None
    plain = (
        not select["modifiers"]
        and not select["group_expressions"]
        and select["having"] is None
        and select["qualify"] is None
        and select["sample"] is None
        and not any(node.get("class") in ("WINDOW", "SUBQUERY") for node in walk([select["select_list"], *every]))
        and not right["column_name_alias"]
    )
    if not plain:
        return None
    taken = [condition for condition in every if _names_outer(condition, outer_names)]
    kept = [condition for condition in every if not _names_outer(condition, outer_names)]
    arguments: dict[tuple[str, ...], Node] = {}
    added: dict[tuple[str, ...], Node] = {}
    conditions = []
    for condition in copy.deepcopy(taken):
        places = set[int]()
        for node in walk(condition):
            if (names := column(node)) is None:
                continue
            is_outer = len(names) > 1 and names[0] in outer_names
            held = arguments if is_outer else added
            held.setdefault(names, copy.deepcopy(node))
            place = list(held).index(names)
            node["column_names"] = [f"_photogenic_{'x' if is_outer else 'y'}{place}"]
            if is_outer:
                places.add(place)
        conditions.append(
            Condition(f"({_text(con, [condition])})", frozenset(places), frozenset(parameters(condition)))
        )
    changed = copy.deepcopy(right)
    inside = changed["subquery"]["node"]
    inside["where_clause"] = _conjunction(kept)
    for place, node in enumerate(added.values()):
        node["alias"] = f"_photogenic_y{place}"
        inside["select_list"].append(node)
    return Outer(
        right=changed,
        arguments=list(arguments.values()),
        conditions=conditions,
        n_added=len(added),
        text=_text(con, taken),
    )


def tables_of(reference: Node) -> Iterator[Node]:
    """Yield the items of a FROM."""
    if reference.get("type") == "JOIN":
        yield from tables_of(reference["left"])
        yield from tables_of(reference["right"])
    else:
        yield reference


def _conjuncts(where: Node) -> list[Node]:
    if where["type"] != "CONJUNCTION_AND":
        return [where]
    return [one for child in where["children"] for one in _conjuncts(child)]


def _conjunction(conditions: list[Node]) -> Node | None:
    if len(conditions) < 2:
        return conditions[0] if conditions else None
    made = {"class": "CONJUNCTION", "type": "CONJUNCTION_AND", "alias": "", "children": conditions}
    return {**made, "query_location": 2**64 - 1, "query_location_length": 0}


def _names_outer(condition: Node, outer: set[str]) -> bool:
    return any(len(names) > 1 and names[0] in outer for node in walk(condition) if (names := column(node)) is not None)


def _text(con: duckdb.DuckDBPyConnection, conditions: list[Node]) -> str:
    document = select_from(con, {"type": "EMPTY", "alias": "", "sample": None}, ())
    node = document["statements"][0]["node"]
    node["select_list"] = [_conjunction(conditions)]
    return deparse(con, document).removeprefix("SELECT ")


class CheckedSearch:
    """The function that a query calls with vectors and arguments of its left side."""

    def __init__(  # noqa: PLR0917
        self,
        con: duckdb.DuckDBPyConnection,
        table: str,
        outer: Outer,
        search: Search,
        types: Sequence[str],
        values: Mapping[str, object] | None,
    ) -> None:
        self.con, self.table, self.outer, self.search, self.values = con, table, outer, search, values or {}
        self._lock = threading.Lock()
        self._casts = [f"cast(_photogenic_x{n} as {kind}) as _photogenic_x{n}" for n, kind in enumerate(types)]
        self._subsets: OrderedDict[tuple[object, ...], Candidates] = OrderedDict()
        nothing = [f"cast(null as {kind}) as _photogenic_x{n}" for n, kind in enumerate(types)]
        # Raises the error of a condition that cannot be evaluated on its own.
        self._run(f"(select {', '.join(nothing)}) as _photogenic_left, {table}", outer.conditions, "1 as p", limit=0)

    def __call__(self, *columns: pa.Array) -> pa.Array:
        vectors, *arguments = columns
        Q, is_null = vectors_of(vectors)
        kept = pa.array(~is_null)
        left = pa.table({f"_photogenic_x{n}": whole(one).filter(kept) for n, one in enumerate(arguments)})
        found = [_NONE] * len(Q)
        with self._lock:
            self._search(Q, left, found)
        counts = np.array([len(rows) for rows in found], np.int64)
        return self.search.lists(counts, np.concatenate([*found, _NONE]), is_null)

    @property
    def n_bytes(self) -> int:
        """Size of the vectors of the subsets that it holds."""
        return sum(one.n_bytes for one in self._subsets.values())

    def _search(self, Q: NDArray[np.float32], left: pa.Table, found: list[NDArray[np.int64]]) -> None:
        """Find the rows of each query: first by the conditions whose values on the left side are few."""
        codes = [_codes([left.column(name)], len(Q)) for name in left.column_names]
        few = {n for n, one in enumerate(codes) if one.max(initial=0) < _FEW and _has_codes(left.column(n).type)}
        coarse = [one for one in self.outer.conditions if one.arguments <= few]
        fine = [one for one in self.outer.conditions if not one.arguments <= few]
        used = sorted({n for one in coarse for n in one.arguments})
        groups = _codes([left.column(n) for n in used], len(Q))
        if groups.max(initial=0) >= _FEW_GROUPS:
            coarse, fine, used, groups = [], self.outer.conditions, [], np.zeros(len(Q), np.int64)
        for group in range(int(groups.max(initial=-1)) + 1):
            members = np.flatnonzero(groups == group)
            candidates = self.search.candidates
            if coarse:
                key = tuple((n, left.column(n)[int(members[0])]) for n in used)
                candidates = self._subset(key, left, int(members[0]), coarse)
            if fine:
                self._filtered(Q, left, members, candidates, fine, found)
            else:
                counts, rows = candidates.nearest(Q[members], self.search.k)
                for at, part in zip(members, np.split(rows, np.cumsum(counts)[:-1]), strict=True):
                    found[at] = part

    def _subset(self, key: tuple[object, ...], left: pa.Table, row: int, conditions: list[Condition]) -> Candidates:
        """The candidates that the conditions allow for a row of the left side; kept for the next blocks, if small."""
        held = self._subsets.pop(key, None)
        if held is None:
            held = self.search.candidates.subset(self._allowed_rows(left, row, conditions))
        self._subsets[key] = held
        while len(self._subsets) > 1 and sum(one.n_bytes for one in self._subsets.values()) > HELD_BYTES:
            self._subsets.popitem(last=False)
        return held

    def _filtered(  # noqa: PLR0917
        self,
        Q: NDArray[np.float32],
        left: pa.Table,
        pending: NDArray[np.int64],
        candidates: Candidates,
        conditions: list[Condition],
        found: list[NDArray[np.int64]],
    ) -> None:
        """Fetch more than k rows of each query, and keep those for which the conditions hold."""
        k = self.search.k
        for fetch in (k + k // 2 + 2, 4 * k + 16, 16 * k + 64):
            still = []
            size = max(_PAIRS // fetch, 1)
            for start in range(0, len(pending), size):
                part = pending[start : start + size]
                counts, rows = candidates.nearest(Q[part], fetch)
                queries = np.repeat(np.arange(len(part)), counts)
                allowed = self._allowed_pairs(left, part[queries], rows, conditions)
                queries, rows = queries[allowed], rows[allowed]
                ends = np.cumsum(np.bincount(queries, minlength=len(part)))
                for at, start_at, end, seen in zip(part, [0, *ends[:-1]], ends, counts, strict=True):
                    found[at] = rows[start_at : min(end, start_at + k)]
                    if end - start_at < k and seen >= fetch:
                        still.append(at)
            pending = np.array(still, np.int64)
            if not len(pending):
                return
        columns = sorted({n for one in conditions for n in one.arguments})
        groups = _codes([left.column(n).take(pa.array(pending)) for n in columns], len(pending))
        for group in range(int(groups.max()) + 1):
            members = pending[groups == group]
            subset = candidates.subset(self._allowed_rows(left, int(members[0]), conditions))
            counts, rows = subset.nearest(Q[members], k)
            for at, part in zip(members, np.split(rows, np.cumsum(counts)[:-1]), strict=True):
                found[at] = part

    def _allowed_pairs(
        self, left: pa.Table, queries: NDArray[np.int64], rows: NDArray[np.int64], conditions: list[Condition]
    ) -> NDArray[np.bool_]:
        """Whether the conditions hold for pairs of a left row and a row of the right side."""
        pairs = left.take(pa.array(queries)).append_column("_photogenic_row", pa.array(rows))
        self.con.register("_photogenic_pairs", pairs.append_column("_photogenic_p", pa.array(np.arange(len(rows)))))
        passed = self._run(
            f"(select _photogenic_row, _photogenic_p, {', '.join(self._casts)} from _photogenic_pairs)"
            f" join {self.table} as _photogenic_right on _photogenic_right.rowid = _photogenic_row",
            conditions,
            "_photogenic_p as p",
        )
        allowed = np.zeros(len(rows), np.bool_)
        allowed[passed] = True
        return allowed

    def _allowed_rows(self, left: pa.Table, row: int, conditions: list[Condition]) -> NDArray[np.bool_]:
        """Whether the conditions hold for a left row and each row of the right side."""
        self.con.register("_photogenic_left", left.slice(row, 1))
        passed = self._run(
            f"{self.table} as _photogenic_right, (select {', '.join(self._casts)} from _photogenic_left)",
            conditions,
            "_photogenic_right.rowid as p",
        )
        allowed = np.zeros(self.search.candidates.n_rows, np.bool_)
        allowed[passed] = True
        return allowed

    def _run(
        self, source: str, conditions: list[Condition], what: str, *, limit: int | None = None
    ) -> NDArray[np.int64]:
        """Values of `what`, a column p, in the rows of an item of FROM for which the conditions hold. int64 (rows,)."""
        names = {name for one in conditions for name in one.parameters}
        values = {name: self.values[name] for name in names} or None
        where = " and ".join(one.text for one in conditions)
        query = f"select {what} from {source} where {where}" + ("" if limit is None else f" limit {limit}")
        return np.asarray(self.con.execute(query, values).fetchnumpy()["p"]).astype(np.int64)


def _has_codes(kind: pa.DataType) -> bool:
    """Whether Arrow can number the values of a type: not those of lists, arrays and structs."""
    try:
        pa.array([], kind).dictionary_encode()
    except pa.ArrowNotImplementedError:
        return False
    return True


def _codes(columns: list[pa.ChunkedArray], n: int) -> NDArray[np.int64]:
    """Number the combinations of values, from 0; each row has its own number if the values have none. int64 (n,)."""
    codes = np.zeros(n, np.int64)
    for values in columns:
        if not _has_codes(values.type):
            return np.arange(n)
        one = whole(values).dictionary_encode()
        # Indices of an ENUM are unsigned.
        every = one.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
        codes = np.unique(codes * (int(every.max(initial=0)) + 2) + every + 1, return_inverse=True)[1].ravel()
    return codes

"""The right side of a NEAREST join, computed into a table in memory, with markers in the place of vectors."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import duckdb
from photogenic.features.vector_sql.left_side import LeftToDuckDBError
from photogenic.features.vector_sql.ranking import Ranking
from photogenic.features.vector_sql.tree import Node, column, quoted, walk

__all__ = ["RightSide", "sides"]


class RightSide:
    """The right side in memory.

    Attributes:
        vectors: its columns of markers, and the relations of their vectors.
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, name: str, columns: list[str], vectors: dict[str, str], n_rows: int
    ) -> None:
        self.con, self.name, self.columns, self.vectors, self.n_rows = con, name, columns, vectors, n_rows
        self._positions: dict[str, NDArray[np.int64]] = {}

    def positions(self, column: str) -> NDArray[np.int64]:
        """The position of the vector of each row, -1 where it has none. int64 (rows,)."""
        if column not in self._positions:
            field = f"struct_extract({quoted(column)}, {_literal(self.vectors[column])})"
            query = f"select coalesce({field}, -1)::bigint as p from {self.name} order by rowid"
            self._positions[column] = self.con.execute(query).fetchnumpy()["p"].astype(np.int64)
        return self._positions[column]

    def has_null_vectors(self, column: str) -> bool:
        return bool((self.positions(column) < 0).any())


def sides(ranking: Ranking, alias: str, table: RightSide) -> tuple[Node, str]:
    """The expression of the left side, and the column of vectors of the right side that a ranking compares."""
    by_name = {name.lower(): name for name in table.columns}

    def target(side: Node) -> str | None:
        names = column(side) or ()
        is_right = len(names) == 1 or (len(names) == 2 and names[0] == alias.lower())
        name = by_name.get(names[-1]) if is_right else None
        return name if name in table.vectors else None

    first, second = ranking.sides
    name, key = (target(first), second) if target(first) is not None else (target(second), first)
    if name is None:
        raise LeftToDuckDBError(
            "its ranking does not compare something of the left side with a vector of the right side"
        )
    if any(_is_right(node, alias, by_name) for node in walk(key)):
        raise LeftToDuckDBError("both sides of its ranking are of the right side")
    return copy.deepcopy(key), name


def _is_right(expression: Node, alias: str, by_name: Mapping[str, str]) -> bool:
    names = column(expression) or ("",)
    return names[0] == alias.lower() or (len(names) == 1 and names[0] in by_name)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
